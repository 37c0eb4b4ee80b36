package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachVersion runs a test for 3.1.1 and 5.
func eachVersion(t *testing.T, fn func(t *testing.T, v packets.Version)) {
	t.Helper()
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		t.Run("v"+v.String(), func(t *testing.T) {
			t.Parallel()
			fn(t, v)
		})
	}
}

// start starts a broker with the default options.
func start(t *testing.T) *mt.Broker {
	t.Helper()
	return mt.NewBroker(t, mt.Options{})
}

// want compares.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peer is a client of bytes, on any transport.
type peer struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// newPeer takes over a connection until the end of the test.
func newPeer(t *testing.T, conn net.Conn) *peer {
	t.Helper()
	must(t, conn.SetDeadline(time.Now().Add(mt.Patience)))
	t.Cleanup(func() { conn.Close() })
	return &peer{conn, t, bufio.NewReader(conn)}
}

func dial(t *testing.T, b *mt.Broker) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr)
	must(t, err)
	return newPeer(t, conn)
}

// send sends hexadecimal digits; spaces are for the reader.
func (p *peer) send(digits string) {
	p.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	must(p.t, err)
	_, err = p.Write(b)
	must(p.t, err)
}

// frame reads one packet; nil where the broker has closed the connection.
func (p *peer) frame() []byte {
	p.t.Helper()
	head, err := p.r.Peek(2)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		p.t.Fatal("the broker neither answers nor closes the connection")
	case err != nil:
		return nil
	}
	var taken bytes.Buffer
	taken.WriteByte(head[0])
	_, _ = p.r.ReadByte()
	length, err := binary.ReadUvarint(teeByte{p.r, &taken})
	must(p.t, err)
	_, err = io.CopyN(&taken, p.r, int64(length))
	must(p.t, err)
	return taken.Bytes()
}

// teeByte keeps what is read.
type teeByte struct {
	from io.ByteReader
	to   *bytes.Buffer
}

func (t teeByte) ReadByte() (byte, error) {
	b, err := t.from.ReadByte()
	t.to.WriteByte(b)
	return b, err
}

// expect wants packets next, as hexadecimal digits, in any order.
func (p *peer) expect(list ...string) {
	p.t.Helper()
	left := map[string]bool{}
	for _, digits := range list {
		left[strings.ReplaceAll(digits, " ", "")] = true
	}
	for range list {
		got := hex.EncodeToString(p.frame())
		if !left[got] {
			p.t.Fatalf("got %q, want one of %v", got, left)
		}
		delete(left, got)
	}
}

// ended wants the end of the connection, and nothing before it but what is returned.
func (p *peer) ended() (frames [][]byte) {
	p.t.Helper()
	for f := p.frame(); f != nil; f = p.frame() {
		frames = append(frames, f)
	}
	p.Close()
	return frames
}

// text is a string as it stands on the wire, behind its length.
func text(s string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s
}

// packet is a packet of a first byte and a body.
func packet(first byte, body string) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

// none is an empty property block in v5, and nothing before.
func none(v packets.Version) string {
	if v < packets.V5 {
		return ""
	}
	return "\x00"
}

// both is the bytes of a packet whose body has an empty property block at its %.
func both(v packets.Version, first byte, body string) []byte {
	return packet(first, strings.Replace(body, "%", none(v), 1))
}

// longTopics lets topics be as long as the standard does.
func longTopics(c *broker.Config) { c.Limits.TopicBytes = 65_535 }
