package hostile

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightjar/admin"
	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

func TestMain(m *testing.M) {
	p, err := authority()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(p.dir)
		os.Exit(code)
	}))
}

// canary is a password that must never be seen again.
const canary = "c4n4ry-p4ssw0rd"

// bench is a broker with a listener for each transport, with all that watches over it.
type bench struct {
	*mt.Broker
	t         *testing.T
	log       *capture
	endpoints []*endpoint
	admin     *admin.Server
	runs      int
	slowest   time.Duration
}

// newBench starts a broker. What it must leave behind as it was is looked at when the test ends.
func newBench(t *testing.T, o mt.Options) *bench {
	t.Helper()
	leaks, files := goleak.IgnoreCurrent(), descriptors()
	b := &bench{t: t, log: &capture{}}
	t.Cleanup(func() {
		if err := goleak.Find(leaks); err != nil {
			t.Error(err)
		}
		eventually(t, "the end of all descriptors", func() bool { return descriptors() <= files })
	})
	o.Log = slog.New(slog.NewJSONHandler(b.log, nil))
	if o.ACL == "" {
		o.ACL = rules
	}
	b.Broker = mt.NewBroker(t, o)
	for _, kind := range kinds {
		b.endpoints = append(b.endpoints, listen(t, b.Broker, kind, nil))
	}
	var err error
	b.admin, err = admin.Listen(admin.Config{Address: "127.0.0.1:0", Log: o.Log}, b.Broker, nil)
	must(t, err)
	b.admin.Start()
	t.Cleanup(b.checkSecret)
	return b
}

// checkSecret looks for the canary in all that the broker has said.
func (b *bench) checkSecret() {
	defer b.admin.Close()
	said := b.log.text()
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Get("http://" + b.admin.Addr().String() + path)
		must(b.t, err)
		body, err := io.ReadAll(r.Body)
		must(b.t, err)
		r.Body.Close()
		said += string(body)
	}
	if strings.Contains(said, canary) {
		b.t.Error("a password is in the log or in the metrics")
	}
	if at := strings.IndexFunc(said, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7F }); at >= 0 {
		b.t.Errorf("a control character is in the log or in the metrics: %q", said[max(at-100, 0):min(at+10, len(said))])
	}
}

// capture is the broker's log.
type capture struct {
	mu   sync.Mutex
	buf  bytes.Buffer // guarded by mu
	line int          // guarded by mu
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line += bytes.Count(b, []byte("\n"))
	return c.buf.Write(b)
}

func (c *capture) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func (c *capture) lines() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// seen is what can be counted from outside.
type seen struct {
	broker.Stats
	lines int // of the log, with those left out because there were too many
}

func (b *bench) seen() seen {
	s := seen{Stats: b.Stats(), lines: b.log.lines()}
	s.lines += int(s.LogLinesLeftOut)
	return s
}

// The counters that a case may move.
func disconnects(s *seen) uint64 { return s.Disconnects }
func refused(s *seen) uint64     { return s.ConnectionsRefused }
func refusedSubs(s *seen) uint64 { return s.SubscriptionsRefused }
func unknownAcks(s *seen) uint64 { return s.UnknownAcks }
func wills(s *seen) uint64       { return s.WillsPublished }
func handshakes(s *seen) uint64  { return s.HandshakesRefused }
func closed(s *seen) uint64      { return s.ConnectionsClosed }
func dropped(s *seen) (n uint64) {
	for _, x := range s.Dropped {
		n += x
	}
	return n
}

// pair is a control pair: a client that publishes fifty messages a second at QoS 1, and one that receives them. It shows
// that the broker serves others meanwhile.
type pair struct {
	t        *testing.T
	from, to *mt.Client
	done     chan struct{}
	wg       sync.WaitGroup

	mu       sync.Mutex
	sent     []time.Time     // by number; guarded by mu
	took     []time.Duration // guarded by mu
	problems []string        // guarded by mu
}

// never is where nobody may publish: what follows a refused CONNECT goes there.
const never = "never"

func newPair(t *testing.T, b *bench) *pair {
	t.Helper()
	p := &pair{t: t, done: make(chan struct{})}
	p.from, p.to = b.Connect(t, packets.V311, "control-from", b.login()), b.Connect(t, packets.V5, "control-to", b.login())
	p.to.Subscribe("control", 1)
	p.to.Subscribe(never, 1)
	p.wg.Go(p.publish)
	p.wg.Go(p.receive)
	return p
}

func (p *pair) publish() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		p.sent = append(p.sent, time.Now())
		p.mu.Unlock()
		m := packets.Publish{TopicName: []byte("control"), Payload: strconv.AppendInt(nil, int64(n), 10), QoS: 1, PacketID: uint16(n%65535 + 1)}
		b, err := m.Append(nil, packets.V311)
		if err == nil {
			err = p.from.TryRaw(b)
		}
		var got any
		if err == nil {
			got, err = p.from.Next()
		}
		if a, ok := got.(*packets.Ack); err != nil || !ok || a.PacketID != m.PacketID {
			p.problem("message %d got %+v, %v in place of PUBACK", n, got, err)
			return
		}
	}
}

func (p *pair) receive() {
	for n := 0; ; n++ {
		got, err := p.to.Next()
		m, ok := got.(*packets.Publish)
		if !ok {
			select {
			case <-p.done:
			default:
				p.problem("got %+v, %v in place of message %d", got, err, n)
			}
			return
		}
		if string(m.TopicName) != "control" || string(m.Payload) != strconv.Itoa(n) {
			p.problem("got %q %q in place of message %d", m.TopicName, m.Payload, n)
			return
		}
		p.mu.Lock()
		p.took = append(p.took, time.Since(p.sent[n]))
		p.mu.Unlock()
		if err := p.to.TryRaw(packets.AppendAck(nil, packets.PUBACK, m.PacketID)); err != nil {
			p.problem("PUBACK of message %d: %v", n, err)
			return
		}
	}
}

func (p *pair) problem(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// delayMax is what 99 of 100 messages of a control pair may take. The list says 250 ms on a machine of one's own; here
// other tests run beside.
const delayMax = time.Second

// end stops the pair and says what it has seen.
func (p *pair) end() {
	p.t.Helper()
	eventually(p.t, "the last message of the control pair", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.took) == len(p.sent) || len(p.problems) > 0
	})
	close(p.done)
	p.from.Close()
	p.to.Close()
	p.wg.Wait()
	for _, s := range p.problems {
		p.t.Error("control pair: ", s)
	}
	if len(p.took) == 0 {
		return
	}
	slices.Sort(p.took)
	if d := p.took[len(p.took)*99/100]; d > delayMax {
		p.t.Errorf("control pair: 99 of 100 messages took up to %v", d)
	}
	p.t.Logf("control pair: %d messages, p99 %v, longest %v", len(p.took), p.took[len(p.took)*99/100], p.took[len(p.took)-1])
}

func (b *bench) login() func(*packets.Connect) {
	if b.Auth.NeedsPassword() {
		return mt.Login("control", canary)
	}
	return func(*packets.Connect) {}
}

// descriptors is how many are open; 0 where the system does not tell.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// settle gives memory back and returns what the process then holds, in bytes; 0 where the system does not tell.
func settle() int {
	runtime.GC() // twice: pools give up what they hold only then
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // so that the peak counts from here
	return status("VmRSS:")
}

// peak is the most memory that the process has held since settle.
func peak() int { return status("VmHWM:") }

func status(field string) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), field)
	n, _ := strconv.Atoi(strings.Fields(after + " 0")[0])
	return n << 10
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(mt.Patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
