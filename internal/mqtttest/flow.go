package mqtttest

import (
	"nightjar/packets"
)

// PacketID gives a Packet Identifier.
func (c *Client) PacketID() uint16 {
	c.next++
	return c.next
}

// Subscribe subscribes to one filter and wants SUBACK; it returns the code.
func (c *Client) Subscribe(filter string, qos packets.QoS, options ...func(*packets.Subscribe)) packets.ReasonCode {
	c.t.Helper()
	id := c.SendSubscribe(filter, qos, options...)
	a := Expect[*packets.Suback](c)
	if a.PacketID != id || len(a.ReasonCodes) != 1 {
		c.t.Fatalf("SUBACK %d %v, want one code for %d", a.PacketID, a.ReasonCodes, id)
	}
	return a.ReasonCodes[0]
}

// SendSubscribe sends SUBSCRIBE with one filter and returns its Packet Identifier.
func (c *Client) SendSubscribe(filter string, qos packets.QoS, options ...func(*packets.Subscribe)) uint16 {
	c.t.Helper()
	p := &packets.Subscribe{PacketID: c.PacketID(), Subscriptions: []packets.Subscription{{
		TopicFilter: []byte(filter), Options: packets.SubscriptionOptions{QoS: qos},
	}}}
	for _, o := range options {
		o(p)
	}
	c.Send(p)
	return p.PacketID
}

// Unsubscribe wants UNSUBACK, and returns its codes: none before v5.
func (c *Client) Unsubscribe(filters ...string) []packets.ReasonCode {
	c.t.Helper()
	p := &packets.Unsubscribe{PacketID: c.PacketID()}
	for _, f := range filters {
		p.TopicFilters = append(p.TopicFilters, []byte(f))
	}
	c.Send(p)
	a := Expect[*packets.Unsuback](c)
	if a.PacketID != p.PacketID {
		c.t.Fatalf("UNSUBACK %d, want %d", a.PacketID, p.PacketID)
	}
	return a.ReasonCodes
}

// Publish publishes and goes through the whole handshake. It returns the Reason Code; at QoS 0 it
// returns once the broker has handled the message.
func (c *Client) Publish(topic, payload string, qos packets.QoS, options ...func(*packets.Publish)) packets.ReasonCode {
	c.t.Helper()
	p := c.SendPublish(topic, payload, qos, options...)
	switch qos {
	case 1:
		return c.ExpectAck(packets.PUBACK, p.PacketID)
	case 2:
		code := c.ExpectAck(packets.PUBREC, p.PacketID)
		if code.IsError() {
			return code
		}
		c.Ack(packets.PUBREL, p.PacketID)
		if done := c.ExpectAck(packets.PUBCOMP, p.PacketID); done != packets.Success {
			c.t.Fatalf("PUBCOMP %v", done)
		}
		return code
	}
	c.Ping()
	return packets.Success
}

// SendPublish sends PUBLISH, with a new Packet Identifier where there has to be one.
func (c *Client) SendPublish(topic, payload string, qos packets.QoS, options ...func(*packets.Publish)) *packets.Publish {
	c.t.Helper()
	p := &packets.Publish{TopicName: []byte(topic), Payload: []byte(payload), QoS: qos}
	if qos > 0 {
		p.PacketID = c.PacketID()
	}
	for _, o := range options {
		o(p)
	}
	c.Send(p)
	return p
}

// Receive wants a PUBLISH with topic, payload and QoS, and does not answer it.
func (c *Client) Receive(topic, payload string, qos packets.QoS) *packets.Publish {
	c.t.Helper()
	p := Expect[*packets.Publish](c)
	if string(p.TopicName) != topic || string(p.Payload) != payload || p.QoS != qos {
		c.t.Fatalf("got %q %.100q at QoS %d, want %q %.100q at QoS %d", p.TopicName, p.Payload, p.QoS, topic, payload, qos)
	}
	return p
}

// Take is Receive with the whole handshake.
func (c *Client) Take(topic, payload string, qos packets.QoS) *packets.Publish {
	c.t.Helper()
	p := c.Receive(topic, payload, qos)
	c.Answer(p)
	return p
}

// Answer goes through the handshake of a received PUBLISH.
func (c *Client) Answer(p *packets.Publish) {
	c.t.Helper()
	switch p.QoS {
	case 1:
		c.Ack(packets.PUBACK, p.PacketID)
	case 2:
		c.Ack(packets.PUBREC, p.PacketID)
		c.ExpectAck(packets.PUBREL, p.PacketID)
		c.Ack(packets.PUBCOMP, p.PacketID)
	}
}
