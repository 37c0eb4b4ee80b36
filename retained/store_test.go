package retained

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"nightjar/packets"
)

func message(topicName, payload string) *packets.Message {
	return &packets.Message{TopicName: topicName, Payload: []byte(payload), Retain: true}
}

func expiring(topicName string, at packets.Instant) *packets.Message {
	m := message(topicName, "x")
	m.Expiry = at
	return m
}

// big makes a Store that meets no limit.
func big() *Store { return New(Limits{Messages: 1 << 30, Bytes: bytesMax}) }

func mustSet(t testing.TB, s *Store, m *packets.Message) {
	t.Helper()
	if err := s.Set(m); err != nil {
		t.Fatalf("set %q: %v", m.TopicName, err)
	}
}

// names are the sorted Topic Names of messages.
func names(messages []*packets.Message) []string {
	out := make([]string, 0, len(messages))
	for _, m := range messages {
		out = append(out, m.TopicName)
	}
	slices.Sort(out)
	return out
}

// wantConsistent walks all structures of s and holds that they agree.
func wantConsistent(t fataler, s *Store) {
	t.Helper()
	used, messages, bytes, due, chained, linked := 0, 0, int64(0), 0, 0, 0
	for number, nodes := range s.nodes.nodes {
		if nodes == nil {
			continue
		}
		p := s.nodes.pages[number]
		used += p.used
		idle := map[uint32]bool{0: number == 0} // the root, and free nodes
		for free := p.free; free != 0; free = nodes[free-1].next {
			idle[free-1] = true
		}
		for i := range p.fresh {
			id := uint32(number*pageSize + i)
			n := &nodes[i]
			last, plain := uint32(none), uint8(0)
			for c := n.first; c != none; c = s.nodes.at(c).next {
				child := s.nodes.at(c)
				if child.parent != id || (c != n.first && child.prev != last) || (child.plain && last != none && !s.nodes.at(last).plain) {
					t.Fatalf("node %d %q is linked wrongly below %d", c, child.text, id)
				}
				if child.plain {
					plain++
				}
				last = c
				linked++
			}
			if plain != n.plainChildren {
				t.Fatalf("node %d %q has %d plain children, not %d", id, n.text, plain, n.plainChildren)
			}
			if n.first != none && s.nodes.at(n.first).prev != last {
				t.Fatalf("the last child of node %d %q is %d, its first says %d", id, n.text, last, s.nodes.at(n.first).prev)
			}
			if idle[uint32(i)] {
				continue
			}
			if got := s.child(n.parent, n.level()); got != id {
				t.Fatalf("node %d %q is not found below its parent: got %d", id, n.text, got)
			}
			if n.message == nil && n.first == none {
				t.Fatalf("node %d %q is empty", id, n.text)
			}
			if n.message != nil {
				messages++
				bytes += Size(n.message)
				if n.text != n.message.TopicName || s.find(n.text) != id {
					t.Fatalf("message %q is not found, or its node holds the text %q", n.message.TopicName, n.text)
				}
			} else if n.start != 0 {
				t.Fatalf("node %d without message holds the text %q for level %q", id, n.text, n.level())
			}
			if n.due != 0 {
				due++
				if e := s.due[n.due-1]; e.id != id || e.expiry != n.message.Expiry {
					t.Fatalf("due entry of %q is %+v", n.text, e)
				}
			} else if n.message != nil && n.message.Expiry != 0 {
				t.Fatalf("message %q has no due entry", n.text)
			}
			if n.parent != none && !s.nodes.at(n.parent).plain {
				chained++
				found := false
				for c := s.cousin(s.nodes.at(n.parent).parent, n.level()); c != none; c = s.nodes.at(c).nextCousin {
					found = found || c == id
				}
				if !found {
					t.Fatalf("node %d %q is not in its cousin chain", id, n.text)
				}
			}
		}
	}
	if messages != s.messages || bytes != s.bytes || due != len(s.due) {
		t.Fatalf("counted %d messages, %d bytes, %d due; the store says %d, %d, %d",
			messages, bytes, due, s.messages, s.bytes, len(s.due))
	}
	if got := s.children.len(); got != used-1 || linked != used-1 {
		t.Fatalf("the index has %d nodes, parents have %d, of %d", got, linked, used-1)
	}
	if got := s.exact.len(); got != messages {
		t.Fatalf("the index has %d messages of %d", got, messages)
	}
	if got := s.cousins.len(); got > chained || (chained > 0 && got == 0) {
		t.Fatalf("the index has %d chains for %d cousins", got, chained)
	}
	for i := 1; i < len(s.due); i++ {
		if s.due[(i-1)/2].expiry > s.due[i].expiry {
			t.Fatalf("due entry %d is earlier than its parent", i)
		}
	}
}

// wantNothing holds that s takes no more than when it was new.
func wantNothing(t fataler, s *Store) {
	t.Helper()
	live, slots := 0, 0
	for i, nodes := range s.nodes.nodes {
		live += s.nodes.pages[i].used
		if (nodes == nil) != (s.nodes.pages[i].used == 0) {
			t.Fatalf("page %d: nodes %p, used %d", i, nodes, s.nodes.pages[i].used)
		}
	}
	for _, x := range []*index{&s.exact, &s.children, &s.cousins} {
		for i := range x.shards {
			slots += len(x.shards[i].slots)
		}
	}
	if s.Len() != 0 || s.Bytes() != 0 || live != 1 || slots != 0 || len(s.nodes.open) != 1 || cap(s.due) > 64 {
		t.Fatalf("left: %d messages, %d bytes, %d nodes, %d slots, %d open pages, room for %d due",
			s.Len(), s.Bytes(), live, slots, len(s.nodes.open), cap(s.due))
	}
}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (x *index) len() int {
	n := 0
	for i := range x.shards {
		n += x.shards[i].used
	}
	return n
}

func TestSetGetClear(t *testing.T) {
	t.Parallel()
	s := big()
	topicNames := []string{"a", "a/b", "a/b/c", "/", "//", "a/", "/a", "$SYS/x", "$", "ä/日本", " ", strings.Repeat("/", 300), strings.Repeat("x", 65535)}
	for i, name := range topicNames {
		first, second := message(name, "1"), message(name, "2")
		mustSet(t, s, first)
		mustSet(t, s, second)
		if got := s.Get(name); got != second {
			t.Errorf("get %.20q: got %v, want the second message", name, got)
		}
		if got := s.Len(); got != i+1 {
			t.Errorf("len after %.20q: got %d, want %d", name, got, i+1)
		}
		wantConsistent(t, s)
	}
	for _, name := range []string{"b", "a/b/", "a/b/c/d", "$SYS", "/////"} {
		if s.Get(name) != nil || s.Clear(name) {
			t.Errorf("%q was found", name)
		}
	}
	for _, name := range topicNames {
		if !s.Clear(name) || s.Clear(name) || s.Get(name) != nil {
			t.Errorf("clear %.20q: want once true, then false", name)
		}
		wantConsistent(t, s)
	}
	wantNothing(t, s)
}

func TestMatchTable(t *testing.T) {
	t.Parallel()
	s := big()
	for _, name := range []string{"a", "a/b", "a/b/c", "a/d/c", "a//c", "b/b/c", "/a", "/", "$SYS/b", "$SYS/b/c", "$x"} {
		mustSet(t, s, message(name, "1"))
	}
	for _, c := range []struct{ filter, want string }{
		{"#", "/ /a a a//c a/b a/b/c a/d/c b/b/c"},
		{"a", "a"},
		{"c", ""},
		{"a/#", "a a//c a/b a/b/c a/d/c"},
		{"a/b/#", "a/b a/b/c"},
		{"a/b/c/#", "a/b/c"},
		{"x/#", ""},
		{"+", "a"},
		{"+/+", "/ /a a/b"},
		{"+/#", "/ /a a a//c a/b a/b/c a/d/c b/b/c"},
		{"+/b", "a/b"},
		{"+/b/c", "a/b/c b/b/c"},
		{"+/b/#", "a/b a/b/c b/b/c"},
		{"a/+", "a/b"},
		{"a/+/c", "a//c a/b/c a/d/c"},
		{"a/+/+", "a//c a/b/c a/d/c"},
		{"+/+/c", "a//c a/b/c a/d/c b/b/c"},
		{"a//+", "a//c"},
		{"/+", "/ /a"},
		{"/#", "/ /a"},
		{"$SYS/#", "$SYS/b $SYS/b/c"},
		{"$SYS/+", "$SYS/b"},
		{"$SYS/b", "$SYS/b"},
		{"$SYS/+/c", "$SYS/b/c"},
		{"$x/#", "$x"},
		{"$x", "$x"},
	} {
		if got := strings.Join(names(s.Match(c.filter, 0, nil)), " "); got != c.want {
			t.Errorf("match %q: got %q, want %q", c.filter, got, c.want)
		}
	}
	kept := []*packets.Message{message("kept", "")}
	if got := s.Match("a", 0, kept); len(got) != 2 || got[0] != kept[0] {
		t.Errorf("match appends: got %v", names(got))
	}
}

// TestMatchMoreStepsThanRoom has filters whose stack outgrows the array it starts in.
func TestMatchMoreStepsThanRoom(t *testing.T) {
	t.Parallel()
	s := big()
	var want []string
	for i := range 1 << 12 {
		name := ""
		for bit := range 12 {
			name += string("ab"[i>>bit&1]) + "/x/"
		}
		want = append(want, name)
		mustSet(t, s, message(name, ""))
	}
	slices.Sort(want)
	if got := names(s.Match(strings.Repeat("+/x/", 12)+"+", 0, nil)); !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", len(got), len(want))
	}
	deep := strings.Repeat("a/", 30000) + "a"
	mustSet(t, s, message(deep, ""))
	for _, filter := range []string{strings.Repeat("+/", 30000) + "a", strings.Repeat("+/a/", 15000) + "#", "a/a/#"} {
		if got := s.Match(filter, 0, nil); len(got) != 1 || got[0].TopicName != deep {
			t.Errorf("match %.12q: got %d, want the deep topic", filter, len(got))
		}
	}
}

func TestLimitMessages(t *testing.T) {
	t.Parallel()
	s := New(Limits{Messages: 3, Bytes: 1 << 20})
	for i := range 3 { // up to limit-1, and the limit itself
		mustSet(t, s, message(fmt.Sprint("t/", i), "1"))
	}
	if err := s.Set(message("t/3", "1")); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "3 messages") {
		t.Errorf("one over the limit: got %v, want ErrFull", err)
	}
	if s.Get("t/3") != nil || s.Len() != 3 {
		t.Error("a refused message was retained")
	}
	mustSet(t, s, message("t/2", "a larger one"))
	s.Clear("t/0")
	mustSet(t, s, message("t/3", "1"))
	wantConsistent(t, s)
	if err := New(Limits{Bytes: 1000}).Set(message("t", "")); !errors.Is(err, ErrFull) {
		t.Errorf("no messages allowed: got %v, want ErrFull", err)
	}
}

func TestLimitBytes(t *testing.T) {
	t.Parallel()
	size := Size(message("t/1", "12345"))
	if want := int64(3 + 5 + messageOverhead + 2*levelOverhead); size != want {
		t.Errorf("size: got %d, want %d", size, want)
	}
	all := packets.Message{TopicName: "t/1", Payload: make([]byte, 5), Properties: make([]byte, 7), PublisherID: "id", PublisherUser: "user"}
	if got := Size(&all); got != size+13 {
		t.Errorf("size with properties and names: got %d, want %d", got, size+13)
	}
	for _, c := range []struct {
		payload string
		full    bool
	}{{"1234", false}, {"12345", false}, {"123456", true}} {
		s := New(Limits{Messages: 10, Bytes: 2 * size})
		mustSet(t, s, message("t/0", "12345"))
		err := s.Set(message("t/1", c.payload))
		if errors.Is(err, ErrFull) != c.full || (s.Get("t/1") == nil) != c.full {
			t.Errorf("new topic with %q: got %v, want full %v", c.payload, err, c.full)
		}
		wantConsistent(t, s)
	}
}

func TestLimitBytesReplace(t *testing.T) {
	t.Parallel()
	s := New(Limits{Messages: 1, Bytes: Size(message("t", "12345"))})
	for _, payload := range []string{"1234", "12345", "54321", "1"} {
		mustSet(t, s, message("t", payload))
	}
	err := s.Set(message("t", "123456"))
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("growth over the limit: got %v, want ErrFull", err)
	}
	if got := string(s.Get("t").Payload); got != "1" {
		t.Errorf("after a refused replacement: got %q, want %q", got, "1")
	}
	s.limits.Bytes = 10 // as if lowered: what is there may still be replaced by its like
	mustSet(t, s, message("t", "2"))
	wantConsistent(t, s)
}

func TestExpire(t *testing.T) {
	t.Parallel()
	first := &packets.Message{TopicName: "first"}
	s := big()
	for i := range 10 {
		mustSet(t, s, expiring(fmt.Sprint("e/", i), packets.Instant(100+(i*7)%10)))
	}
	mustSet(t, s, message("e/never", ""))
	wantConsistent(t, s)
	if got := len(s.Match("e/#", 99, nil)); got != 11 {
		t.Errorf("nothing expired yet: got %d, want 11", got)
	}
	if got := len(s.Match("e/+", 100, nil)); got != 10 {
		t.Errorf("one expired: got %d, want 10", got)
	}
	if got := s.Match("e/0", 100, nil); got != nil {
		t.Errorf("expired, exact filter: got %v", names(got))
	}
	if got := len(s.Match("#", 200, nil)); got != 1 || s.Len() != 11 {
		t.Errorf("all expired, not removed: got %d of %d, want 1 of 11", got, s.Len())
	}
	for _, c := range []struct {
		now   packets.Instant
		limit int
		want  string
	}{
		{99, 10, "first"},
		{101, 0, "first"},
		{101, 10, "first e/0 e/3"},
		{109, 2, "first e/6 e/9"},
		{1000, 100, "first e/2 e/5 e/8 e/1 e/4 e/7"},
		{1000, 100, "first"},
	} {
		if got := strings.Join(inOrder(s.Expire(c.now, c.limit, []*packets.Message{first})), " "); got != c.want {
			t.Errorf("expire at %d, at most %d: got %q, want %q", c.now, c.limit, got, c.want)
		}
		wantConsistent(t, s)
	}
	if got := names(s.Match("#", 1000, nil)); !slices.Equal(got, []string{"e/never"}) {
		t.Errorf("left: got %v, want e/never", got)
	}
}

// inOrder is the Topic Names of messages, in their order.
func inOrder(messages []*packets.Message) (names []string) {
	for _, m := range messages {
		names = append(names, m.TopicName)
	}
	return names
}

// TestExpiryReplaced changes, takes away and adds the expiry of a topic.
func TestExpiryReplaced(t *testing.T) {
	t.Parallel()
	s := big()
	for _, at := range []packets.Instant{50, 10, 90, 0, 0, 70} {
		mustSet(t, s, expiring("other", 60))
		mustSet(t, s, expiring("t", at))
		wantConsistent(t, s)
	}
	if got := inOrder(s.Expire(65, 9, nil)); !slices.Equal(got, []string{"other"}) {
		t.Errorf("at 65: got %v, want other", got)
	}
	if got := inOrder(s.Expire(70, 9, nil)); !slices.Equal(got, []string{"t"}) {
		t.Errorf("at 70: got %v, want t", got)
	}
	wantNothing(t, s)
}

func TestEach(t *testing.T) {
	t.Parallel()
	s := big()
	for i := range 20000 {
		mustSet(t, s, message(fmt.Sprint("each/", i), ""))
	}
	for i := range 5000 { // whole pages fall empty
		s.Clear(fmt.Sprint("each/", i))
	}
	seen := map[string]int{}
	s.Each(func(m *packets.Message) bool {
		seen[m.TopicName]++
		return s.Clear(m.TopicName) // the lock is free
	})
	if len(seen) != 15000 {
		t.Errorf("visited: got %d, want 15000", len(seen))
	}
	for name, times := range seen {
		if times != 1 {
			t.Errorf("%s was visited %d times", name, times)
		}
	}
	wantNothing(t, s)
	mustSet(t, s, message("a", ""))
	mustSet(t, s, message("b", ""))
	calls := 0
	s.Each(func(*packets.Message) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("calls after false: got %d, want 1", calls)
	}
}

// TestTextNotHeld holds that nodes that stay keep no Topic Name of a message that is gone.
func TestTextNotHeld(t *testing.T) {
	t.Parallel()
	s := big()
	mustSet(t, s, message("a/b/c", "")) // makes a and b
	mustSet(t, s, message("a/b/d", ""))
	mustSet(t, s, message("a/b", ""))
	gone := []string{s.Get("a/b/c").TopicName, s.Get("a/b").TopicName}
	s.Clear("a/b/c")
	s.Clear("a/b")
	a := s.child(none, "a")
	for _, id := range []uint32{a, s.child(a, "b")} {
		held := uintptr(unsafe.Pointer(unsafe.StringData(s.nodes.at(id).text)))
		for _, name := range gone {
			if from := uintptr(unsafe.Pointer(unsafe.StringData(name))); held >= from && held < from+uintptr(len(name)) {
				t.Errorf("node %q holds %q", s.nodes.at(id).text, name)
			}
		}
	}
	runtime.KeepAlive(gone)
	wantConsistent(t, s)
}

// TestNothingLeft sets and clears a million topics with few at a time, then many at once.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	s := big()
	name := func(i int) string { return fmt.Sprintf("a/%d/b/%d", i%1777, i) }
	for _, c := range []struct{ total, window int }{{1_000_000, 3000}, {50_000, 50_000}} {
		for i := range c.total + c.window {
			if i < c.total {
				m := message(name(i), "")
				m.Expiry = packets.Instant(i % 2 * (i + 1))
				mustSet(t, s, m)
			}
			if i >= c.window && !s.Clear(name(i-c.window)) {
				t.Fatalf("%s is not there", name(i-c.window))
			}
		}
		wantNothing(t, s)
		if pages := len(s.nodes.pages); pages > 4+10*c.window/pageSize {
			t.Errorf("page numbers used: got %d for %d messages at a time", pages, c.window)
		}
	}
}

func TestAllocations(t *testing.T) {
	s := big()
	for i := range 1000 {
		mustSet(t, s, expiring(fmt.Sprintf("a/%d/b", i), 100))
	}
	dst := make([]*packets.Message, 0, 2000)
	m := expiring("a/5/b", 200)
	for name, f := range map[string]func(){
		"match exact":   func() { dst = s.Match("a/7/b", 1, dst[:0]) },
		"match a/+/b":   func() { dst = s.Match("a/+/b", 1, dst[:0]) },
		"match +/+/+":   func() { dst = s.Match("+/+/+", 1, dst[:0]) },
		"match a/#":     func() { dst = s.Match("a/#", 1, dst[:0]) },
		"match #":       func() { dst = s.Match("#", 1, dst[:0]) },
		"match nothing": func() { dst = s.Match("b/+/c", 1, dst[:0]) },
		"get":           func() { s.Get("a/9/b") },
		"replace":       func() { mustSet(t, s, m) },
	} {
		if got := testing.AllocsPerRun(20, f); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}
