package packets

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID     uint16
	Properties   Properties // UserProperties only
	TopicFilters [][]byte   // views into the packet
}

// Decode decodes the body of an UNSUBSCRIBE. Topic Filters are checked to be UTF-8, not for their syntax. Nil limits
// are DefaultLimits.
func (p *Unsubscribe) Decode(_ Header, body []byte, v Version, lim *Limits) (err error) {
	p.Properties.reset()
	p.TopicFilters = p.TopicFilters[:0]
	lim = lim.orDefault()
	c := cursor{body}
	if p.PacketID, err = c.packetID(); err != nil {
		return err
	}
	if v == V5 {
		if _, err := c.properties(&p.Properties, UNSUBSCRIBE, lim); err != nil {
			return err
		}
	}
	if len(c.rest) == 0 {
		return Errorf(ProtocolError, "v5 MQTT-3.10.3-2", "UNSUBSCRIBE without a topic filter")
	}
	for len(c.rest) > 0 {
		if len(p.TopicFilters) >= lim.Filters {
			return tooManyFilters(lim)
		}
		filter, err := c.text("topic filter")
		if err != nil {
			return err
		}
		p.TopicFilters = append(p.TopicFilters, filter)
	}
	return nil
}

// Append appends the packet.
func (p *Unsubscribe) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, UNSUBSCRIBE, UNSUBSCRIBE.fixedFlags())
	e.packetID(p.PacketID)
	e.properties(&p.Properties, v)
	for _, filter := range p.TopicFilters {
		e.binary(filter, "topic filter")
	}
	return e.finish()
}
