package simulation

import (
	"bytes"
	"fmt"

	"nightjar/packets"
)

// Received implements simnet.Peer.
func (c *client) Received(b []byte) {
	c.in = append(c.in, b...)
	mine := c.attempt
	for c.attempt == mine {
		h, err := packets.ParseHeader(c.in)
		if err != nil {
			c.check(err)
			return
		}
		total := h.Size + h.Remaining
		if h.Size == 0 || len(c.in) < total {
			return
		}
		body := c.in[h.Size:total]
		c.in = c.in[total:]
		if err := c.handle(h, body); err != nil {
			c.w.fail(fmt.Errorf("%s gets %v: %w", c.id, h.Type, err))
		}
	}
}

var decoder = packets.Limits{UserProperties: 100, UserPropertyBytes: 1 << 16, StringBytes: 1 << 16, Filters: 100}

func (c *client) handle(h packets.Header, body []byte) error {
	if (h.Type == packets.CONNACK) == c.connected {
		return fmt.Errorf("connected %t", c.connected)
	}
	switch h.Type {
	case packets.CONNACK:
		return c.handleConnack(h, body)
	case packets.PUBLISH:
		return c.handlePublish(h, body)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		return c.handleAck(h, body)
	case packets.SUBACK:
		return c.handleSuback(h, body)
	case packets.UNSUBACK:
		var a packets.Unsuback
		if err := a.Decode(h, body, c.version, &decoder); err != nil {
			return err
		}
		r := c.requests[a.PacketID]
		if r == nil || r.subscribe {
			return fmt.Errorf("identifier %d", a.PacketID)
		}
		delete(c.requests, a.PacketID)
	case packets.PINGRESP:
	case packets.DISCONNECT:
		return c.handleDisconnect(h, body)
	default:
		return fmt.Errorf("not for a client")
	}
	return nil
}

func (c *client) handleConnack(h packets.Header, body []byte) error {
	var a packets.Connack
	if err := a.Decode(h, body, c.version, &decoder); err != nil {
		return err
	}
	if a.ReasonCode != packets.Success {
		if c.link.Faulty && a.ReasonCode == packets.ServerUnavailable {
			return nil
		}
		return fmt.Errorf("reason code 0x%02x", byte(a.ReasonCode))
	}
	resumed := c.lasting && !c.clean
	switch {
	case a.SessionPresent && (!resumed || !c.could):
		return fmt.Errorf("session present, and there must be none")
	case !a.SessionPresent && c.present && resumed:
		return fmt.Errorf("session not present, and there must be one")
	}
	c.connected, c.clean = true, false
	c.present, c.maybe = c.lasting, c.lasting
	c.quota = 10
	if a.Properties.Present.Has(packets.PropReceiveMaximum) {
		c.quota = int(a.Properties.ReceiveMaximum)
	}
	c.resend()
	if len(c.filters) == 0 && !c.w.healing {
		c.subscribe(c.someFilter())
	}
	return nil
}

func (c *client) handlePublish(h packets.Header, body []byte) error {
	var p packets.Publish
	if err := p.Decode(h, body, c.version, &decoder); err != nil {
		return err
	}
	topic := string(p.TopicName)
	if p.TopicAlias > 0 {
		switch {
		case p.TopicAlias > c.aliasMaximum:
			return fmt.Errorf("topic alias %d is above the maximum", p.TopicAlias)
		case topic == "":
			topic = c.aliases[p.TopicAlias]
		}
		c.aliases[p.TopicAlias] = topic
	}
	name := nameOf(p.Payload)
	m := c.w.model.byName[name]
	if m == nil && name != "" {
		return fmt.Errorf("unknown message %q", name)
	}
	if err := c.fits(m, topic, &p); err != nil {
		return err
	}
	switch p.QoS {
	case 1:
		c.answerLater(packets.PUBACK, p.PacketID)
	case 2:
		before, held := c.arrived[p.PacketID]
		switch {
		case held && before != m:
			return fmt.Errorf("%v has the identifier %d of %v, which is in flight", m, p.PacketID, before)
		case held && (!p.Dup || c.arrivedNow[p.PacketID]):
			return fmt.Errorf("%v comes again on the same connection, or without DUP", m)
		}
		c.arrived[p.PacketID], c.arrivedNow[p.PacketID] = m, true
		c.answerLater(packets.PUBREC, p.PacketID)
		if held {
			return nil
		}
	}
	if p.Retain && c.retained != nil {
		c.retained[topic] = name
	}
	if m == nil || p.Retain {
		return nil
	}
	return c.w.model.received(c, m, p.QoS)
}

// nameOf finds the name of a message in its payload.
func nameOf(payload []byte) string {
	name, _, _ := bytes.Cut(payload, []byte{' '})
	return string(name)
}

// fits checks a message against what was published and what was subscribed to.
func (c *client) fits(m *message, topic string, p *packets.Publish) error {
	most, subscribed := c.mayQoS(topic)
	switch {
	case !subscribed:
		return fmt.Errorf("%s: no subscription to %q", p.Payload, topic)
	case p.QoS > most:
		return fmt.Errorf("%s: QoS %d, above that of the subscription", p.Payload, p.QoS)
	case m == nil:
	case m.topic != topic:
		return fmt.Errorf("%v: topic is %q", m, topic)
	case p.QoS > m.qos:
		return fmt.Errorf("%v: QoS %d", m, p.QoS)
	case p.QoS < 2 && m.owed2&c.bit() != 0 && !p.Retain:
		return fmt.Errorf("%v: QoS is only %d", m, p.QoS)
	case m.calledOff && m.crashes == c.w.crashes:
		return fmt.Errorf("%v: its client has disconnected in good order", m)
	case m.will && m.publisher.will == m && m.publisher.connected && !m.publisher.link.Faulty:
		return fmt.Errorf("%v: the connection of its client lives", m)
	case p.Retain && !m.retain:
		return fmt.Errorf("%v: RETAIN is set", m)
	}
	return nil
}

func (c *client) handleAck(h packets.Header, body []byte) error {
	var a packets.Ack
	if err := a.Decode(h, body, c.version, &decoder); err != nil {
		return err
	}
	if h.Type == packets.PUBREL {
		delete(c.arrived, a.PacketID)
		c.answerLater(packets.PUBCOMP, a.PacketID)
		return nil
	}
	at := -1
	for i, o := range c.out { // the first one that waits for this type: answers come in order
		if o.id == a.PacketID || h.Type != packets.PUBCOMP && o.message.qos == packets.QoS(h.Type-packets.PUBACK)+1 && !o.received {
			at = i
			break
		}
	}
	if at < 0 || c.out[at].id != a.PacketID {
		return fmt.Errorf("identifier %d is not in flight, or not the next one", a.PacketID)
	}
	o := c.out[at]
	if a.ReasonCode.IsError() && (h.Type != packets.PUBCOMP || o.releases < 2) {
		return fmt.Errorf("reason code 0x%02x for %v", byte(a.ReasonCode), o.message)
	}
	switch {
	case h.Type == packets.PUBACK && o.message.qos == 1:
		o.message.acked = true
		c.out = append(c.out[:at:at], c.out[at+1:]...)
	case h.Type == packets.PUBREC && o.message.qos == 2:
		o.message.acked, o.received = true, true
		o.releases++
		c.link.Send(packets.AppendAck(nil, packets.PUBREL, o.id))
	case h.Type == packets.PUBCOMP && o.received:
		c.out = append(c.out[:at:at], c.out[at+1:]...)
	default:
		return fmt.Errorf("does not fit %v", o.message)
	}
	return nil
}

func (c *client) handleSuback(h packets.Header, body []byte) error {
	var a packets.Suback
	if err := a.Decode(h, body, c.version, &decoder); err != nil {
		return err
	}
	r := c.requests[a.PacketID]
	if r == nil || !r.subscribe || len(a.ReasonCodes) != 1 || byte(a.ReasonCodes[0]) != byte(r.qos) {
		return fmt.Errorf("identifier %d, codes %v, of %+v", a.PacketID, a.ReasonCodes, r)
	}
	delete(c.requests, a.PacketID)
	for _, other := range c.requests {
		if other.filter == r.filter {
			return nil // what was sent since decides
		}
	}
	if f := c.filters[r.filter]; f != nil {
		f.stable = true
	}
	return nil
}

func (c *client) handleDisconnect(h packets.Header, body []byte) error {
	var d packets.Disconnect
	if err := d.Decode(h, body, c.version, &decoder); err != nil {
		return err
	}
	switch {
	case c.link.Faulty && (d.ReasonCode == packets.KeepAliveTimeout || d.ReasonCode == packets.QuotaExceeded):
		return nil
	}
	return fmt.Errorf("reason code 0x%02x %q", byte(d.ReasonCode), d.Properties.ReasonString)
}
