package differential

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/packets"
)

const (
	// patience is how long a test waits for what must come.
	patience = 10 * time.Second
	// silence is how long nothing has to come until a broker is taken to wait for the rest of a packet.
	silence = 700 * time.Millisecond
)

var pingreq = packets.AppendPingreq(nil)

// client is one connection to one broker.
type client struct {
	t       testing.TB
	conn    net.Conn
	version packets.Version
	in      []byte
	closed  bool
}

func dial(t testing.TB, address string, v packets.Version) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, version: v}
}

// next returns the next packet, or false where there is none within the time.
func (c *client) next(within time.Duration) (frame []byte, ok bool) {
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.closed = true
	}
	for !c.closed {
		h, err := packets.ParseHeader(c.in)
		if err != nil {
			c.t.Fatalf("answer %x: %v", c.in, err)
		}
		if total := h.Size + h.Remaining; h.Size > 0 && len(c.in) >= total {
			frame, c.in = slices.Clone(c.in[:total]), c.in[total:]
			return frame, true
		}
		var buf [64 << 10]byte
		n, err := c.conn.Read(buf[:])
		c.in = append(c.in, buf[:n]...)
		switch {
		case n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, false
		default:
			c.closed = true
		}
	}
	return nil, false
}

// say sends bytes and a PINGREQ, and tells what comes up to its answer: sorted, since brokers may send deliveries
// before or after acknowledgements. waits is true where nothing comes within the time, since the broker waits for more.
func (c *client) say(b []byte, within time.Duration) (answers []string, waits bool) {
	c.write(append(slices.Clone(b), pingreq...))
	pings := 1
	if bytes.HasSuffix(b, pingreq) { // it is answered too
		pings++
	}
	for {
		frame, ok := c.next(within)
		switch {
		case c.closed:
			// Whether a broker says why it closes is its choice [v5 section 4.13]; Mosquitto seldom does.
			answers = slices.DeleteFunc(answers, func(s string) bool {
				return s == "DISCONNECT refused" || strings.HasPrefix(s, "CONNACK refused")
			})
			slices.Sort(answers)
			return append(answers, "closed"), false
		case !ok:
			slices.Sort(answers)
			return append(answers, "waits"), true
		}
		if packets.Type(frame[0]>>4) == packets.PINGRESP {
			if pings--; pings == 0 {
				slices.Sort(answers)
				return answers, false
			}
			continue
		}
		answers = append(answers, describe(c.t, frame, c.version))
	}
}

func (c *client) write(b []byte) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.conn.Write(b) // the broker may have closed; reading tells
}

// end waits until the broker has closed.
func (c *client) end() (answers []string) {
	for {
		frame, ok := c.next(patience)
		if !ok {
			if !c.closed {
				answers = append(answers, "stays open")
			}
			c.conn.Close()
			return answers
		}
		answers = append(answers, describe(c.t, frame, c.version))
	}
}

// describe is the class of a packet.
func describe(t testing.TB, frame []byte, v packets.Version) string {
	t.Helper()
	h, err := packets.ParseHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	body := frame[h.Size:]
	switch h.Type {
	case packets.CONNACK:
		if len(body) < 2 {
			return "CONNACK broken"
		}
		return fmt.Sprintf("CONNACK %s, session present %d", class(body[1], true), body[0])
	case packets.PUBLISH:
		var p packets.Publish
		if err := p.Decode(h, body, v, nil); err != nil {
			return "PUBLISH broken: " + err.Error()
		}
		return fmt.Sprintf("PUBLISH %.60q %.60q QoS %d dup %t retain %t properties %.100x ids %v", p.TopicName, p.Payload, p.QoS, p.Dup, p.Retain,
			packets.AppendForwarded(nil, p.PropertyBlock), p.SubscriptionIdentifiers)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		var p packets.Ack
		if err := p.Decode(h, body, v, nil); err != nil {
			return h.Type.String() + " broken: " + err.Error()
		}
		return fmt.Sprintf("%v %d %s", h.Type, p.PacketID, class(byte(p.ReasonCode), false))
	case packets.SUBACK:
		var p packets.Suback
		if err := p.Decode(h, body, v, nil); err != nil {
			return "SUBACK broken: " + err.Error()
		}
		s := fmt.Sprintf("SUBACK %d", p.PacketID)
		for _, code := range p.ReasonCodes {
			if s += " refused"; !code.IsError() {
				s = s[:len(s)-len("refused")] + fmt.Sprint(byte(code))
			}
		}
		return s
	case packets.DISCONNECT:
		code := byte(0)
		if len(body) > 0 {
			code = body[0]
		}
		return "DISCONNECT " + class(code, false)
	}
	return h.Type.String()
}

// class is success or failure.
func class(code byte, connack bool) string {
	if code >= 0x80 || connack && code > 0 {
		return "refused"
	}
	return "ok"
}
