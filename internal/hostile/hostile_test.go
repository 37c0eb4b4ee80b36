package hostile

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// row is one case, or a part of one: rows may share an id.
type row struct {
	id   string
	what string
	in   []string // bytes, each for a connection of its own; see encode
	// first says that the bytes come in place of CONNECT, and not after it.
	first bool
	// v3 and v5 are the answers of 3.1.1 and 5 that will do, with " or " between them, the best one first; "" is for a
	// version that has no such case. See outcome.
	v3, v5 string
	// lines is how many lines the log has of it, where that is not one.
	lines int
	// drops says that a message is acknowledged and dropped.
	drops bool

	// script is there in place of bytes. Where moves is set, it must move that counter.
	script func(x *run)
	moves  func(*seen) uint64
	only   packets.Version // 0: both
	kinds  []string        // nil: all four
	whole  bool            // not byte by byte: it is about much input, or not about input
	large  bool            // takes less than growthMax of memory

	// missing is why the case cannot be run: what it needs is not there yet.
	missing string
}

// growthMax is how much a case may make the process grow, in bytes.
const growthMax = 20 << 20

// versions are those that each case is run in.
var versions = []packets.Version{packets.V311, packets.V5}

// total is how many cases the list has.
const total = 197

// groups are the tables, and what the broker of each is like.
var groups = []struct {
	name    string
	rows    []row
	options mt.Options
}{
	{"A framing", framing, mt.Options{Config: limits, Users: users, Admins: admins, ACL: userRules}},
	{"B connect", connecting, mt.Options{Config: limits}},
	{"B login", logins, mt.Options{Config: limits, SCRAM: true, Users: users, Admins: admins, ACL: userRules}},
	{"C publish", publishing, mt.Options{Config: limits}},
	{"D subscribe", subscribing, mt.Options{Config: limits}},
	{"E state", others, mt.Options{Config: limits}},
	{"W web", web, mt.Options{Config: limits}},
	{"G authorization", authorization, mt.Options{Config: limits, Users: users, Admins: admins, ACL: userRules}},
}

func TestHostile(t *testing.T) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			b := newBench(t, g.options)
			before := settle()
			p := newPair(t, b)
			for i := range g.rows {
				if r := &g.rows[i]; r.missing == "" {
					t.Run(r.id+" "+r.what, func(t *testing.T) { b.row(t, r) })
				}
			}
			p.end()
			b.WaitOffline(0)
			t.Logf("%d connections with bytes, slowest answer %v", b.runs, b.slowest)
			if after := settle(); !raceEnabled && after > before+before/10+growthMax {
				t.Errorf("%d KiB are in use, %d KiB were", after>>10, before>>10)
			}
		})
	}
}

// TestComplete holds that every case of the list is here.
func TestComplete(t *testing.T) {
	ids, missing, n := map[string]bool{}, map[string]string{}, 0
	for _, g := range groups {
		for _, r := range g.rows {
			ids[r.id] = true
			if r.missing != "" {
				missing[r.id] = r.missing
			}
		}
	}
	for _, x := range []struct {
		letter string
		last   int
	}{{"A", 24}, {"B", 46}, {"C", 40}, {"D", 30}, {"E", 14}, {"W", 23}, {"G", 13}} {
		for i := 1; i <= x.last; i++ {
			id := fmt.Sprintf("%s%02d", x.letter, i)
			list := []string{id}
			if id == "B17" {
				list = nil
				for _, part := range "abcdefgh" {
					list = append(list, id+string(part))
				}
			}
			for _, id := range list {
				if !ids[id] {
					t.Errorf("%s is not here", id)
				}
				delete(ids, id)
				n++
			}
		}
	}
	for id := range ids {
		t.Errorf("%s is not on the list", id)
	}
	if n != total {
		t.Errorf("%d cases, want %d", n, total)
	}
	for id, why := range missing {
		t.Logf("%s waits: %s", id, why)
	}
}

// row runs a row over all transports, in both versions, in all ways of sending.
func (b *bench) row(t *testing.T, r *row) {
	if r.large { // what the garbage collector has not come to yet is no growth
		defer debug.SetGCPercent(debug.SetGCPercent(10))
	}
	before := settle()
	for _, e := range b.endpoints {
		if r.kinds != nil && !slices.Contains(r.kinds, e.kind) {
			continue
		}
		for _, v := range versions {
			if t.Failed() {
				return
			}
			if r.script != nil && (r.only == 0 || r.only == v) {
				b.script(t, r, e, v)
			}
			want := r.v3
			if v == packets.V5 {
				want = r.v5
			}
			for _, in := range r.in {
				if want != "" {
					b.everyWay(t, r, e, v, in, strings.Split(want, " or "))
				}
			}
		}
	}
	if grown := peak() - before; r.large && !raceEnabled && before > 0 && grown > growthMax {
		t.Errorf("memory grew by %d KiB", grown>>10)
	}
}

// run is one run of a script.
type run struct {
	*bench
	t   *testing.T
	v   packets.Version
	e   *endpoint
	one bool // byte by byte
	n   int  // different for each run
}

var runs int

func (b *bench) script(t *testing.T, r *row, e *endpoint, v packets.Version) {
	for _, one := range []bool{false, true} {
		if one && r.whole {
			continue
		}
		name := fmt.Sprintf("%s %v", e.kind, v)
		if one {
			name += " split"
		}
		t.Run(name, func(t *testing.T) {
			before := b.seen()
			runs++
			r.script(&run{bench: b, t: t, v: v, e: e, one: one, n: runs})
			if r.moves == nil {
				return
			}
			eventually(t, "a move of the counter", func() bool {
				after := b.seen()
				return r.moves(&after) > r.moves(&before)
			})
		})
	}
}

// id is a Client Identifier, or a topic, of this run.
func (x *run) id(name string) string { return fmt.Sprint(name, "-", x.n) }

// dial opens a connection over the transport of the run; it ends with the run.
func (x *run) dial() *mt.Client {
	x.t.Helper()
	c := mt.NewClient(x.t, x.v, x.e.dial(x.t, x.one))
	x.t.Cleanup(c.Close)
	return c
}

// connect connects over it.
func (x *run) connect(id string, options ...func(*packets.Connect)) *mt.Client {
	x.t.Helper()
	c := x.dial()
	x.greet(c, id, options...)
	return c
}

// greet sends CONNECT and wants CONNACK 0.
func (x *run) greet(c *mt.Client, id string, options ...func(*packets.Connect)) {
	x.t.Helper()
	c.SendConnect(id, append([]func(*packets.Connect){x.login()}, options...)...)
	if c.Connack = mt.Expect[*packets.Connack](c); c.Connack.ReasonCode != packets.Success {
		x.t.Fatalf("CONNACK %v %s", c.Connack.ReasonCode, c.Connack.Properties.ReasonString)
	}
}

// watch connects a well-behaved client over TCP and subscribes.
func (x *run) watch(filters ...string) *mt.Client {
	x.t.Helper()
	c := x.Connect(x.t, x.v, x.id("watch"), x.login())
	x.t.Cleanup(c.Close)
	for _, f := range filters {
		c.Subscribe(f, 2)
	}
	return c
}

// answers reads up to the answer to a PINGREQ that was sent last, or to the end.
func (x *run) answers(c *mt.Client) string {
	x.t.Helper()
	return x.bench.answers(x.t, c)
}

// want compares answers with those that will do.
func (x *run) want(got, v3, v5 string) {
	x.t.Helper()
	want := v3
	if x.v >= packets.V5 {
		want = v5
	}
	if !slices.Contains(strings.Split(want, " or "), got) {
		x.t.Fatalf("got %s, want %s", got, want)
	}
}

// ask sends bytes and a PINGREQ, and compares the answers.
func (x *run) ask(c *mt.Client, in, v3, v5 string) {
	x.t.Helper()
	_ = c.TryRaw(packets.AppendPingreq(encode(in, x.v)))
	x.want(x.answers(c), v3, v5)
}

func (b *bench) answers(t *testing.T, c *mt.Client) string {
	t.Helper()
	var tokens []string
	for {
		p, err := c.Next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("%v, and then neither an answer nor the end", tokens)
		case err != nil && p != nil:
			t.Fatalf("%v, and then %+v, which is malformed: %v", tokens, p, err)
		case err != nil:
			return outcome(tokens, true)
		}
		if _, ok := p.(mt.Pingresp); ok {
			return outcome(tokens, false)
		}
		tokens = append(tokens, token(p, c.Version))
	}
}

// cutsMax is at how many places the bytes of a row are cut in two.
const cutsMax = 48

// everyWay sends the bytes of a row in all ways.
func (b *bench) everyWay(t *testing.T, r *row, e *endpoint, v packets.Version, text string, want []string) {
	in := encode(text, v)
	b.bytes(t, r, e, v, want, "whole", func(c *conn) { _, _ = c.Write(in); _, _ = c.Write(pingreq) })
	b.bytes(t, r, e, v, want, "byte by byte", func(c *conn) { c.one = true; _, _ = c.Write(in); _, _ = c.Write(pingreq) })
	together := slices.Concat(in, pingreq)
	if r.first && !strings.HasPrefix(want[0], "C:00") {
		m := packets.Publish{TopicName: []byte(never), Payload: []byte(r.id), QoS: 1, PacketID: 1}
		after, err := m.Append(nil, v)
		must(t, err)
		together = slices.Concat(in, after, pingreq)
	}
	b.bytes(t, r, e, v, want, "coalesced", func(c *conn) { _, _ = c.Write(together) })
	if e.kind != "tcp" {
		return
	}
	for at := 1; at < len(in); at += 1 + len(in)/cutsMax {
		b.bytes(t, r, e, v, want, fmt.Sprintf("cut at %d", at), func(c *conn) {
			_, _ = c.Write(in[:at])
			_, _ = c.Write(append(in[at:len(in):len(in)], pingreq...))
		})
	}
}

var pingreq = packets.AppendPingreq(nil)

// bytes runs one connection with the bytes of a row, and holds the answers, the counter and the log against it.
func (b *bench) bytes(t *testing.T, r *row, e *endpoint, v packets.Version, want []string, how string, send func(*conn)) {
	if t.Failed() {
		return // once is enough
	}
	b.runs++
	where := fmt.Sprintf("%s over %s with %v, %s", r.id, e.kind, v, how)
	before := b.seen()
	raw := e.dial(t, false)
	defer raw.Close()
	c := mt.NewClient(t, v, raw)
	began := time.Now()
	if !r.first {
		p := packets.Connect{Version: v, CleanStart: true, ClientID: fmt.Append(nil, "bytes-", b.runs)}
		b.login()(&p)
		hello, err := p.Append(nil)
		must(t, err)
		if how == "coalesced" {
			raw.one = false
			next := send
			send = func(*conn) { next(&conn{Conn: prefixed{raw, hello}}) }
		} else {
			must(t, raw.write(hello))
			if got := mt.Expect[*packets.Connack](c); got.ReasonCode != packets.Success {
				t.Fatalf("%s: CONNACK %v", where, got.ReasonCode)
			}
		}
	}
	send(raw)
	got := b.answers(t, c)
	if !r.first && how == "coalesced" {
		got = strings.TrimPrefix(strings.TrimPrefix(got, "C:00"), " ")
		if got == "" {
			got = "open"
		}
	}
	b.slowest = max(b.slowest, time.Since(began))
	if !slices.Contains(want, got) {
		t.Errorf("%s: got %s, want %s", where, got, strings.Join(want, " or "))
		return
	}
	_ = raw.Close()
	b.oracles(t, r, where, before, got)
}

// prefixed writes something before the first write, in the same.
type prefixed struct {
	*conn
	before []byte
}

func (p prefixed) Write(b []byte) (int, error) { return len(b), p.write(append(p.before, b...)) }

// oracles holds the counter and the log against an outcome.
func (b *bench) oracles(t *testing.T, r *row, where string, before seen, got string) {
	moves, lines, times := r.moves, 0, 1
	refusal := strings.ContainsAny(got, "AR") && (strings.Contains(got, ":8") || strings.Contains(got, ":9"))
	switch {
	case strings.HasSuffix(got, "close") || strings.HasPrefix(got, "D:") || strings.HasPrefix(got, "C:") && got != "C:00":
		lines = 1
		if moves == nil {
			moves = disconnects
			if r.first {
				moves = refused
			}
		}
	case strings.HasPrefix(got, "S:") && strings.Contains(got, "8"):
		times = strings.Count(got, "8") // filters refused
		moves, lines = refusedSubs, times
	case refusal || r.drops:
		moves, lines = dropped, 1
	case moves == nil:
		return
	}
	if r.lines > 0 {
		lines = r.lines
	}
	after := b.seen()
	for end := time.Now().Add(delayMax); moves(&after) == moves(&before) || after.lines < before.lines+lines; after = b.seen() {
		if time.Now().After(end) {
			break
		}
		<-time.After(time.Millisecond)
	}
	if n := moves(&after) - moves(&before); n != uint64(times) {
		t.Errorf("%s: its counter moved by %d", where, n)
	}
	if n := after.lines - before.lines; n != lines {
		t.Errorf("%s: %d lines in the log, want %d", where, n, lines)
	}
}
