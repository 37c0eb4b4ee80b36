package vectors

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/packets"
	"nightjar/transports"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// shared is the folder of the vectors. It stands beside the repository where that is developed.
const shared = "../../../shared/vectors"

// load reads a file of vectors.
func load(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there: the vectors of other projects stand beside the repository only where it is developed", filepath.Join(shared, name))
	}
	must(t, err)
	must(t, json.Unmarshal(text, to))
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unhex decodes hexadecimal digits; spaces between them are for the reader.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	must(t, err)
	return b
}

// serve runs a broker of its own on one loop, or, where loops is less than 0, on a goroutine for each connection, and
// returns its address and what ends it.
func serve(t testing.TB, loops int) (address string, end func()) {
	t.Helper()
	log, clock := slog.New(slog.DiscardHandler), broker.Clock()
	a, err := auth.Open(auth.DefaultConfig())
	must(t, err)
	cfg := broker.DefaultConfig()
	cfg.SysInterval = 0
	cfg.Limits.TopicAliases = 10 // as the conversations assume
	b, err := broker.New(cfg, a, nil, map[string]broker.Listener{"tcp": {AllowAnonymous: true}}, clock, log)
	must(t, err)
	s, err := transports.New(transports.Config{Loops: loops, Clock: clock, Log: log}, b)
	must(t, err)
	b.Attach(s)
	ln, err := s.Listen(transports.ListenerConfig{Name: "tcp", Network: "tcp", Address: "127.0.0.1:0"})
	must(t, err)
	must(t, s.Start())
	b.Start()
	return ln.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		b.Shutdown(ctx)
	}
}

// peer is a client of bytes.
type peer struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, address string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return &peer{TCPConn: c.(*net.TCPConn), t: t, r: bufio.NewReader(c)}
}

// send writes; that the broker has closed the connection is seen by reading.
func (p *peer) send(b []byte) { _, _ = p.Write(b) }

// frame reads one packet. It is nil where the broker has closed the connection.
func (p *peer) frame() []byte {
	p.t.Helper()
	frame, err := readFrame(p.r)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("nothing came in %v", patience)
	}
	if err != nil {
		return nil
	}
	return frame
}

func readFrame(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	frame, length := []byte{first}, 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		frame = append(frame, b)
		length |= int(b&0x7F) << shift
		if b < 0x80 {
			break
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(frame, body...), nil
}

// answers reads packets up to and without the PINGRESP to the last of some PINGREQ that were sent. closed says that the
// broker has closed the connection before it.
func (p *peer) answers(pings int) (frames [][]byte, closed bool) {
	p.t.Helper()
	for {
		f := p.frame()
		if f == nil {
			return frames, true
		}
		if f[0] == pingresp[0] {
			if pings--; pings == 0 {
				return frames, false
			}
		}
		frames = append(frames, f)
	}
}

// ask sends bytes and a PINGREQ, and returns what comes before the answer to that.
func (p *peer) ask(b []byte) (frames [][]byte, closed bool) {
	p.t.Helper()
	p.send(append(b[:len(b):len(b)], pingreq...))
	return p.answers(1)
}

var (
	pingreq    = []byte{0xC0, 0}
	pingresp   = []byte{0xD0, 0}
	disconnect = []byte{0xE0, 0}
)

// connectFrame is a CONNECT with a clean session.
func connectFrame(t testing.TB, v packets.Version, id string) []byte {
	t.Helper()
	p := packets.Connect{Version: v, CleanStart: true, ClientID: []byte(id), KeepAliveSeconds: 60}
	b, err := p.Append(nil)
	must(t, err)
	return b
}

// join connects a client.
func join(t testing.TB, address string, v packets.Version, id string) *peer {
	t.Helper()
	p := dial(t, address)
	if frames, closed := p.ask(connectFrame(t, v, id)); closed || len(frames) != 1 || frames[0][3] != 0 {
		t.Fatalf("CONNECT of %s: %x, closed %v", id, frames, closed)
	}
	return p
}

// pair is a control pair: one client that publishes to another. It shows that the broker serves others.
type pair struct{ from, to *peer }

func newPair(t testing.TB, address string) pair {
	t.Helper()
	c := pair{join(t, address, packets.V311, "control from"), join(t, address, packets.V311, "control to")}
	if frames, closed := c.to.ask([]byte{0x82, 8, 0, 1, 0, 3, 'c', '/', 'c', 0}); closed || len(frames) != 1 {
		t.Fatalf("SUBSCRIBE of the control pair: %x, closed %v", frames, closed)
	}
	return c
}

// check passes a message through.
func (c pair) check() {
	c.from.t.Helper()
	until := time.Now().Add(patience)
	must(c.from.t, errors.Join(c.from.SetDeadline(until), c.to.SetDeadline(until)))
	c.from.send([]byte{0x30, 6, 0, 3, 'c', '/', 'c', '!'})
	if f := c.to.frame(); string(f) != "\x30\x06\x00\x03c/c!" {
		c.from.t.Fatalf("the control pair got %x", f)
	}
}

func (c pair) close() {
	c.from.Close()
	c.to.Close()
}
