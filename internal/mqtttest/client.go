package mqtttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"nightjar/packets"
)

// Client is a raw MQTT client. Its methods end the test where the broker does not do what they say. It
// belongs to one goroutine.
type Client struct {
	// Version is the protocol version that packets are encoded and decoded in.
	Version packets.Version
	// Connack is the answer to CONNECT.
	Connack *packets.Connack

	t    testing.TB
	conn net.Conn
	in   []byte
	next uint16             // Packet Identifier last used by the client
	kept []*packets.Publish // came while an answer was waited for
}

// Pingresp is a PINGRESP packet.
type Pingresp struct{}

// limits admit everything that a broker may send.
var limits = packets.Limits{UserProperties: 1 << 16, UserPropertyBytes: 1 << 28, StringBytes: 1 << 16, Filters: 1 << 16}

// Dial opens a connection and sends nothing.
func (b *Broker) Dial(t testing.TB, v packets.Version) *Client {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Version: v, t: t, conn: conn}
	b.mu.Lock()
	b.clients = append(b.clients, c)
	b.mu.Unlock()
	return c
}

// DialFrom is Dial from an IPv4 address that a proxy tells.
func (b *Broker) DialFrom(t testing.TB, v packets.Version, addr string) *Client {
	t.Helper()
	c := b.Dial(t, v)
	c.Raw([]byte("PROXY TCP4 " + addr + " 192.0.2.1 1234 1883\r\n"))
	return c
}

// Connect opens a connection with Clean Start and no Keep Alive, as changed by the options, and wants CONNACK 0.
func (b *Broker) Connect(t testing.TB, v packets.Version, clientID string, options ...func(*packets.Connect)) *Client {
	t.Helper()
	c := b.Dial(t, v)
	c.SendConnect(clientID, options...)
	c.Connack = Expect[*packets.Connack](c)
	if c.Connack.ReasonCode != packets.Success {
		t.Fatalf("CONNACK: %v %s", c.Connack.ReasonCode, c.Connack.Properties.ReasonString)
	}
	return c
}

// Refused connects and wants CONNACK with an error and the end of the connection.
func (b *Broker) Refused(t testing.TB, v packets.Version, clientID string, options ...func(*packets.Connect)) packets.ReasonCode {
	t.Helper()
	c := b.Dial(t, v)
	c.SendConnect(clientID, options...)
	a := Expect[*packets.Connack](c)
	if a.ReasonCode == packets.Success || a.SessionPresent {
		t.Fatalf("CONNACK: %v, session present %t; want a refusal", a.ReasonCode, a.SessionPresent)
	}
	c.ExpectClose()
	return a.ReasonCode
}

// SendConnect sends CONNECT.
func (c *Client) SendConnect(clientID string, options ...func(*packets.Connect)) {
	c.t.Helper()
	p := &packets.Connect{Version: c.Version, CleanStart: true, ClientID: []byte(clientID)}
	for _, o := range options {
		o(p)
	}
	b, err := p.Append(nil)
	c.check(err)
	c.Raw(b)
}

func (c *Client) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Raw sends bytes as they are.
func (c *Client) Raw(b []byte) {
	c.t.Helper()
	c.check(c.conn.SetWriteDeadline(time.Now().Add(Patience)))
	_, err := c.conn.Write(b)
	c.check(err)
}

// TryRaw sends bytes to a broker that may have closed the connection.
func (c *Client) TryRaw(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// Send sends a packet of package packets, or several in one write.
func (c *Client) Send(list ...any) {
	c.t.Helper()
	var b []byte
	for _, p := range list {
		b = append(b, c.Encode(p)...)
	}
	c.Raw(b)
}

// Encode encodes a packet.
func (c *Client) Encode(p any) []byte {
	c.t.Helper()
	var b []byte
	var err error
	switch p := p.(type) {
	case *packets.Connect:
		b, err = p.Append(nil)
	case interface {
		Append(dst []byte, v packets.Version) ([]byte, error)
	}:
		b, err = p.Append(nil, c.Version)
	default:
		err = fmt.Errorf("%T is not a packet", p)
	}
	c.check(err)
	return b
}

// Ack sends PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *Client) Ack(t packets.Type, id uint16, code ...packets.ReasonCode) {
	c.t.Helper()
	a := &packets.Ack{Type: t, PacketID: id}
	if len(code) > 0 {
		a.ReasonCode = code[0]
	}
	c.Send(a)
}

// Next returns the next packet; nil with an error where the connection has ended.
func (c *Client) Next() (any, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	for {
		h, err := packets.ParseHeader(c.in)
		if err != nil {
			return nil, err
		}
		if total := h.Size + h.Remaining; h.Size > 0 && len(c.in) >= total {
			body := bytes.Clone(c.in[h.Size:total])
			c.in = c.in[total:]
			return c.decode(h, body)
		}
		var buf [64 << 10]byte
		n, err := c.conn.Read(buf[:])
		if n == 0 && err != nil {
			return nil, err
		}
		c.in = append(c.in, buf[:n]...)
	}
}

// decode decodes one packet; body is the packet's own.
func (c *Client) decode(h packets.Header, body []byte) (any, error) {
	switch h.Type {
	case packets.CONNACK:
		p := &packets.Connack{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.PUBLISH:
		p := &packets.Publish{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		p := &packets.Ack{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.SUBACK:
		p := &packets.Suback{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.UNSUBACK:
		p := &packets.Unsuback{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.DISCONNECT:
		p := &packets.Disconnect{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.AUTH:
		p := &packets.Auth{}
		return p, p.Decode(h, body, c.Version, &limits)
	case packets.PINGRESP:
		return Pingresp{}, nil
	}
	return nil, fmt.Errorf("the broker sent %v", h.Type)
}

// Expect wants a packet of type P next. A PUBLISH that comes before an answer is kept for the Expect that wants it.
func Expect[P any](c *Client) P {
	c.t.Helper()
	for {
		p, err := c.take(*new(P))
		if err != nil {
			c.t.Fatalf("want %T: %v", *new(P), err)
		}
		if x, ok := p.(P); ok {
			return x
		}
		m, ok := p.(*packets.Publish)
		if !ok {
			c.t.Fatalf("got %T %+v, want %T", p, p, *new(P))
		}
		c.kept = append(c.kept, m)
	}
}

// take returns the first kept PUBLISH where that is wanted, or else what comes next.
func (c *Client) take(want any) (any, error) {
	if _, ok := want.(*packets.Publish); ok && len(c.kept) > 0 {
		m := c.kept[0]
		c.kept = c.kept[1:]
		return m, nil
	}
	return c.Next()
}

// ExpectAck wants PUBACK, PUBREC, PUBREL or PUBCOMP with an identifier, and returns its Reason Code.
func (c *Client) ExpectAck(t packets.Type, id uint16) packets.ReasonCode {
	c.t.Helper()
	a := Expect[*packets.Ack](c)
	if a.Type != t || a.PacketID != id {
		c.t.Fatalf("got %v %d, want %v %d", a.Type, a.PacketID, t, id)
	}
	return a.ReasonCode
}

// Ping returns once the broker has handled everything that the client has sent.
func (c *Client) Ping() {
	c.t.Helper()
	c.Raw(packets.AppendPingreq(nil))
	Expect[Pingresp](c)
}

// ExpectNothing wants that nothing is on its way to the client: what it is sent next is the answer to a PINGREQ.
func (c *Client) ExpectNothing() {
	c.t.Helper()
	c.Ping()
	for _, m := range c.kept {
		c.t.Fatalf("got %q %.100q, want nothing", m.TopicName, m.Payload)
	}
}

// ExpectClose wants the end of the connection, and nothing before it.
func (c *Client) ExpectClose() {
	c.t.Helper()
	p, err := c.take(&packets.Publish{})
	if err == nil {
		c.t.Fatalf("got %T %+v, want the end of the connection", p, p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the broker does not close the connection")
	}
	if !errors.Is(err, io.EOF) {
		var op *net.OpError
		if !errors.As(err, &op) {
			c.t.Fatalf("want the end of the connection: %v", err)
		}
	}
	c.Close()
}

// ExpectDisconnect wants the end of the connection; before it, in v5, DISCONNECT with a Reason Code.
func (c *Client) ExpectDisconnect(code packets.ReasonCode) {
	c.t.Helper()
	if c.Version >= packets.V5 {
		if d := Expect[*packets.Disconnect](c); d.ReasonCode != code {
			c.t.Fatalf("DISCONNECT 0x%02x (%s), want 0x%02x", byte(d.ReasonCode), d.Properties.ReasonString, byte(code))
		}
	}
	c.ExpectClose()
}

// Close ends the connection without DISCONNECT.
func (c *Client) Close() { _ = c.conn.Close() }

// Reset ends the connection with RST, which the broker sees even where it does not read.
func (c *Client) Reset() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// Disconnect sends DISCONNECT with Reason Code 0 and waits for the end.
func (c *Client) Disconnect() {
	c.t.Helper()
	c.Send(&packets.Disconnect{})
	c.ExpectClose()
}
