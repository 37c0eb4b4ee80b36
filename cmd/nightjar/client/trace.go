package client

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"nightjar/packets"
)

// tracedConn tells of every packet that goes over a connection, for --debug. It reads the stream itself, so that
// it shows what was really sent, whichever library sent it.
type tracedConn struct {
	net.Conn
	mu             sync.Mutex // guards the tracers and their output: MQTT 3 writes PINGREQ beside other packets
	sent, received tracer
}

func newTracedConn(conn net.Conn, out io.Writer, clientID string) *tracedConn {
	return &tracedConn{
		Conn:     conn,
		sent:     tracer{out: out, who: "Client " + clientID + " sending"},
		received: tracer{out: out, who: "Client " + clientID + " received"},
	}
}

func (c *tracedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received.feed(p[:n])
	return n, err
}

func (c *tracedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.feed(p[:n])
	return n, err
}

// traceBytesMax is how much of a packet's body is kept to describe it.
const traceBytesMax = 256

// tracer follows one direction of a stream. It is used by one goroutine at a time.
type tracer struct {
	out    io.Writer
	who    string
	header []byte // Fixed Header of the packet in progress
	length int    // its Remaining Length
	rest   int    // bytes of its body that have not come yet
	body   []byte // the first bytes of its body
}

func (t *tracer) feed(p []byte) {
	for len(p) > 0 {
		if t.rest > 0 {
			n := min(t.rest, len(p))
			t.body = append(t.body, p[:min(n, traceBytesMax-len(t.body))]...)
			t.rest -= n
			p = p[n:]
		} else {
			t.header = append(t.header, p[0])
			p = p[1:]
			if len(t.header) == 1 || t.header[len(t.header)-1] >= 0x80 && len(t.header) < 5 {
				continue
			}
			length, _ := binary.Uvarint(t.header[1:]) // MQTT's Variable Byte Integer has the same form
			t.length, t.rest = int(length), int(length)
		}
		if t.rest == 0 {
			fmt.Fprintf(t.out, "%s %s\n", t.who, describe(t.header[0], t.length, t.body))
			t.header, t.body = t.header[:0], t.body[:0]
		}
	}
}

// describe puts a packet in a line; body may be cut.
func describe(first byte, length int, body []byte) string {
	kind := packets.Type(first >> 4)
	switch {
	case kind == packets.PUBLISH && len(body) >= 2:
		topic := body[2:min(len(body), 2+int(binary.BigEndian.Uint16(body)))]
		return fmt.Sprintf("PUBLISH (d%d, q%d, r%d, %q, %d bytes)", first>>3&1, first>>1&3, first&1, topic, length)
	case kind == packets.CONNACK && len(body) >= 2:
		return fmt.Sprintf("CONNACK (session present %d, reason code 0x%02X, %d bytes)", body[0]&1, body[1], length)
	}
	return fmt.Sprintf("%v (%d bytes)", kind, length)
}
