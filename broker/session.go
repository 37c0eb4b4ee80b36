package broker

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
)

// session is a Session with what the broker needs to reach it.
//
// Lock order: registry shard, session, outbox; the tree, the retained messages, the store and
// the queue of wills are leaves.
type session struct {
	mu               sync.Mutex
	sessions.Session // guarded by mu, but for ClientID, UserName and ID, which are fixed

	// client is the connection that messages go to; nil while there is none that is ready. Written under mu.
	client atomic.Pointer[client]
	owner  *client        // the connection that has the session; guarded by mu
	will   *sessions.Will // guarded by mu
	// backlog is the retained messages that are still to be sent; guarded by mu.
	backlog *backlog
}

// identity is who the session's messages are authorized for.
func (s *session) identity() auth.Identity {
	return auth.Identity{UserName: s.UserName, ClientID: s.ClientID, Anonymous: s.UserName == "", Admin: s.Admin()}
}

// shardsMax is the number of parts of the registry; a power of two.
const shardsMax = 64

// registry finds the session of a Client Identifier.
type registry struct {
	seed   maphash.Seed
	shards [shardsMax]shard
	count  atomic.Int64
}

type shard struct {
	mu       sync.Mutex
	sessions map[string]*session // guarded by mu
	_        [40]byte            // shards do not share a cache line
}

func (r *registry) init() {
	r.seed = maphash.MakeSeed()
	for i := range r.shards {
		r.shards[i].sessions = map[string]*session{}
	}
}

func (r *registry) shard(clientID string) *shard {
	return &r.shards[maphash.String(r.seed, clientID)%shardsMax]
}

// open gives c the session of its Client Identifier: the one that is there, or a new one
// [v5 MQTT-3.1.2-4] [v5 MQTT-3.1.2-5] [v5 MQTT-3.1.2-6]. A connection that has it loses it
// [v5 MQTT-3.1.4-3]. c.opening.ticket is what CONNACK has to wait for.
func (w *worker) open(c *client, p *packets.Connect, id *auth.Identity) error {
	clientID := c.clientID(p)
	sh := w.b.registry.shard(clientID)
	sh.mu.Lock()
	s := sh.sessions[clientID]
	if s != nil && s.UserName != id.UserName {
		sh.mu.Unlock()
		return errSessionOwner
	}
	var old *sessions.Will
	if s != nil {
		s.mu.Lock()
		resume := !p.CleanStart && s.Durable() && !s.expired(w.now)
		old = w.takeOver(s, resume)
		if resume {
			c.opening.present = true
		} else {
			c.opening.ticket = w.endLocked(sh, s)
			s.mu.Unlock()
			s = nil
		}
	}
	if s == nil {
		if w.b.registry.count.Load() >= int64(w.b.cfg.Limits.Sessions) {
			sh.mu.Unlock()
			w.publishWill(old)
			return errSessions(w.b.cfg.Limits.Sessions)
		}
		if !w.b.users.addSession(id.UserName, w.b.cfg.Limits.SessionsPerUser) {
			sh.mu.Unlock()
			w.publishWill(old)
			return errSessions(w.b.cfg.Limits.SessionsPerUser)
		}
		s = &session{}
		s.ClientID, s.UserName = clientID, id.UserName
		s.mu.Lock()
		sh.sessions[clientID] = s
		w.b.registry.count.Add(1)
	}
	w.attachLocked(s, c, p)
	s.mu.Unlock()
	sh.mu.Unlock()
	w.publishWill(old)
	return nil
}

// attachLocked makes c the owner of the session.
func (w *worker) attachLocked(s *session, c *client, p *packets.Connect) {
	c.session = s
	s.owner = c
	s.DisconnectedAt = 0
	s.ExpiryInterval = c.opening.expiry
	w.b.setAdmin(s, c.opening.identity.Admin)
	s.Reattach()
	if s.Durable() {
		if s.ID == 0 {
			s.ID = w.b.nextSession.Add(1)
		}
		c.opening.ticket = w.commit(sessions.Op{Kind: sessions.PutSession, Session: s.ID, Record: s.Record()})
	} else if s.ID != 0 {
		// A session that was durable becomes one that ends with this connection.
		c.opening.ticket = w.commit(sessions.Op{Kind: sessions.DeleteSession, Session: s.ID})
		s.ID = 0
	}
	if p.HasWill {
		s.will = newWill(s, &p.Will)
		c.opening.ticket = w.commit(sessions.Op{Kind: sessions.PutWill, Will: s.will})
	}
}

// setAdmin says what the client is now: a session that was restored knows only its user name. s is locked.
func (b *Broker) setAdmin(s *session, on bool) {
	if s.Admin() == on {
		return
	}
	s.SetAdmin(on)
	for _, sub := range s.Subscriptions() { // so that routes are made anew
		share, filter, _, _ := topics.SplitShared(sub.TopicFilter)
		b.subscribe(s, share, filter, &sub)
	}
}

// takeOver takes the session from the connection that has it, if there is one, and returns the will that is
// due [v5 MQTT-3.1.2-26]. s and its shard are locked.
func (w *worker) takeOver(s *session, resume bool) (due *sessions.Will) {
	will := s.will
	s.will = nil
	if will != nil {
		w.b.wills.cancel(s)
		w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
		if resume && will.DelayInterval > 0 {
			will = nil
		}
	}
	if c := s.owner; c != nil {
		s.owner = nil
		s.client.Store(nil)
		w.count[countTakeovers]++
		c.takenOver(w)
	}
	return will
}

// expired tells whether the session's time is over though nobody has ended it yet. s is locked.
func (s *session) expired(now packets.Instant) bool {
	at := s.ExpiresAt()
	return at != 0 && at <= now
}

// endLocked ends a session for good: its state goes [v5 MQTT-4.1.0-2]. s and sh are locked.
func (w *worker) endLocked(sh *shard, s *session) (ticket uint64) {
	if s.Ended() {
		return 0
	}
	s.End()
	for _, sub := range s.Subscriptions() {
		w.b.unsubscribe(s, sub.TopicFilter)
	}
	s.Clear()
	s.backlog = nil
	delete(sh.sessions, s.ClientID)
	w.b.registry.count.Add(-1)
	w.b.users.removeSession(s.UserName)
	if s.ID != 0 {
		ticket = w.commit(sessions.Op{Kind: sessions.DeleteSession, Session: s.ID})
	}
	return ticket
}

// detach takes c off its session, when its connection ends.
func (w *worker) detach(s *session, c *client, discardWill bool) {
	sh := w.b.registry.shard(s.ClientID)
	sh.mu.Lock()
	s.mu.Lock()
	if s.owner != c {
		s.mu.Unlock()
		sh.mu.Unlock()
		return
	}
	s.owner = nil
	s.client.Store(nil)
	s.DisconnectedAt = w.now
	will := s.will
	if will != nil && discardWill { // [v5 MQTT-3.1.2-10]
		s.will, will = nil, nil
		w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
	}
	if s.Durable() {
		w.put(sessions.Op{Kind: sessions.PutSession, Session: s.ID, Record: s.Record()})
		will = w.delayWill(s, will)
	} else {
		w.endLocked(sh, s)
		if will != nil {
			s.will = nil
			w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
		}
	}
	s.mu.Unlock()
	sh.mu.Unlock()
	w.publishWill(will)
}

// endIfOver ends a session whose time is over.
func (w *worker) endIfOver(s *session) {
	sh := w.b.registry.shard(s.ClientID)
	sh.mu.Lock()
	s.mu.Lock()
	if s.owner == nil && s.expired(w.now) {
		w.endLocked(sh, s)
	}
	s.mu.Unlock()
	sh.mu.Unlock()
}

// expireSessions ends the sessions of one shard whose time is over.
func (w *worker) expireSessions(sh *shard) {
	var wills []*sessions.Will
	sh.mu.Lock()
	for _, s := range sh.sessions {
		s.mu.Lock()
		if s.expired(w.now) && s.owner == nil {
			if s.will != nil {
				w.b.wills.cancel(s)
				w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
				wills = append(wills, s.will)
				s.will = nil
			}
			w.endLocked(sh, s)
			w.count[countSessionsExpired]++
		}
		s.mu.Unlock()
	}
	sh.mu.Unlock()
	for _, will := range wills {
		w.publishWill(will)
	}
}
