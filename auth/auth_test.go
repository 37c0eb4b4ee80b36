package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/packets"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	a := open(t, twoUsers(), "", "alice")
	userOnly := Credentials{ClientID: "c1", UserName: "alice", HasUserName: true}
	unknownOnly := Credentials{ClientID: "c1", UserName: "nobody", HasUserName: true}
	passwordOnly := Credentials{ClientID: "c1", HasPassword: true, Password: []byte("secret")}
	certificate := func(name, user, password string) Credentials {
		return Credentials{
			ClientID: "c1", CertificateName: name, UserName: user, HasUserName: user != "",
			Password: []byte(password), HasPassword: password != "",
		}
	}
	anonymous := Identity{ClientID: "c1", Anonymous: true}
	for _, c := range []struct {
		name      string
		in        Credentials
		anonymous bool
		want      Identity
		code      packets.ReasonCode
	}{
		{"right", login("alice", "secret"), false, Identity{UserName: "alice", ClientID: "c1", Admin: true}, 0},
		{"right, no admin", login("bob", "hidden"), true, Identity{UserName: "bob", ClientID: "c1"}, 0},
		{"wrong", login("alice", "Secret"), false, Identity{}, packets.BadUserNameOrPassword},
		{"wrong where anonymous is allowed", login("alice", "Secret"), true, Identity{}, packets.BadUserNameOrPassword},
		{"password of another", login("alice", "hidden"), true, Identity{}, packets.BadUserNameOrPassword},
		{"empty password", login("alice", ""), true, Identity{}, packets.BadUserNameOrPassword},
		{"unknown", login("nobody", "secret"), false, Identity{}, packets.BadUserNameOrPassword},
		{"unknown where anonymous is allowed", login("nobody", "secret"), true, Identity{}, packets.BadUserNameOrPassword},
		{"empty user name", login("", "secret"), true, Identity{}, packets.BadUserNameOrPassword},
		{"another case", login("Alice", "secret"), true, Identity{}, packets.BadUserNameOrPassword},
		{"user without password", userOnly, true, Identity{}, packets.NotAuthorized},
		{"unknown without password", unknownOnly, true, Identity{}, packets.NotAuthorized},
		{"B37 no user name", Credentials{ClientID: "c1"}, false, Identity{}, packets.NotAuthorized},
		{"B37 password only", passwordOnly, false, Identity{}, packets.NotAuthorized},
		{"no user name, anonymous", Credentials{ClientID: "c1"}, true, anonymous, 0},
		{"password only, anonymous", passwordOnly, true, anonymous, 0},
		{"certificate", certificate("dev-1", "", ""), false, Identity{UserName: "dev-1", ClientID: "c1"}, 0},
		{"certificate of an admin", certificate("alice", "alice", "any"), false, Identity{UserName: "alice", ClientID: "c1", Admin: true}, 0},
		{"certificate of another", certificate("dev-1", "alice", "secret"), true, Identity{}, packets.BadUserNameOrPassword},
		{"certificate +", certificate("+", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate #", certificate("a#", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate /", certificate("a/b", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate $", certificate("$SYS", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate NUL", certificate("a\x00", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate control character", certificate("a\u0085", "", ""), true, Identity{}, packets.NotAuthorized},
		{"certificate not UTF-8", certificate("a\xff", "", ""), true, Identity{}, packets.NotAuthorized},
	} {
		id, err := a.Authenticate(t.Context(), c.in, c.anonymous)
		if code(err) != c.code {
			t.Errorf("%s: got code %v (%v), want %v", c.name, code(err), err, c.code)
		}
		if err == nil && *id != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, *id, c.want)
		}
		if err != nil && id != nil {
			t.Errorf("%s: an identity comes with the error", c.name)
		}
	}
}

// A user name that nobody checks is not believed, or else it would get that user's rights.
func TestWithoutPasswordFile(t *testing.T) {
	t.Parallel()
	a := open(t, "", "user alice\ntopic a/#\n", "alice")
	if a.NeedsPassword() {
		t.Error("NeedsPassword without a password file")
	}
	id, err := a.Authenticate(t.Context(), login("alice", "x"), true)
	if want := (Identity{ClientID: "c1", Anonymous: true}); err != nil || *id != want {
		t.Fatalf("got %+v, %v, want %+v", id, err, want)
	}
	if a.Authorize(id, ActionPublish, "a/b") || a.Authorize(id, ActionReceive, "$SYS/broker/uptime") {
		t.Error("an unchecked user name got the user's rights")
	}
	if _, err := a.Authenticate(t.Context(), login("alice", "x"), false); code(err) != packets.NotAuthorized {
		t.Errorf("got %v, want NotAuthorized", err)
	}
}

// B36: nothing tells an unknown user from a wrong password, neither the answer nor the time.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	hash, err := HashPassword([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, "alice:"+hash+"\n", "")
	attempt := func(user string) (string, time.Duration) {
		best, text := time.Hour, ""
		for range 5 {
			start := time.Now()
			_, err := a.Authenticate(t.Context(), login(user, "wrong"), false)
			best = min(best, time.Since(start))
			refused, ok := errors.AsType[*packets.Error](err)
			if !ok {
				t.Fatalf("got %v, want a packets.Error", err)
			}
			text = fmt.Sprintf("%+v", *refused)
		}
		return text, best
	}
	known, knownTime := attempt("alice")
	unknown, unknownTime := attempt("nobody")
	if known != unknown {
		t.Errorf("answers differ: %s / %s", known, unknown)
	}
	if ratio := float64(unknownTime) / float64(knownTime); ratio < 0.4 || ratio > 2.5 {
		t.Errorf("unknown user takes %v, wrong password %v", unknownTime, knownTime)
	}
	// The password of the entry that is worked on does not open the door.
	if _, err := a.Authenticate(t.Context(), login("nobody", "secret"), false); code(err) != packets.BadUserNameOrPassword {
		t.Errorf("got %v for an unknown user with the password of another", err)
	}
}

// The stand-in for an unknown user is always the same, and not the same for all.
func TestStandIn(t *testing.T) {
	t.Parallel()
	a := open(t, twoUsers(), "")
	u := a.loaded.Load().users
	seen := make(map[string]bool)
	for i := range 64 {
		name := fmt.Sprint("nobody", i)
		hash := u.other(a.mac(name))
		if hash != u.other(a.mac(name)) {
			t.Fatal("asking again gives another stand-in")
		}
		seen[hash] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d of 2 entries serve as stand-ins", len(seen))
	}
}

// B44: bcrypt ignores what follows 72 bytes; what is used here does not.
func TestLongPasswords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 72)
	argon, err := HashPassword([]byte(long + "right"))
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, "argon:"+argon+"\npbkdf:"+cheapHash(long+"right", 3, 12, 64)+"\n", "")
	for _, user := range []string{"argon", "pbkdf"} {
		if _, err := a.Authenticate(t.Context(), login(user, long+"wrong"), false); code(err) != packets.BadUserNameOrPassword {
			t.Errorf("%s: got %v for a password that is equal in 72 bytes", user, err)
		}
		if _, err := a.Authenticate(t.Context(), login(user, long+"right"), false); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestVerifiedCredentialsAreCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := textFile(t, "passwd", twoUsers())
		a, err := Open(Config{PasswordFile: file})
		if err != nil {
			t.Fatal(err)
		}
		fast := func(user, password string) bool {
			id, err, ok := a.Fast(login(user, password), true)
			return ok && err == nil && id.UserName == user
		}
		verify := func() {
			if _, err := a.Authenticate(t.Context(), login("alice", "secret"), false); err != nil {
				t.Fatal(err)
			}
		}
		if fast("alice", "secret") {
			t.Error("known before it was verified")
		}
		verify()
		if !fast("alice", "secret") {
			t.Error("not cached")
		}
		for _, c := range [][2]string{{"alice", "Secret"}, {"alices", "ecret"}, {"bob", "secret"}, {"alice", ""}, {"alice", "hidden"}} {
			if fast(c[0], c[1]) {
				t.Errorf("%q is let in by the cache", c)
			}
		}
		<-time.After(cacheTTL - time.Nanosecond)
		if !fast("alice", "secret") {
			t.Error("forgotten too early")
		}
		<-time.After(time.Nanosecond)
		if fast("alice", "secret") {
			t.Error("believed for too long")
		}
		verify()
		overwrite(t, file, "alice:"+cheapHash("changed", 1, 12, 64)+"\n")
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		if fast("alice", "secret") {
			t.Error("the cache outlived a reload")
		}
		if _, err := a.Authenticate(t.Context(), login("alice", "secret"), false); code(err) != packets.BadUserNameOrPassword {
			t.Errorf("got %v for the old password", err)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache()
	for i := range cacheEntries + 100 {
		key := cacheKey{byte(i), byte(i >> 8), byte(i >> 16)}
		c.add(key, 0)
		if !c.has(key, 0) {
			t.Fatalf("entry %d is not there", i)
		}
	}
	if len(c.until) != cacheEntries {
		t.Errorf("%d entries, want %d", len(c.until), cacheEntries)
	}
}

// Not more hashes at a time than there are processors; who waits gives up with the context.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := open(t, twoUsers(), "")
		a.hashing = make(chan struct{}, 2)
		a.hashing <- struct{}{}
		a.hashing <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Authenticate(ctx, login("alice", "secret"), false)
		if code(err) != packets.ServerBusy || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ServerBusy", err)
		}
		done := make(chan error)
		go func() {
			_, err := a.Authenticate(t.Context(), login("alice", "secret"), false)
			done <- err
		}()
		synctest.Wait()
		<-a.hashing // one of the others is ready
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(a.hashing) != 1 {
			t.Errorf("%d slots taken, want 1", len(a.hashing))
		}
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{
		{Admins: []string{""}},
		{Admins: []string{"a:b"}},
		{Admins: []string{"a", "a"}},
		{PasswordFile: "x", ACLFile: "x"},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("no error for %+v", c)
		}
		if _, err := Open(c); err == nil {
			t.Errorf("opened with %+v", c)
		}
	}
}

// badFiles are the ways in which a file does not load, whatever it is for (F-R04).
func badFiles(t *testing.T) map[string]func(file string) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]func(string){
		"missing":        func(file string) { must(os.Remove(file)) },
		"empty":          func(file string) { overwrite(t, file, "") },
		"blank":          func(file string) { overwrite(t, file, "\n  \n\t\n") },
		"only comments":  func(file string) { overwrite(t, file, "# nothing\n#\n") },
		"UTF-16":         func(file string) { overwrite(t, file, "\xff\xfeu\x00s\x00e\x00r\x00") },
		"NUL":            func(file string) { overwrite(t, file, "topic a\x00\n") },
		"binary":         func(file string) { overwrite(t, file, "\x1f\x8b\x08") },
		"directory":      func(file string) { must(os.Remove(file)); must(os.Mkdir(file, 0o700)) },
		"link to itself": func(file string) { must(os.Remove(file)); must(os.Symlink(filepath.Base(file), file)) },
	}
	if _, err := os.Stat("/proc/self/mem"); err == nil { // Linux: a regular file that cannot be read
		files["unreadable"] = func(file string) { must(os.Remove(file)); must(os.Symlink("/proc/self/mem", file)) }
	}
	return files
}

// F-R04: with a bad file the broker does not start, and a reload keeps everything as it was.
func TestBadFilesFailClosed(t *testing.T) {
	t.Parallel()
	for name, spoil := range badFiles(t) {
		for _, which := range []string{"passwd", "acl.conf"} {
			cfg := Config{PasswordFile: textFile(t, "passwd", twoUsers()), ACLFile: textFile(t, "acl.conf", "user alice\ntopic a/#\n")}
			a, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			bad := map[string]string{"passwd": cfg.PasswordFile, "acl.conf": cfg.ACLFile}[which]
			spoil(bad)
			if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("%s %s: open gave %v", name, which, err)
			}
			checkReloadKeeps(t, name+" "+which, a)
		}
	}
}

// checkReloadKeeps checks that a failing reload changes nothing. alice may use a/#, nobody else anything.
func checkReloadKeeps(t *testing.T, name string, a *Auth) {
	t.Helper()
	before := a.loaded.Load()
	if err := a.Reload(); err == nil {
		t.Errorf("%s: reload gave no error", name)
	}
	if a.loaded.Load() != before {
		t.Errorf("%s: the old state was replaced", name)
	}
	id, err := a.Authenticate(t.Context(), login("alice", "secret"), false)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if !a.Authorize(id, ActionPublish, "a/b") || a.Authorize(id, ActionPublish, "b") || a.Unrestricted() {
		t.Errorf("%s: the rules changed", name)
	}
	if _, err := a.Authenticate(t.Context(), Credentials{}, false); code(err) != packets.NotAuthorized {
		t.Errorf("%s: got %v for an anonymous client", name, err)
	}
}

// A good file and a bad one: neither counts.
func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	cfg := Config{PasswordFile: textFile(t, "passwd", twoUsers()), ACLFile: textFile(t, "acl.conf", "user alice\ntopic a/#\n")}
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, cfg.PasswordFile, "mallory:"+cheapHash("m", 1, 12, 64)+"\nbad line\n")
	overwrite(t, cfg.ACLFile, "user mallory\ntopic #\nbad line\n")
	err = a.Reload()
	for _, want := range []string{cfg.PasswordFile + ":2: ", cfg.ACLFile + ":3: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %s", err, want)
		}
	}
	overwrite(t, cfg.PasswordFile, "mallory:"+cheapHash("m", 1, 12, 64)+"\n")
	checkReloadKeeps(t, "ACL bad", a)
	if _, err := a.Authenticate(t.Context(), login("mallory", "m"), false); err == nil {
		t.Error("half a reload let mallory in")
	}
	epoch := a.Epoch()
	overwrite(t, cfg.ACLFile, "user mallory\ntopic m/#\n")
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if a.Epoch() == epoch {
		t.Error("the epoch did not change")
	}
	if _, err := a.Authenticate(t.Context(), login("alice", "secret"), false); code(err) != packets.BadUserNameOrPassword {
		t.Errorf("got %v for a user who is gone", err)
	}
}

// No error shows a hash or a password, even where the files are swapped.
func TestErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-5f1e"
	hash := cheapHash(canary, 1, 12, 64)
	for _, text := range []string{
		"alice:" + canary, canary, "alice:" + hash + "x", "alice:$6$abc$" + canary, canary + "#:" + hash,
		"alice:" + hash + "\nalice:" + hash, "topic " + canary + " " + hash, "topic read " + canary + "#", "pattern x%c" + canary,
		"alice:$argon2id$v=19$m=1,t=1,p=1$" + canary + "$" + canary, "\xff" + canary, "user\nalice:" + hash,
	} {
		file := textFile(t, "file", text+"\n")
		for _, cfg := range []Config{{PasswordFile: file}, {ACLFile: file}} {
			_, err := Open(cfg)
			if err == nil {
				if cfg.PasswordFile != "" {
					t.Errorf("opened with %q", text)
				}
				continue
			}
			key := hash[len(hash)-20:]
			if s := err.Error(); strings.Contains(s, canary) || strings.Contains(s, key) {
				t.Errorf("the error for %q shows a secret: %s", text, s)
			}
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x", login("a", canary), login("a", canary), login("a", canary), login("a", canary), login("a", canary), login("a", canary))
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("printed credentials show the password: %s", out.String())
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", twoUsers())
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	acl := textFile(t, "acl.conf", "pattern read a/b\ntopic read dev/%c\npattern write $SYS/broker/connection/%c/state\npattern deny x\ntopic a/b%c\n")
	a, err := Open(Config{PasswordFile: file, ACLFile: acl})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{file + ": every user", acl + ":1: a pattern without", acl + ":2: %c and %u", acl + ":3: nobody may publish to $SYS"}
	got := a.Warnings()
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q...", got[i], want[i])
		}
	}
}
