package simulation

import (
	"encoding/binary"
	"fmt"

	"nightjar/packets"
)

// inspector watches one connection at the broker's side, where it is known what the broker has got and what it has
// not. It implements simnet.Watcher.
type inspector struct {
	w       *world
	c       *client
	version packets.Version
	most    int // messages in flight to the client
	in, out []byte
	connack bool
	will    *message // of the connection; nil: none
	goodbye bool     // the DISCONNECT that calls it off has come

	flight map[uint16]packets.Type         // by identifier of the broker: what it waits for
	count  int                             // of PUBLISH in flight, sent on this connection
	fresh  map[uint16]bool                 // of these the identifiers
	owed   map[packets.Type]map[uint16]int // answers that the client may get, by type and identifier
}

func newInspector(w *world, c *client, most int) *inspector {
	return &inspector{
		w: w, c: c, version: c.version, most: most, will: c.will, flight: map[uint16]packets.Type{}, fresh: map[uint16]bool{},
		owed: map[packets.Type]map[uint16]int{
			packets.PUBACK: {}, packets.PUBREC: {}, packets.PUBREL: {}, packets.PUBCOMP: {}, packets.SUBACK: {}, packets.UNSUBACK: {},
		},
	}
}

// The arrows of packets in the trace, from and to the broker.
const (
	arrowOut = "──►"
	arrowIn  = "◄──"
)

// Wrote implements simnet.Watcher.
func (x *inspector) Wrote(b []byte) { x.out = x.split(append(x.out, b...), arrowOut, x.written) }

// Delivered implements simnet.Watcher.
func (x *inspector) Delivered(b []byte) { x.in = x.split(append(x.in, b...), arrowIn, x.delivered) }

// Finished implements simnet.Watcher.
func (x *inspector) Finished() {
	if x.will != nil && x.goodbye && x.c.newest == x {
		x.will.calledOff, x.will.crashes = true, x.w.crashes
	}
}

// split hands whole packets to fn and returns the rest.
func (x *inspector) split(b []byte, arrow string, fn func(h packets.Header, body []byte) error) []byte {
	for {
		h, err := packets.ParseHeader(b)
		if err != nil {
			x.w.fail(fmt.Errorf("%s: %w", x.c.id, err))
			return nil
		}
		total := h.Size + h.Remaining
		if h.Size == 0 || len(b) < total {
			return b
		}
		if x.w.Trace != nil {
			x.trace(arrow, h, b[h.Size:total])
		}
		if err := fn(h, b[h.Size:total]); err != nil {
			x.w.fail(fmt.Errorf("%s: %w", x.c.id, err))
		}
		b = b[total:]
	}
}

// trace shows a packet in the trace.
func (x *inspector) trace(arrow string, h packets.Header, body []byte) {
	text := fmt.Sprint(h.Type)
	switch h.Type {
	case packets.PUBLISH:
		var p packets.Publish
		if p.Decode(h, body, x.version, &decoder) == nil {
			text += fmt.Sprintf(" %d QoS %d dup %t retain %t alias %d %q %q", p.PacketID, p.QoS, p.Dup, p.Retain, p.TopicAlias, p.TopicName, nameOf(p.Payload))
		}
	case packets.CONNECT, packets.CONNACK:
		text += fmt.Sprintf(" %q", body)
	case packets.DISCONNECT:
		text += fmt.Sprintf(" %x", body)
	default:
		text += fmt.Sprintf(" %d", packetID(body))
		if h.Type == packets.SUBSCRIBE || h.Type == packets.UNSUBSCRIBE || h.Type == packets.SUBACK {
			text += fmt.Sprintf(" %q", body[2:])
		}
	}
	x.w.Trace(fmt.Sprintf("%11.6f       broker %s %s  %s", x.w.Elapsed().Seconds(), arrow, x.c.id, text))
}

// packetID reads the Packet Identifier of any packet but CONNECT, CONNACK and PUBLISH.
func packetID(body []byte) uint16 {
	if len(body) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(body)
}

// refused tells whether an acknowledgement has an error as its Reason Code.
func refused(body []byte) bool { return len(body) > 2 && body[2] >= 0x80 }

// publishID reads QoS and Packet Identifier of a PUBLISH.
func publishID(h packets.Header, body []byte) (qos packets.QoS, id uint16) {
	qos = packets.QoS(h.Flags >> 1 & 3)
	if n := int(binary.BigEndian.Uint16(body)); qos > 0 {
		id = binary.BigEndian.Uint16(body[2+n:])
	}
	return qos, id
}

// delivered takes note of what the broker has got.
func (x *inspector) delivered(h packets.Header, body []byte) error {
	id := packetID(body)
	switch h.Type {
	case packets.CONNECT:
		x.c.newest = x
	case packets.DISCONNECT:
		x.goodbye = len(body) == 0 || body[0] == byte(packets.Success)
	case packets.PUBLISH:
		qos, id := publishID(h, body)
		switch qos {
		case 1:
			x.owed[packets.PUBACK][id]++
		case 2:
			x.owed[packets.PUBREC][id]++
		}
	case packets.PUBREL:
		x.owed[packets.PUBCOMP][id]++
	case packets.SUBSCRIBE:
		x.owed[packets.SUBACK][id]++
	case packets.UNSUBSCRIBE:
		x.owed[packets.UNSUBACK][id]++
	case packets.PUBREC:
		if !refused(body) {
			x.flight[id] = packets.PUBCOMP
			x.owed[packets.PUBREL][id]++
			break
		}
		x.done(id)
	case packets.PUBACK, packets.PUBCOMP:
		x.done(id)
	}
	return nil
}

// done notes that the broker knows an identifier to be free.
func (x *inspector) done(id uint16) {
	delete(x.flight, id)
	if x.fresh[id] {
		delete(x.fresh, id)
		x.count--
	}
}

// written checks what the broker sends.
func (x *inspector) written(h packets.Header, body []byte) error {
	if x.connack == (h.Type == packets.CONNACK) {
		return fmt.Errorf("%v, and CONNACK was sent before: %t", h.Type, x.connack)
	}
	switch h.Type {
	case packets.CONNACK:
		x.connack = true
	case packets.PUBLISH:
		return x.publish(h, body)
	case packets.PUBREL:
		id := packetID(body)
		if x.flight[id] != 0 && x.flight[id] != packets.PUBCOMP {
			return fmt.Errorf("PUBREL for identifier %d, whose PUBREC has not come", id)
		}
		x.flight[id] = packets.PUBCOMP // it may be of an earlier connection
	case packets.PUBACK, packets.PUBREC, packets.PUBCOMP, packets.SUBACK, packets.UNSUBACK:
		id := packetID(body)
		if x.owed[h.Type][id] == 0 {
			return fmt.Errorf("%v for identifier %d, which nothing was sent with", h.Type, id)
		}
		x.owed[h.Type][id]--
	}
	return nil
}

func (x *inspector) publish(h packets.Header, body []byte) error {
	qos, id := publishID(h, body)
	if qos == 0 {
		return nil
	}
	if x.flight[id] != 0 {
		return fmt.Errorf("identifier %d is used again while it waits for %v", id, x.flight[id])
	}
	x.flight[id] = packets.PUBACK
	if qos == 2 {
		x.flight[id] = packets.PUBREC
	}
	x.fresh[id] = true
	if x.count++; x.count > x.most {
		return fmt.Errorf("%d messages in flight, more than %d", x.count, x.most)
	}
	return nil
}
