package simulation

import (
	"fmt"

	"nightjar/packets"
)

// message is one Application Message, told apart from all others by its payload.
type message struct {
	name      string
	publisher *client
	life      int // of the publisher's session
	topic     string
	qos       packets.QoS
	retain    bool
	will      bool
	acked     bool // the publisher has the broker's acknowledgement; of a will: it is due
	sure      bool // it is published, or lost, with the ones before: its publisher sends it until it is acknowledged

	// These are sets of sessions, by the number of their client, each for its present life.
	owed  uint32 // had the SUBACK for it before it was sent
	got   uint32
	got2  uint32 // at QoS 2
	order int    // place among those of its stream
}

func (m *message) String() string {
	return fmt.Sprintf("%q (QoS %d, topic %q, of %s, acknowledged %t)", m.name, m.qos, m.topic, m.publisher.id, m.acked)
}

// stream is what keeps its order.
type stream struct {
	publisher int
	topic     string
	qos       packets.QoS
}

// model knows what was published, who is owed it, and who has got it.
type model struct {
	byName  map[string]*message
	all     []*message
	streams map[stream][]*message
	checked map[stream]map[int]int // by client: how far its stream was looked at
}

func newModel() *model {
	return &model{byName: map[string]*message{}, streams: map[stream][]*message{}, checked: map[stream]map[int]int{}}
}

// publish takes a new message in, which is sent for the first time now. subscribers are all clients.
func (o *model) publish(m *message, subscribers []*client) {
	o.byName[m.name] = m
	o.all = append(o.all, m)
	if m.qos > 0 {
		for _, c := range subscribers {
			if c.stableQoS(m.topic) > 0 {
				m.owed |= c.bit()
			}
		}
	}
	if !m.will {
		at := stream{m.publisher.number, m.topic, m.qos}
		m.order = len(o.streams[at])
		o.streams[at] = append(o.streams[at], m)
	}
}

// received notes that a session has got a message that is not a retained one, and returns what is wrong with that.
func (o *model) received(c *client, m *message, qos packets.QoS) error {
	again := m.got&c.bit() != 0
	if qos == 2 {
		if m.got2&c.bit() != 0 {
			return fmt.Errorf("QoS 2 message %v comes twice", m)
		}
		m.got2 |= c.bit()
	}
	if qos == 0 && again {
		return fmt.Errorf("QoS 0 message %v comes twice", m)
	}
	m.got |= c.bit()
	if again || m.will {
		return nil
	}
	at := stream{m.publisher.number, m.topic, m.qos}
	if o.checked[at] == nil {
		o.checked[at] = map[int]int{}
	}
	list := o.streams[at]
	for _, before := range list[min(o.checked[at][c.number], m.order):m.order] {
		if before.owed&^before.got&c.bit() != 0 && before.sure {
			return fmt.Errorf("message %v comes before %v", m, before)
		}
	}
	o.checked[at][c.number] = max(o.checked[at][c.number], m.order)
	return nil
}

// missing returns a message that is owed to one of the clients, acknowledged, and has not come, or nil.
func (o *model) missing(subscribers []*client) (*message, *client) {
	for _, m := range o.all {
		if !m.acked || m.owed&^m.got == 0 {
			continue
		}
		for _, c := range subscribers {
			if m.owed&^m.got&c.bit() != 0 {
				return m, c
			}
		}
	}
	return nil, nil
}

// forgetSession ends the life of a client's session: nothing is owed to it, and what it has not got acknowledged is
// published or not.
func (o *model) forgetSession(c *client) {
	for _, m := range o.all {
		m.owed &^= c.bit()
		m.got &^= c.bit()
		m.got2 &^= c.bit()
		if m.publisher == c && !m.acked {
			m.sure = false
		}
	}
	for _, list := range o.checked {
		delete(list, c.number)
	}
}

// forgive is for a subscription that ends: what has not been accepted by then may pass it by.
func (o *model) forgive(c *client) {
	for _, m := range o.all {
		if !m.acked || m.will {
			m.owed &^= c.bit()
		}
	}
}
