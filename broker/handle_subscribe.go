package broker

import (
	"errors"
	"slices"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
)

// handleSubscribe makes subscriptions [v5 MQTT-3.8.4-1].
func (c *client) handleSubscribe(w *worker, h packets.Header, body []byte) error {
	var p packets.Subscribe
	if err := p.Decode(h, body, c.version, &w.b.decoder); err != nil {
		return err
	}
	w.subscribes++
	a := packets.Suback{PacketID: p.PacketID, ReasonCodes: make([]packets.ReasonCode, 0, len(p.Subscriptions))}
	var ticket uint64
	var reason error
	for i := range p.Subscriptions {
		sub := sessions.Subscription{
			TopicFilter: string(p.Subscriptions[i].TopicFilter),
			Options:     p.Subscriptions[i].Options,
			ID:          p.Properties.SubscriptionIdentifier,
		}
		code, t, err := c.subscribe(w, sub)
		if code == packets.ProtocolError {
			return err
		}
		if err != nil {
			reason = err
		}
		ticket = max(ticket, t)
		a.ReasonCodes = append(a.ReasonCodes, code)
	}
	setReason(&a.Properties, reason)
	if err := c.replyWith(w, ticket, &a, &a.Properties); err != nil {
		return err
	}
	c.pump(w)
	return nil
}

// replyWith sends SUBACK or UNSUBACK, whose size grows with the request, once ticket is safe.
func (c *client) replyWith(w *worker, ticket uint64, p packet, props *packets.Properties) error {
	out := c.encode(nil, p, props)
	if !c.fits(len(out)) {
		return errTooSmall
	}
	c.reply(w, ticket, 0, out)
	return nil
}

var errEmptyFilter = packets.Errorf(packets.ProtocolError, "v5 MQTT-4.7.3-1", "empty topic filter")

// subscribe makes one subscription, and returns the code for SUBACK.
func (c *client) subscribe(w *worker, sub sessions.Subscription) (packets.ReasonCode, uint64, error) {
	if sub.TopicFilter == "" {
		return packets.ProtocolError, 0, errEmptyFilter
	}
	share, filter, shared, err := topics.SplitShared(sub.TopicFilter)
	if err == nil {
		err = topics.CheckFilter(filter, w.b.topics)
	}
	if err != nil {
		return c.refuseFilter(w, sub.TopicFilter, packets.Errorf(packets.TopicFilterInvalid, "", "%v", err))
	}
	if shared && sub.Options.NoLocal {
		return packets.ProtocolError, 0, packets.Errorf(packets.ProtocolError, "v5 MQTT-3.8.3-4", "no local on a shared subscription")
	}
	if !w.authorize(c.session, auth.ActionSubscribe, filter) {
		w.count[countRefusedSubscriptions]++
		w.denied(c.session.identity(), auth.ActionSubscribe, filter)
		return packets.NotAuthorized, 0, packets.Errorf(packets.NotAuthorized, "", "not authorized to subscribe to this filter")
	}
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != c {
		return packets.UnspecifiedError, 0, errors.New("session taken over")
	}
	if s.backlog != nil && s.backlog.full() {
		w.count[countRefusedSubscriptions]++
		return packets.QuotaExceeded, 0, packets.Errorf(packets.QuotaExceeded, "", "a million retained messages of earlier subscriptions are still to be sent")
	}
	had, exists := s.Subscription(sub.TopicFilter)
	if !exists && len(s.Subscriptions()) >= w.b.cfg.Limits.Subscriptions {
		return c.refuseFilter(w, filter, packets.Errorf(packets.QuotaExceeded, "", "more than %d subscriptions", w.b.cfg.Limits.Subscriptions))
	}
	if exists {
		sub.TopicFilter = had.TopicFilter
		share, filter, _, _ = topics.SplitShared(had.TopicFilter)
	}
	s.Subscribe(sub)
	w.b.subscribe(s, share, filter, &sub)
	var ticket uint64
	if s.ID != 0 {
		ticket = w.commit(sessions.Op{Kind: sessions.PutSubscription, Session: s.ID, Subscription: &sub})
	}
	if !shared && (sub.Options.RetainHandling == 0 || sub.Options.RetainHandling == 1 && !exists) {
		w.remember(s, filter, sub, ticket)
	}
	return packets.ReasonCode(sub.Options.QoS), ticket, nil
}

// refuseFilter refuses one subscription.
func (c *client) refuseFilter(w *worker, filter string, err *packets.Error) (packets.ReasonCode, uint64, error) {
	w.count[countRefusedSubscriptions]++
	w.b.log.refusedFilter(c.session, filter, err)
	return err.Code, 0, err
}

// handleUnsubscribe ends subscriptions [v5 MQTT-3.10.4-4].
func (c *client) handleUnsubscribe(w *worker, h packets.Header, body []byte) error {
	var p packets.Unsubscribe
	if err := p.Decode(h, body, c.version, &w.b.decoder); err != nil {
		return err
	}
	if slices.ContainsFunc(p.TopicFilters, func(f []byte) bool { return len(f) == 0 }) {
		return errEmptyFilter
	}
	a := packets.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]packets.ReasonCode, 0, len(p.TopicFilters))}
	var ticket uint64
	s := c.session
	s.mu.Lock()
	for _, f := range p.TopicFilters {
		filter := string(f)
		code := packets.NoSubscriptionExisted
		if s.owner == c && s.Unsubscribe(filter) {
			code = packets.Success
			w.b.unsubscribe(s, filter)
			if s.ID != 0 {
				ticket = w.commit(sessions.Op{
					Kind: sessions.DeleteSubscription, Session: s.ID,
					Subscription: &sessions.Subscription{TopicFilter: filter},
				})
			}
		}
		a.ReasonCodes = append(a.ReasonCodes, code)
	}
	s.mu.Unlock()
	return c.replyWith(w, ticket, &a, &a.Properties)
}

// subscribe puts a subscription into the tree, or changes it there. Either makes remembered routes stale.
func (b *Broker) subscribe(s *session, share, filter string, sub *sessions.Subscription) {
	b.tree.Subscribe(share, filter, s, topics.Options{
		QoS: byte(sub.Options.QoS), NoLocal: sub.Options.NoLocal,
		RetainAsPublished: sub.Options.RetainAsPublished, ID: sub.ID,
	})
}

// unsubscribe takes a filter, as the client wrote it, out of the tree.
func (b *Broker) unsubscribe(s *session, filter string) {
	share, real, _, _ := topics.SplitShared(filter)
	b.tree.Unsubscribe(share, real, s)
}
