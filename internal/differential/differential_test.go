package differential

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/mqtttest"
	"nightjar/packets"
)

// seeds is how many conversations there are around each changed packet.
var seeds = flag.Int("seeds", 1, "conversations for each change; CI has 1")

// TestDifferential holds every conversation with both brokers.
func TestDifferential(t *testing.T) {
	both := &brokers{t: t, theirs: startMosquitto(t), ours: mqtttest.NewBroker(t, mqtttest.Options{}).Addr, known: loadDifferences(t)}
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		for _, target := range targets(v) {
			valid := newConversation(v, "", target, 0).packet(target)
			for _, m := range append(mutants(valid), mutant{name: target + asItShouldBe}) {
				name := fmt.Sprintf("%v %s", v, m.name)
				difference := ""
				for seed := range *seeds {
					if d := both.compare(v, target, m.name, uint64(seed)); d != "" {
						difference = fmt.Sprintf("seed %d: %s", seed, d)
					}
				}
				both.known.settle(t, name, difference)
			}
		}
	}
	both.known.finish(t)
	t.Logf("%d conversations", both.count)
}

// asItShouldBe is the change that changes nothing.
const asItShouldBe = " as it should be"

// brokers are the two that are compared.
type brokers struct {
	t            *testing.T
	ours, theirs string // addresses
	known        *differences
	count        int // conversations so far
}

// compare has a conversation with a change in its target, and tells how the brokers differ. Where one of them waits,
// and nobody has said why, it may only be slow: then there is one more conversation, with more time.
func (b *brokers) compare(v packets.Version, target, change string, seed uint64) (difference string) {
	b.t.Helper()
	for _, within := range []time.Duration{silence, patience} {
		b.count++
		c := newConversation(v, fmt.Sprintf("d%06d", b.count), target, seed)
		if !c.change(target, change) {
			b.t.Fatalf("%v %s: not there", v, change)
		}
		difference = c.compare(b.t, b.ours, b.theirs, within)
		if !strings.Contains(difference, "waits") || b.known.explain(fmt.Sprintf("%v %s", v, change)) {
			break
		}
	}
	return difference
}

// change makes the change of this name in the conversation's own packet.
func (c *conversation) change(target, name string) bool {
	if name == target+asItShouldBe {
		return true
	}
	for _, m := range mutants(c.packet(target)) {
		if m.name == name {
			return c.replace(target, m.packet)
		}
	}
	return false
}

// compare tells how what ours does differs from what theirs does.
func (c *conversation) compare(t *testing.T, ours, theirs string, within time.Duration) string {
	t.Helper()
	var got, want []step
	var wg sync.WaitGroup
	wg.Go(func() { got = c.hold(t, ours, within) })
	wg.Go(func() { want = c.hold(t, theirs, within) })
	wg.Wait()
	for i := range min(len(got), len(want)) {
		ours, theirs := without(got[i].answers, want[i].answers), without(want[i].answers, got[i].answers)
		if len(ours)+len(theirs) > 0 {
			return fmt.Sprintf("%s: Nightjar: %s | Mosquitto: %s", got[i].name, strings.Join(ours, ", "), strings.Join(theirs, ", "))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("Nightjar: %d steps | Mosquitto: %d", len(got), len(want))
	}
	return ""
}

// without is what a has that b has not.
func without(a, b []string) []string {
	a, b = slices.Clone(a), slices.Clone(b)
	return slices.DeleteFunc(a, func(s string) bool {
		i := slices.Index(b, s)
		if i >= 0 {
			b = slices.Delete(b, i, i+1)
		}
		return i >= 0
	})
}

// step is a part of a conversation, and what came back in it.
type step struct {
	name    string
	answers []string
}

// hold has the conversation with one broker, and tells what came back, step by step. A broker that says nothing within the
// time waits for more.
func (c *conversation) hold(t *testing.T, address string, within time.Duration) (log []step) {
	note := func(name string, answers []string) {
		log = append(log, step{name, answers})
	}
	other := dial(t, address, packets.V5)
	defer other.conn.Close()
	other.say(slices.Concat(connect(packets.V5, c.id+"-other", true), subscribe(c.id+"/#")), patience)
	actor := dial(t, address, c.version)
	defer actor.conn.Close()
	answers, waits := actor.say(join(c.parts[0]), within)
	note("part 1", answers)
	if !actor.closed && !waits {
		in := packets.Publish{TopicName: []byte(c.id + "/in"), Payload: []byte("in"), QoS: c.inQoS, PacketID: 1}
		b, err := in.Append(nil, packets.V5)
		if err != nil {
			t.Error(err)
		}
		if c.inQoS == 2 {
			b = packets.AppendAck(b, packets.PUBREL, 1)
		}
		other.say(b, patience)
		answers, waits = actor.say(join(c.parts[1]), within)
		note("part 2", answers)
	}
	switch {
	case waits:
		return log
	case !actor.closed:
		actor.write(disconnect(c.version))
		note("end", actor.end())
	}
	answers, _ = other.say(nil, patience)
	note("other", answers)
	again := dial(t, address, c.version)
	defer again.conn.Close()
	answers, _ = again.say(connect(c.version, c.id, false), patience)
	note("again", answers)
	last := dial(t, address, c.version)
	defer last.conn.Close()
	last.say(connect(c.version, c.id, true), patience)
	return log
}

func join(list []packet) (b []byte) {
	for _, p := range list {
		b = append(b, p.bytes()...)
	}
	return b
}

func connect(v packets.Version, id string, clean bool) []byte {
	b, err := (&packets.Connect{
		Version: v, CleanStart: clean, ClientID: []byte(id), KeepAliveSeconds: 60, HasUserName: true, UserName: []byte("user"),
	}).Append(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func subscribe(filter string) []byte {
	b, err := (&packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{
		TopicFilter: []byte(filter), Options: packets.SubscriptionOptions{QoS: 2, RetainAsPublished: true},
	}}}).Append(nil, packets.V5)
	if err != nil {
		panic(err)
	}
	return b
}

// disconnect is DISCONNECT; in v5 the will is to be published.
func disconnect(v packets.Version) []byte {
	b, err := (&packets.Disconnect{ReasonCode: packets.DisconnectWithWill}).Append(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

// startMosquitto starts Debian's Mosquitto with as few limits of its own as it has, and returns its address.
func startMosquitto(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().(*net.TCPAddr)
	ln.Close()
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nset_tcp_nodelay true\nlog_type none\n", address.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, path, "-c", config)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("start Mosquitto: %v; .ci/deps installs it", err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // it was killed
	})
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address.String())
		if err == nil {
			c.Close()
			return address.String()
		}
		if time.Now().After(end) {
			t.Fatalf("Mosquitto does not listen: %v", err)
		}
	}
}

// differences are the lines of testdata/differences.txt: why the two differ in the changes that a pattern matches.
type differences struct {
	lines []*difference
}

type difference struct {
	pattern, reason string
	match           *regexp.Regexp
	used            bool
}

func loadDifferences(t *testing.T) *differences {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	d, reason, seen := &differences{}, "", map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		pattern, ok := strings.CutPrefix(line, "- ")
		switch {
		case ok && (reason == "" || seen[pattern]):
			t.Errorf("differences.txt: %q has no reason, or stands there twice", pattern)
		case ok:
			seen[pattern] = true
			expression := "^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$"
			d.lines = append(d.lines, &difference{pattern: pattern, reason: reason, match: regexp.MustCompile(expression)})
		case line != "" && line[0] != '#':
			reason = line
		}
	}
	return d
}

// explain tells whether there is a reason for a difference, and notes that it is needed.
func (d *differences) explain(name string) (explained bool) {
	for _, line := range d.lines {
		if line.match.MatchString(name) {
			line.used, explained = true, true
		}
	}
	return explained
}

// settle fails for a difference that no line explains.
func (d *differences) settle(t *testing.T, name, what string) {
	t.Helper()
	if what != "" && !d.explain(name) {
		t.Errorf("%s\t%s", name, what)
	}
}

// finish fails for lines that explain nothing.
func (d *differences) finish(t *testing.T) {
	t.Helper()
	stale := map[string]bool{}
	for _, line := range d.lines {
		if !line.used {
			stale[line.pattern] = true
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(stale)) {
		t.Errorf("differences.txt: there is no difference in %q any more", pattern)
	}
}
