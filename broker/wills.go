package broker

import (
	"bytes"
	"container/heap"
	"sync"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
)

// newWill makes the will of a session [v5 MQTT-3.1.2-7].
func newWill(s *session, p *packets.Will) *sessions.Will {
	will := &sessions.Will{
		ClientID: s.ClientID, UserName: s.UserName, Admin: s.Admin(),
		DelayInterval:  p.Properties.WillDelayInterval,
		ExpiryInterval: p.Properties.MessageExpiryInterval,
		Message: &packets.Message{
			TopicName: string(p.TopicName), Payload: bytes.Clone(p.Payload),
			QoS: p.QoS, Retain: p.Retain,
			PublisherID: s.ClientID, PublisherUser: s.UserName,
		},
	}
	if len(p.PropertyBlock) > 0 {
		will.Message.Properties = packets.AppendForwarded(nil, p.PropertyBlock)
	}
	return will
}

// delayWill puts off the will of a session that outlives its connection, and returns it
// when it is due at once [v5 MQTT-3.1.2-8]. s is locked.
func (w *worker) delayWill(s *session, will *sessions.Will) *sessions.Will {
	if will == nil {
		return nil
	}
	if will.DelayInterval == 0 {
		s.will = nil
		w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
		return will
	}
	due := w.now + packets.Instant(will.DelayInterval)*1000
	if end := s.ExpiresAt(); end != 0 {
		due = min(due, end)
	}
	later := *will // the store may still read the first one
	later.Due = due
	s.will = &later
	w.put(sessions.Op{Kind: sessions.PutWill, Will: &later})
	w.b.wills.add(s, due)
	return nil
}

// publishWill publishes a will, if its owner may still publish there. No session is locked.
func (w *worker) publishWill(will *sessions.Will) {
	if will == nil {
		return
	}
	m := *will.Message
	if will.ExpiryInterval > 0 {
		m.Expiry = w.now + packets.Instant(will.ExpiryInterval)*1000
	}
	id := &auth.Identity{UserName: will.UserName, ClientID: will.ClientID, Anonymous: will.UserName == "", Admin: will.Admin}
	if !w.b.allows(id, auth.ActionPublish, m.TopicName) {
		w.drop(dropNotAuthorized, will.ClientID, m.TopicName)
		return
	}
	w.count[countWills]++
	w.publishMessage(&m)
}

// willQueue holds the wills that wait, by the time at which they are due.
type willQueue struct {
	mu    sync.Mutex
	heap  willHeap                  // guarded by mu
	index map[*session]*waitingWill // guarded by mu
}

type waitingWill struct {
	s   *session
	due packets.Instant
	at  int // place in the heap
}

func (q *willQueue) add(s *session, due packets.Instant) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.index == nil {
		q.index = map[*session]*waitingWill{}
	}
	x := &waitingWill{s: s, due: due}
	q.index[s] = x
	heap.Push(&q.heap, x)
}

func (q *willQueue) cancel(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if x := q.index[s]; x != nil {
		delete(q.index, s)
		heap.Remove(&q.heap, x.at)
	}
}

func (q *willQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// due takes out the sessions whose will is due.
func (q *willQueue) due(now packets.Instant) (due []*session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.heap) > 0 && q.heap[0].due <= now {
		x := heap.Pop(&q.heap).(*waitingWill)
		delete(q.index, x.s)
		due = append(due, x.s)
	}
	return due
}

// publishDueWills publishes the wills whose delay has run.
func (w *worker) publishDueWills() {
	for _, s := range w.b.wills.due(w.now) {
		s.mu.Lock()
		will := s.will
		if will == nil || s.owner != nil || will.Due > w.now {
			s.mu.Unlock()
			continue
		}
		s.will = nil
		w.put(sessions.Op{Kind: sessions.DeleteWill, ClientID: s.ClientID})
		s.mu.Unlock()
		w.publishWill(will)
		w.endIfOver(s)
	}
}

// willHeap implements heap.Interface.
type willHeap []*waitingWill

func (h willHeap) Len() int           { return len(h) }
func (h willHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h willHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *willHeap) Push(x any) {
	w := x.(*waitingWill)
	w.at = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *willHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}
