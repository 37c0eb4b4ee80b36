package broker

import "nightjar/packets"

// aliases are the Topic Aliases of one connection [v5 MQTT-3.3.2-7].
type aliases struct {
	outMax uint16            // Topic Alias Maximum of the client; fixed
	out    map[string]uint16 // topic to alias of the broker; guarded by the outbox
	used   []string          // by alias less one: the topic; guarded by the outbox
	age    []uint32          // by alias less one: when it was last used; guarded by the outbox
	clock  uint32            // guarded by the outbox
}

// resolve returns the topic of a PUBLISH with a Topic Alias [v5 MQTT-3.3.2-8] [v5 MQTT-3.3.2-9].
func (c *client) resolve(w *worker, in *packets.Publish) ([]byte, error) {
	most := w.b.cfg.Limits.TopicAliases
	if int(in.TopicAlias) > most {
		return nil, packets.Errorf(packets.TopicAliasInvalid, "v5 MQTT-3.3.2-9", "topic alias %d is above the maximum of %d", in.TopicAlias, most)
	}
	if len(in.TopicName) == 0 {
		topic, ok := c.inward()[in.TopicAlias]
		if !ok {
			return nil, packets.Errorf(packets.ProtocolError, "v5 MQTT-3.3.2-7", "topic alias %d was not set on this connection", in.TopicAlias)
		}
		return []byte(topic), nil
	}
	if len(in.TopicName) <= w.b.topics.Bytes { // a longer one is refused
		c.inward()[in.TopicAlias] = string(in.TopicName)
	}
	return in.TopicName, nil
}

func (c *client) inward() map[uint16]string {
	r := c.more()
	if r.aliases == nil {
		r.aliases = map[uint16]string{}
	}
	return r.aliases
}

// outward replaces the topic of a PUBLISH by an alias, where the client allows aliases: a known one, or one
// that is set with this packet, in place of the least recently used [v5 MQTT-3.3.2-11]. The outbox is locked. a may be nil.
func (a *aliases) outward(d *packets.Delivery, topic string) {
	if a == nil {
		return
	}
	a.clock++
	if alias, ok := a.out[topic]; ok {
		a.age[alias-1] = a.clock
		d.TopicAlias, d.OmitTopicName = alias, true
		return
	}
	at := len(a.used)
	if at < int(a.outMax) {
		a.used, a.age = append(a.used, ""), append(a.age, 0)
	} else {
		at = 0
		for i, age := range a.age {
			if age < a.age[at] {
				at = i
			}
		}
		delete(a.out, a.used[at])
	}
	if a.out == nil {
		a.out = map[string]uint16{}
	}
	a.used[at], a.age[at] = topic, a.clock
	a.out[topic] = uint16(at + 1)
	d.TopicAlias = uint16(at + 1)
}

// alias gives a PUBLISH to the client a Topic Alias, unless that makes it too large for the client: setting one
// takes three bytes, and so does the use of one in place of a shorter topic. The outbox is locked.
func (c *client) alias(d *packets.Delivery, m *packets.Message) {
	if c.aliases == nil {
		return
	}
	c.aliases.outward(d, m.TopicName)
	if !c.fits(m.Size(c.version, d)) {
		c.aliases.undo(d)
		d.TopicAlias, d.OmitTopicName = 0, false
	}
}

// undo forgets an alias that was to be set with a packet that is not sent.
func (a *aliases) undo(d *packets.Delivery) {
	if a == nil || d.TopicAlias == 0 || d.OmitTopicName {
		return
	}
	at := int(d.TopicAlias) - 1
	delete(a.out, a.used[at])
	a.used[at], a.age[at] = "", 0
}
