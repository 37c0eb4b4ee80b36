package auth

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"nightjar/packets"
	"nightjar/topics"
)

// No file makes the parser panic; and what does not load has no rules, so that it cannot allow anything.
func FuzzACL(f *testing.F) {
	for line := range malformed {
		f.Add("topic read a/#\n"+line+"\nuser u\ntopic x\n", "u", "a/b")
	}
	f.Add("user u\ntopic readwrite a/+/#\npattern deny a/%c/%u\n# end\n", "u", "a/u/u")
	f.Fuzz(func(t *testing.T, text, name, topic string) {
		l, warnings, err := parseACL("acl.conf", []byte(text))
		if (l == nil) != (err != nil) || err != nil && len(warnings) > 0 {
			t.Fatalf("got %v and %v", l, err)
		}
		if err != nil {
			return
		}
		rules := 0
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "topic") || strings.HasPrefix(line, "pattern") {
				rules++
			}
		}
		if rules == 0 {
			t.Fatal("loaded without a rule")
		}
		id := &Identity{UserName: name, ClientID: name}
		for _, act := range []Action{ActionPublish, ActionSubscribe, ActionReceive} {
			allowed, r, why := l.decide(id, act, topic)
			if allowed && (r == nil || r.deny) {
				t.Fatalf("allowed by %v %q", r, why)
			}
		}
	})
}

// covers is topics.Match for names, and for filters it never says more than Match does.
func FuzzCovers(f *testing.F) {
	f.Add("a/+/#", "a/b", "a/+/c")
	f.Add("#", "$SYS", "+/#")
	f.Add("+/#", "/", "#")
	f.Add("a/#", "a", "a/#")
	limits := topics.Limits{Bytes: 100, Levels: 100}
	f.Fuzz(func(t *testing.T, rule, name, filter string) {
		for _, s := range []string{rule, name, filter} {
			if !utf8.ValidString(s) || topics.CheckFilter(s, limits) != nil {
				return
			}
		}
		if topics.HasWildcard(name) {
			return
		}
		r, id := newRule(rule, read, false, false), &Identity{}
		if got, want := r.covers(id, name), topics.Match(rule, name); got != want {
			t.Fatalf("rule %q, name %q: got %v, want %v", rule, name, got, want)
		}
		if r.covers(id, filter) && topics.Match(filter, name) && !topics.Match(rule, name) {
			t.Fatalf("rule %q covers %q but not its topic %q", rule, filter, name)
		}
		if !r.covers(id, rule) {
			t.Fatalf("rule %q does not cover itself", rule)
		}
	})
}

// No file makes the parser panic; what loads has only users with a well-formed name and hash.
func FuzzPasswordFile(f *testing.F) {
	f.Add(twoUsers())
	f.Add("# x\n\nalice:$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43))
	f.Add("alice:$7$101$AAAA$AAAA\n")
	f.Add(scramFile(f))
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUsers("passwd", []byte(text))
		if (u == nil) != (err != nil) {
			t.Fatalf("got %v and %v", u, err)
		}
		if err != nil {
			return
		}
		for _, name := range u.names {
			if _, err := parseHash(u.hash(name)); err != nil || checkUserName(name) != nil || !strings.Contains(text, name+":"+u.hash(name)) {
				t.Fatalf("%q: %v", name, err)
			}
		}
		for i := range u.scram {
			for name, h := range u.scram[i].byName {
				if _, known := u.index[name]; !known || len(u.secret) == 0 || len(h.key) != h.method.size || h.iterations < SCRAMIterationsMin {
					t.Fatalf("%q: %+v", name, h)
				}
			}
		}
	})
}

// No client gets in by words that it makes up, and none makes the broker panic.
func FuzzExchange(f *testing.F) {
	a := open(f, scramFile(f), "")
	f.Add("SCRAM-SHA-256", []byte("n,,n=ann,r=abc"), []byte("c=biws,r=NONCE,p=AAAA"))
	f.Add("SCRAM-SHA-512", []byte("y,a=ann,n=ann,r=abc,x=y"), []byte("c=eSxhPWFubiw=,r=NONCE,x=y,p="))
	f.Add("SCRAM-SHA-256", []byte("p=tls-unique,,n=ann,r=abc"), []byte{})
	f.Add("SCRAM-SHA-256", []byte("n,,n=a=2Cb=3D,r=,m="), []byte("c=biws,r=NONCE,p="+strings.Repeat("A", 43)+"="))
	f.Fuzz(func(t *testing.T, method string, first, final []byte) {
		x, err := a.Begin(method, Credentials{})
		if err != nil {
			if code(err) != packets.BadAuthenticationMethod {
				t.Fatal(err)
			}
			return
		}
		answer, id, err := x.Step(first)
		if id != nil || err != nil && code(err) != packets.NotAuthorized {
			t.Fatalf("got %v, %v", id, err)
		}
		if err != nil {
			return
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "r="), ",")
		for _, data := range [][]byte{bytes.ReplaceAll(final, []byte("NONCE"), []byte(nonce)), final} {
			if _, id, err := x.Step(data); id != nil || code(err) != packets.NotAuthorized {
				t.Fatalf("got %v, %v", id, err)
			}
		}
	})
}

// What parses is within its bounds.
func FuzzHash(f *testing.F) {
	f.Add(cheapHash("x", 101, 12, 64))
	f.Add("$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$" + strings.Repeat("A", 43) + "=$" + strings.Repeat("A", 43) + "=")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if h.iterations > maxIterations || h.memory > maxArgonMemory || h.time > maxArgonTime || h.threads > maxArgonThreads ||
			(h.iterations == 0) == (h.memory == 0) || len(h.key) < minKey || len(h.key) > maxKey || len(h.salt) > maxSalt {
			t.Fatalf("%q: %+v", text, h)
		}
	})
}
