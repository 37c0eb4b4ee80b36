package simulation

import (
	"bytes"
	"strconv"
	"time"

	"nightjar/packets"
)

// filterNames is what clients subscribe to; topics t/… are for messages, r/… for retained ones, w/… for wills.
var filterNames = []string{"t/0", "t/1", "t/+", "#", "w/#", "r/+", "t/2/#"}

// topicNames are what clients publish to.
var topicNames = []string{"t/0", "t/1", "t/2/a"}

// A shared subscription has a topic of its own, so that it is known by which subscription a message came.
const (
	sharedFilter = "$share/g/s"
	sharedTopic  = "s"
)

// someFilter draws a filter to subscribe to.
func (c *client) someFilter() string {
	name := filterNames[c.rand.IntN(len(filterNames))]
	if c.w.sharing && name == "#" {
		name = "r/+"
		if c.durable {
			name = sharedFilter
		}
	}
	return name
}

// act does one thing, and plans the next.
func (c *client) act() {
	if c.w.healing {
		return
	}
	c.w.After(time.Duration(c.rand.IntN(60_000))*time.Microsecond*c.w.pace, c.actor(), c.act)
	if !c.connected {
		return
	}
	switch n := c.rand.IntN(100); {
	case n < 55:
		for range 1 + c.rand.IntN(4) {
			c.publish()
		}
	case n < 65:
		c.subscribe(c.someFilter())
	case n < 67:
		c.unsubscribe()
	case n < 70:
		c.publishRetained()
	case c.w.calm:
	case n < 72:
		c.disconnect()
	case n < 74:
		c.w.Note(c.actor(), "cut", nil)
		c.link.Cut()
	case n < 75:
		c.w.Note(c.actor(), "freeze", nil)
		c.link.Freeze()
		mine := c.attempt
		c.w.After(time.Duration(c.rand.IntN(3000))*time.Millisecond*c.w.pace, c.actor(), func() {
			if c.attempt == mine {
				c.connect()
			}
		})
	case n < 76:
		c.w.Note(c.actor(), "takeover", nil)
		c.connect()
	case n < 78:
		c.readSlowly()
	}
}

func (c *client) readSlowly() {
	link := c.link
	link.Slow(true)
	c.w.After(time.Duration(c.rand.IntN(2500))*time.Millisecond*c.w.pace, c.actor(), func() { link.Slow(false) })
}

// publish sends a new message.
func (c *client) publish() {
	topic := topicNames[c.rand.IntN(len(topicNames))]
	if c.w.sharing && c.rand.IntN(4) == 0 {
		topic = sharedTopic
	}
	c.publishTo(topic, packets.QoS(c.rand.IntN(3)), false)
}

// publishRetained sends a retained message to the topic that only this client has, and always at the same QoS: a QoS 1
// message that is sent again may well replace a later one at QoS 2.
func (c *client) publishRetained() {
	c.publishTo("r/"+c.id, packets.QoS(1+c.number%2), true)
}

func (c *client) publishTo(topic string, qos packets.QoS, retain bool) {
	if qos > 0 && len(c.out) >= c.quota {
		return
	}
	m := c.w.newMessage(c, topic, qos)
	m.retain = retain
	o := &outgoing{message: m, payload: []byte(m.name)}
	if c.rand.IntN(8) == 0 {
		o.payload = append(append(o.payload, ' '), bytes.Repeat([]byte{'x'}, c.rand.IntN(600))...)
	}
	if retain && c.rand.IntN(3) == 0 {
		o.payload = nil
	}
	switch {
	case len(o.payload) == 0: // it clears what is retained, and cannot be told apart
	case !retain && c.version >= packets.V5 && c.rand.IntN(10) == 0:
		o.expiry = uint32(1 + c.rand.IntN(2))
		c.w.model.publish(m, nil) // it may expire
	default:
		m.sure = qos > 0
		c.w.model.publish(m, c.w.clients)
	}
	if retain {
		c.w.kept[topic] = append(c.w.kept[topic], kept{m, len(o.payload) == 0})
	}
	if qos > 0 {
		o.id = c.freeID()
		c.out = append(c.out, o)
	}
	c.transmit(o, false)
}

func (c *client) transmit(o *outgoing, dup bool) {
	p := &packets.Publish{
		Dup: dup, QoS: o.message.qos, Retain: o.message.retain, PacketID: o.id,
		TopicName: []byte(o.message.topic), Payload: o.payload,
	}
	if o.expiry > 0 {
		p.HasMessageExpiryInterval, p.MessageExpiryInterval = true, o.expiry
	}
	c.send(p)
}

// resend sends again what the broker has not acknowledged [v5 MQTT-4.4.0-1].
func (c *client) resend() {
	for _, o := range c.out {
		if o.received {
			o.releases++
			c.link.Send(packets.AppendAck(nil, packets.PUBREL, o.id))
		} else {
			c.transmit(o, true)
		}
	}
}

// subscribe subscribes at a QoS that stays the same for one session and filter.
func (c *client) subscribe(name string) {
	f := c.filters[name]
	if f == nil {
		f = &filter{qos: packets.QoS(c.rand.IntN(3))}
		if name == sharedFilter && f.qos == 0 {
			f.qos = 1 // any member may get the message
		}
		c.filters[name] = f
	}
	p := &packets.Subscribe{PacketID: c.freeID(), Subscriptions: []packets.Subscription{{
		TopicFilter: []byte(name), Options: packets.SubscriptionOptions{QoS: f.qos},
	}}}
	if c.version >= packets.V5 && c.rand.IntN(4) == 0 {
		p.Properties.SubscriptionIdentifier = uint32(1 + c.rand.IntN(300))
		p.Properties.Present.Add(packets.PropSubscriptionIdentifier)
	}
	c.requests[p.PacketID] = &request{filter: name, qos: f.qos, subscribe: true}
	c.send(p)
}

func (c *client) unsubscribe() {
	name := c.someFilter()
	f := c.filters[name]
	if f == nil || name == sharedFilter {
		return
	}
	f.stable = false
	c.w.model.forgive(c)
	p := &packets.Unsubscribe{PacketID: c.freeID(), TopicFilters: [][]byte{[]byte(name)}}
	c.requests[p.PacketID] = &request{filter: name}
	c.send(p)
}

// disconnect ends the connection in good order, with or without the will.
func (c *client) disconnect() {
	d := &packets.Disconnect{}
	if c.version >= packets.V5 && c.rand.IntN(2) == 0 {
		d.ReasonCode = packets.DisconnectWithWill
	}
	c.send(d)
	if d.ReasonCode == packets.Success {
		if c.will != nil {
			c.will.owed = 0 // the broker may have lost the connection before
		}
		c.will = nil
	}
	c.connectionEnds()
	c.link.Close()
	c.link = nil
	c.attempt++
	c.reconnectLater()
}

// answerLater plans an acknowledgement: in the order in which they are asked for, each after some time.
func (c *client) answerLater(t packets.Type, id uint16) {
	c.acks = append(c.acks, packets.Ack{Type: t, PacketID: id})
	c.nextAnswer()
}

func (c *client) nextAnswer() {
	if c.acking || len(c.acks) == 0 {
		return
	}
	c.acking = true
	mine := c.attempt
	wait := time.Duration(0)
	if c.rand.IntN(5) == 0 {
		wait = time.Duration(c.rand.IntN(c.w.ackDelay)) * time.Microsecond
	}
	c.w.After(wait, c.actor(), func() {
		if c.attempt != mine || !c.connected {
			return
		}
		c.acking = false
		a := c.acks[0]
		c.acks = c.acks[1:]
		if a.Type == packets.PUBCOMP {
			delete(c.arrivedNow, a.PacketID)
		}
		c.link.Send(packets.AppendAck(nil, a.Type, a.PacketID))
		c.nextAnswer()
	})
}

// newMessage makes a message with a name of its own.
func (w *world) newMessage(c *client, topic string, qos packets.QoS) *message {
	w.messages++
	return &message{name: c.id + "-" + strconv.Itoa(w.messages), publisher: c, life: c.life, topic: topic, qos: qos}
}
