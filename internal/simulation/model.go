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
	calledOff bool // the broker has the DISCONNECT that keeps the will from being published
	crashes   int  // by then: it need not be stored
	acked     bool // the publisher has the broker's acknowledgement; of a will: it is due
	sure      bool // it is published, or lost, with the ones before: its publisher sends it until it is acknowledged

	// These are sets of sessions, by the number of their client, each for its present life.
	owed  uint32 // had the SUBACK for it before it was sent
	owed1 uint32 // and is to get it at QoS 1, for certain
	owed2 uint32 // the same for QoS 2
	got   uint32
	got2  uint32 // at QoS 2
	group bool   // a member of the shared subscription is owed it
	order int    // place among those of its stream
}

func (m *message) String() string {
	return fmt.Sprintf("%q (QoS %d, topic %q, of %s, acknowledged %t)", m.name, m.qos, m.topic, m.publisher.id, m.acked)
}

// waits is who is owed the message and has not got it. Of a shared subscription that may be anybody.
func (m *message) waits() uint32 {
	if m.group && m.got == 0 {
		return ^uint32(0)
	}
	return m.owed &^ m.got
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
}

func newModel() *model {
	return &model{byName: map[string]*message{}, streams: map[stream][]*message{}}
}

// publish takes a new message in, which is sent for the first time now. subscribers are all clients.
func (o *model) publish(m *message, subscribers []*client) {
	o.byName[m.name] = m
	o.all = append(o.all, m)
	for _, c := range subscribers {
		stable := min(m.qos, c.stableQoS(m.topic))
		if m.topic == sharedTopic {
			m.group = m.group || stable > 0
			continue
		}
		if stable == 0 {
			continue
		}
		m.owed |= c.bit()
		switch most, _ := c.mayQoS(m.topic); {
		case min(m.qos, most) != stable:
		case stable == 1:
			m.owed1 |= c.bit()
		default:
			m.owed2 |= c.bit()
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
		if m.got2&c.bit() != 0 || m.got2 != 0 && m.topic == sharedTopic {
			return fmt.Errorf("QoS 2 message %v comes twice", m)
		}
		m.got2 |= c.bit()
	}
	if m.qos == 0 && again && !m.will { // a will may be published again after a crash
		return fmt.Errorf("QoS 0 message %v comes twice", m)
	}
	m.got |= c.bit()
	if again || m.will || qos == 0 {
		return nil
	}
	for _, before := range o.streams[stream{m.publisher.number, m.topic, m.qos}][:m.order] {
		same := before.owed1
		if qos == 2 {
			same = before.owed2
		}
		if same&^before.got&c.bit() != 0 && before.sure {
			return fmt.Errorf("message %v comes before %v", m, before)
		}
	}
	return nil
}

// missing returns a message that is owed to one of the clients, acknowledged, and has not come, or nil.
func (o *model) missing(subscribers []*client) (*message, *client) {
	for _, m := range o.all {
		if m.waits() == 0 || !m.acked {
			continue
		}
		for _, c := range subscribers {
			if m.waits()&c.bit() != 0 {
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
		m.owed1 &^= c.bit()
		m.owed2 &^= c.bit()
		m.got &^= c.bit()
		m.got2 &^= c.bit()
		if m.publisher == c && !m.acked {
			m.sure = false
		}
	}
}

// forgive is for a subscription that ends: what has not been accepted by then may pass it by.
func (o *model) forgive(c *client) {
	for _, m := range o.all {
		if !m.acked || m.will {
			m.owed &^= c.bit()
			m.owed1 &^= c.bit()
			m.owed2 &^= c.bit()
		}
	}
}
