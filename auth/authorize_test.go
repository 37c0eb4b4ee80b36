package auth

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"nightjar/topics"
)

// verdicts checks lines such as "publish a/b yes" for one identity.
func verdicts(t *testing.T, a *Auth, id *Identity, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var act, topic, want string
		if _, err := fmt.Sscan(line, &act, &topic, &want); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		action := map[string]Action{"publish": ActionPublish, "subscribe": ActionSubscribe, "receive": ActionReceive}[act]
		if got := a.Authorize(id, action, topic); got != (want == "yes") {
			_, why := a.Explain(id, action, topic)
			t.Errorf("%+v: %s %s: got %v, want %s (%s)", *id, act, topic, got, want, why)
		}
	}
}

func user(name string) *Identity { return &Identity{UserName: name, ClientID: "c-" + name} }

func TestWithoutACL(t *testing.T) {
	t.Parallel()
	a := open(t, "", "")
	if !a.Unrestricted() {
		t.Error("restricted without an ACL")
	}
	for _, id := range []*Identity{user("alice"), {ClientID: "x", Anonymous: true}} {
		verdicts(t, a, id,
			"publish a yes", "publish a/b yes", "subscribe # yes", "subscribe +/a yes", "receive a yes",
			"publish $SYS/x no", "subscribe $SYS/# no", "receive $SYS/x no", "publish $other/x no", "subscribe $queue/# no", "subscribe $SYS no")
	}
	for _, id := range []*Identity{{UserName: "root", Admin: true}, {Anonymous: true, Admin: true}} {
		verdicts(t, a, id,
			"publish a yes", "subscribe # yes", "subscribe $SYS/# yes", "receive $SYS/x yes", "publish $other/x yes",
			"publish $SYS no", "publish $SYS/x no", "publish $SYStem yes")
	}
}

func TestRulesApplyToWhomTheyNameAndWhatTheySay(t *testing.T) {
	t.Parallel()
	a := open(t, "", `
topic read public/#
user alice
topic read r/#
topic write w/#
topic rw
topic readwrite both/+
topic deny both/no
topic $data/#
user bob
topic #
pattern read everybody
pattern write dev/%c/state
pattern readwrite home/%u/#
pattern deny home/%u/locked/#
`)
	if a.Unrestricted() {
		t.Error("unrestricted with an ACL")
	}
	verdicts(t, a, user("alice"),
		"receive r/x yes", "subscribe r/# yes", "subscribe r/+/x yes", "subscribe r yes", "publish r/x no",
		"publish w/x yes", "receive w/x no", "subscribe w/x no", "publish rw yes", "receive rw yes",
		"publish both/yes yes", "publish both/no no", "receive both/no no", "subscribe both/no no", "subscribe both/+ yes", "subscribe both/# no",
		"publish $data/x yes", "subscribe $data/# yes", "subscribe $data/+ yes", "subscribe $+ no", "receive $SYS/x no",
		"receive public/x no", "subscribe public/# no", "receive everybody yes", "publish everybody no", "publish other no", "subscribe # no",
		"publish dev/c-alice/state yes", "publish dev/c-bob/state no", "publish dev/c-alice/state/x no", "receive dev/c-alice/state no",
		"subscribe home/alice/# yes", "publish home/alice/x yes", "publish home/alice/locked no", "publish home/alice/locked/x no",
		"subscribe home/alice/locked/# no", "subscribe home/alice/locked/x no", "publish home/bob/x no", "subscribe home/+/# no", "subscribe home/# no")
	verdicts(t, a, user("bob"),
		"publish x yes", "subscribe # yes", "subscribe +/# yes", "receive $data/x no", "subscribe $data/# no", "publish home/alice/locked yes", "publish home/bob/locked no")
	verdicts(t, a, user("carol"), "publish x no", "receive public/x no", "receive everybody yes", "publish home/carol yes")
	verdicts(t, a, &Identity{ClientID: "c-x", Anonymous: true},
		"receive public/x yes", "publish public/x no", "receive everybody yes", "publish dev/c-x/state yes", "publish home//x no", "publish home/%u/x no", "publish x no")
	// An administrator gets the $-topics, but other topics need rules, and deny wins.
	verdicts(t, a, &Identity{UserName: "root", Admin: true}, "receive $SYS/x yes", "subscribe $SYS/# yes", "publish x no", "publish $SYS/x no", "publish $data/x yes")
	verdicts(t, open(t, "", "pattern deny $SYS/secret/#\n"), &Identity{Admin: true}, "subscribe $SYS/# yes", "receive $SYS/secret/x no", "subscribe $SYS/secret no")
	// Fail closed where something is missing.
	for _, a := range []*Auth{a, open(t, "", "")} {
		if a.Authorize(nil, ActionPublish, "x") || a.Authorize(user("bob"), ActionPublish, "") || a.Authorize(user("bob"), 0, "x") || a.Authorize(user("bob"), 99, "x") {
			t.Error("allowed without client, topic or action")
		}
	}
}

// G01, G02, CVE-2017-7650: what a client calls itself never reaches beyond one literal level.
func TestNamesAreLiterals(t *testing.T) {
	t.Parallel()
	a := open(t, "", "pattern dev/%c/#\npattern home/%u\npattern %c/top/%u\n")
	ask := []string{"dev/other/x", "dev/other", "dev", "dev/", "dev//x", "dev/a/b/x", "x", "home/other", "home", "home/", "other/top/other", "/top/", "$SYS/top/x", "$x/top/$x", "dev/aab/x", "home/aab"}
	names := []string{"", "+", "#", "a/b", "../x", "/", "+/+", "a+", "#a", "$SYS", "$x", "a\x00", "a\n", "\x7f", "\u0080", "\xff", "%c", "%u", "*", ".*", "a|b", "(", "[a-z]+", "a*b", "?", "^.*$"}
	for _, name := range names {
		id := &Identity{ClientID: name, UserName: name}
		for _, act := range []Action{ActionPublish, ActionSubscribe, ActionReceive} {
			for _, topic := range ask {
				if a.Authorize(id, act, topic) {
					t.Errorf("%q may %v %s", name, act, topic)
				}
			}
			for _, filter := range []string{"#", "+", "dev/#", "dev/+/#", "dev/+/x", "home/+", "home/#", "+/top/+", "+/#"} {
				if act == ActionSubscribe && a.Authorize(id, act, filter) {
					t.Errorf("%q may subscribe to %s", name, filter)
				}
			}
			own := "home/" + name
			if got, want := a.Authorize(id, act, own), singleLevel(name); got != want {
				t.Errorf("%q: %v %q: got %v, want %v", name, act, own, got, want)
			}
		}
	}
	for _, name := range []string{".*", "a|b", "(", "%c", "*", "é", "a b", "a$", "a:b"} {
		if !singleLevel(name) {
			t.Errorf("%q is a fine literal", name)
		}
	}
}

// G07, G09: a subscription wider than a deny is granted, and the denied topics are not delivered.
// G10: the real filter is what counts, and no spelling of it evades a deny.
func TestWildcardsAndDeny(t *testing.T) {
	t.Parallel()
	a := open(t, "", "user g7\ntopic a/#\ntopic deny a/secret\n"+
		"user g9\ntopic a/#\ntopic a/+\ntopic deny a/secret/+\n"+
		"user g10\ntopic #\ntopic deny #\n"+
		"user part\ntopic a/#\n"+
		"user two\ntopic a/+\ntopic a/+/#\n")
	verdicts(t, a, user("g7"), "subscribe a/# yes", "subscribe a/+ yes", "receive a/secret no", "receive a/secrets yes", "receive a/secret/x yes", "subscribe a/secret no", "publish a/secret no")
	verdicts(t, a, user("g9"), "subscribe a/# yes", "subscribe +/+/+ no", "subscribe a/+/+ yes", "receive a/secret/x no", "receive a/secret yes", "subscribe a/secret/+ no", "subscribe a/secret/# yes", "receive a/secret/x/y yes")
	for _, filter := range []string{"#", "+/#", "/#", "+", "+/+/#", "$queue/#", "$queue/a", "$stream/#", "$share/g/#", "$SYS/#", "a", "a/#", "//", "/"} {
		verdicts(t, a, user("g10"), "subscribe "+filter+" no")
		_, real, shared, err := topics.SplitShared("$share/g/" + filter)
		if err != nil || !shared {
			t.Fatal(shared, err)
		}
		verdicts(t, a, user("g10"), "subscribe "+real+" no")
	}
	verdicts(t, a, user("part"), "subscribe # no", "subscribe +/b no", "subscribe +/# no", "subscribe a/# yes", "subscribe a yes", "subscribe a/b/+/# yes", "subscribe a# no", "subscribe ab/# no")
	// One rule has to allow all of it: a/# is a/+ and a/+/# and a itself, which only their sum nearly covers.
	verdicts(t, a, user("two"), "subscribe a/# no", "subscribe a/+/# yes", "subscribe a/+ yes")
}

// G11: each filter of a SUBSCRIBE has its own answer, wherever the denied one stands.
func TestEachFilterHasItsOwnAnswer(t *testing.T) {
	t.Parallel()
	a := open(t, "", "user u\ntopic a/#\ntopic deny a/denied/#\n")
	for denied := range 20 {
		for i := range 20 {
			filter := fmt.Sprintf("a/%d/+", i)
			if i == denied {
				filter = "a/denied/+"
			}
			if got := a.Authorize(user("u"), ActionSubscribe, filter); got != (i != denied) {
				t.Errorf("denied at %d: filter %d: got %v", denied, i, got)
			}
		}
	}
}

// G12: every access word with every action, alone and beside a deny.
func TestMatrix(t *testing.T) {
	t.Parallel()
	may := map[string][3]bool{"": {true, true, true}, "readwrite ": {true, true, true}, "read ": {false, true, true}, "write ": {true, false, false}, "deny ": {}}
	for word, want := range may {
		for other, wantOther := range may {
			for _, keyword := range []string{"topic ", "pattern "} {
				a := open(t, "", "user u\n"+keyword+word+"t\ntopic "+other+"t\n")
				for i, act := range []Action{ActionPublish, ActionSubscribe, ActionReceive} {
					want := (want[i] || wantOther[i]) && word != "deny " && other != "deny "
					if got := a.Authorize(user("u"), act, "t"); got != want {
						t.Errorf("%s%s beside %s: %v: got %v, want %v", keyword, word, other, act, got, want)
					}
					if a.Authorize(user("u"), act, "other") {
						t.Errorf("%s%s: %v of a topic without a rule is allowed", keyword, word, act)
					}
				}
			}
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	a := open(t, "", "user u\ntopic read a/#\ntopic deny a/secret/#\npattern write dev/%c\n")
	for _, c := range []struct {
		act   Action
		topic string
		id    *Identity
		yes   bool
		why   string
	}{
		{ActionReceive, "a/b", user("u"), true, "acl.conf:2: topic read a/#"},
		{ActionReceive, "a/secret/b", user("u"), false, "acl.conf:3: topic deny a/secret/#"},
		{ActionPublish, "dev/c-u", user("u"), true, "acl.conf:4: pattern write dev/%c"},
		{ActionPublish, "a/b", user("u"), false, "no rule matched"},
		{ActionPublish, "$SYS/a", user("u"), false, "nobody may publish to $SYS"},
		{ActionReceive, "$SYS/a", user("u"), false, "$-topics are for administrators"},
		{ActionReceive, "$SYS/a", &Identity{Admin: true}, true, "administrators may use $-topics"},
		{ActionReceive, "a/b", nil, false, "no client, no action or no topic"},
	} {
		if yes, why := a.Explain(c.id, c.act, c.topic); yes != c.yes || why != c.why {
			t.Errorf("%v %s: got %v %q, want %v %q", c.act, c.topic, yes, why, c.yes, c.why)
		}
	}
	if yes, why := open(t, "", "").Explain(user("u"), ActionPublish, "a"); !yes || why != "no ACL is set" {
		t.Errorf("got %v %q", yes, why)
	}
	for act, want := range map[Action]string{ActionPublish: "publish", ActionSubscribe: "subscribe", ActionReceive: "receive", 9: "0x09"} {
		if act.String() != want {
			t.Errorf("got %v, want %s", act, want)
		}
	}
}

// A decision is made by the old rules or by the new ones, never by a mixture, and never without rules.
func TestReloadWhileAuthorizing(t *testing.T) {
	t.Parallel()
	texts := [2]string{"user u\ntopic x/#\ntopic deny y/#\n", "user u\ntopic deny x/#\ntopic y/#\n"}
	a := open(t, twoUsers(), texts[0])
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := a.Epoch()
				x, y := a.Authorize(user("u"), ActionPublish, "x/1"), a.Authorize(user("u"), ActionPublish, "y/1")
				if a.Epoch() == before && (x == y || x != (before%2 == 1)) {
					t.Errorf("epoch %d: x %v, y %v", before, x, y)
					return
				}
				if a.Authorize(user("u"), ActionPublish, "z") || a.Unrestricted() {
					t.Error("no rules during a reload")
					return
				}
				if _, err := a.Authenticate(t.Context(), login("alice", "secret"), false); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := replaceFile(a.cfg.ACLFile, []byte(texts[(i+1)%2]), os.FileMode(0o600)); err != nil {
			t.Fatal(err)
		}
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if got := a.Epoch(); got != 201 {
		t.Errorf("epoch %d, want 201", got)
	}
}

func TestLongACL(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "user u%d\ntopic t/%d/#\n", i, i)
	}
	a := open(t, "", b.String())
	verdicts(t, a, user("u19999"), "publish t/19999/x yes", "publish t/1999/x no", "publish t/19998/x no")
}
