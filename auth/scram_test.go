package auth

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xdg-go/scram"

	"nightjar/packets"
)

// scramText is a password file in which ann has the password "a" and bob "b", of different costs; it is made once.
var scramText = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nightjar")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "passwd")
	if err := errors.Join(SetSCRAM(file, "ann", []byte("a"), 4096), SetSCRAM(file, "bob", []byte("b"), 5000)); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	return string(text), err
})

// scramFile is scramText, or the end of the test.
func scramFile(t testing.TB) string {
	t.Helper()
	text, err := scramText()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// prove goes through an exchange and returns what the broker said first, and its verdict.
func prove(t *testing.T, a *Auth, m *scramMethod, user, password string, between func()) (first string, id *Identity, err error) {
	t.Helper()
	client, err := m.hash.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	talk := client.NewConversation()
	say := func(heard []byte) []byte {
		text, err := talk.Step(string(heard))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text)
	}
	x, err := a.Begin(m.name, Credentials{ClientID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := x.Step(say(nil))
	if err != nil {
		t.Fatal(err)
	}
	_, first, _ = strings.Cut(string(answer), ",")
	between()
	proof, id, err := x.Step(say(answer))
	if err == nil {
		if say(proof); !talk.Valid() {
			t.Error("the client does not believe us")
		}
	}
	return first, id, err
}

func TestExchange(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", scramFile(t))
	a, err := Open(Config{PasswordFile: file, Admins: []string{"ann"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range scramMethods {
		for user, password := range map[string]string{"ann": "a", "bob": "b"} {
			_, id, err := prove(t, a, m, user, password, func() {})
			if err != nil || id.UserName != user || id.ClientID != "c1" || id.Anonymous || id.Admin != (user == "ann") {
				t.Errorf("%s %s: %+v, %v", m.name, user, id, err)
			}
		}
		for user, password := range map[string]string{"ann": "b", "bob": "a", "nobody": "a"} {
			if _, id, err := prove(t, a, m, user, password, func() {}); id != nil || code(err) != packets.NotAuthorized {
				t.Errorf("%s %s: %+v, %v", m.name, user, id, err)
			}
		}
		changed := func() {
			if err := SetPassword(file, "bob", []byte("b")); err != nil {
				t.Fatal(err)
			}
			if err := a.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		if _, id, err := prove(t, a, m, "bob", "b", changed); id != nil || code(err) != packets.NotAuthorized {
			t.Errorf("%s: the entry is a new one: %+v, %v", m.name, id, err)
		}
		if _, _, err := prove(t, a, m, "bob", "b", func() {}); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// Salt and cost of an unknown user are like those of a known one: there on every try, after a restart and after others
// have come and gone, and different for each name and method.
func TestUnknownSCRAMUsers(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", scramFile(t))
	seen, salts, costs := map[string]string{}, map[string]string{}, map[string]bool{}
	for _, edit := range []func() error{
		func() error { return SetSCRAM(file, "zoe", []byte("z"), 5000) },
		func() error { return DeleteUser(file, "zoe") },
		func() error { return SetPassword(file, "zoe", []byte("z")) },
		func() error { return nil },
	} {
		a, err := Open(Config{PasswordFile: file})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range scramMethods {
			for _, user := range strings.Fields("ann u1 u2 u3 u4 u5 u6 u7 u8 u9 u10 u11 u12") {
				first, _, _ := prove(t, a, m, user, "x", func() {})
				key := m.name + " " + user
				if seen[key] != "" && seen[key] != first {
					t.Errorf("%s: %s, and %s before", key, first, seen[key])
				}
				if salts[first] != "" && salts[first] != key {
					t.Errorf("%s has what %s has", key, salts[first])
				}
				seen[key], salts[first] = first, key
				costs[first[strings.LastIndex(first, ","):]] = true
			}
		}
		if err := edit(); err != nil {
			t.Fatal(err)
		}
	}
	if len(costs) != 2 || !costs[",i=4096"] || !costs[",i=5000"] {
		t.Errorf("costs: %v", costs)
	}
}

// The words of RFC 7677: the entry of its user is what its server knows.
func TestSCRAMVector(t *testing.T) {
	t.Parallel()
	const entry = "$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	for password, want := range map[string]bool{"pencil": true, "Pencil": false, "": false} {
		if got, err := VerifyPassword(entry, []byte(password)); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	h, err := parseHash(entry)
	if err != nil {
		t.Fatal(err)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(h.salt), Iters: 4096}, StoredKey: h.key, ServerKey: h.server}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	talk := server.WithNonceGenerator(func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }).NewConversation()
	if got, err := talk.Step("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"); got != "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	got, err := talk.Step("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if got != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// A user may have an entry of each kind, and plain passwords are checked against the one that is not for SCRAM.
func TestKindsOfEntries(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(scramFile(t)), "\n")
	var entries []string // of ann, without her hash
	for _, line := range lines {
		if strings.HasPrefix(line, "ann:$scram") {
			entries = append(entries, line)
		}
	}
	if len(lines) != 6 || len(entries) != 2 {
		t.Fatalf("got %q", lines)
	}
	other := "ann:" + cheapHash("other", 1, 12, 64)
	for text, passwords := range map[string][]string{
		entries[0]: {"a"}, entries[1]: {"a"},
		entries[0] + "\n" + entries[1]:                       {"a"},
		entries[0] + "\n" + other:                            {"other"},
		other + "\n" + entries[1]:                            {"other"},
		entries[1] + "\n" + other + "\n" + entries[0] + "\n": {"other"},
	} {
		a := open(t, text, "")
		for _, password := range []string{"a", "other", "x"} {
			_, err := a.Authenticate(t.Context(), login("ann", password), false)
			if (err == nil) != slices.Contains(passwords, password) {
				t.Errorf("%q with %q: %v", text, password, err)
			}
		}
		for _, m := range scramMethods {
			_, err := a.Begin(m.name, Credentials{})
			if (err == nil) != strings.Contains(text, "$"+m.entry+"$") {
				t.Errorf("%q %s: %v", text, m.name, err)
			}
		}
		if names := a.loaded.Load().users.names; !slices.Equal(names, []string{"ann"}) {
			t.Errorf("names: %q", names)
		}
	}
	for _, text := range []string{entries[0] + "\n" + entries[0], other + "\n" + lines[0] + "\n" + lines[3], other + "\n" + entries[0] + "\n" + other} {
		if _, err := parseUsers("passwd", []byte(text)); err == nil || !strings.Contains(err.Error(), "the same user as in line") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMalformedSCRAM(t *testing.T) {
	t.Parallel()
	salt, key := "AAAAAAAAAAA=", strings.Repeat("A", 43)+"="
	if _, err := parseHash("$scram-sha-256$4096$" + salt + "$" + key + "$" + key); err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{
		"$scram-sha-256", "$scram-sha-1$4096$" + salt + "$" + key + "$" + key, "$SCRAM-SHA-256$4096$" + salt + "$" + key + "$" + key,
		"$scram-sha-256$4095$" + salt + "$" + key + "$" + key, "$scram-sha-256$2000001$" + salt + "$" + key + "$" + key,
		"$scram-sha-256$4096$AAAA$" + key + "$" + key, "$scram-sha-256$4096$" + salt + "$" + key, "$scram-sha-256$4096$" + salt + "$" + key + "$",
		"$scram-sha-256$4096$" + salt + "$AAAA$" + key, "$scram-sha-256$4096$" + salt + "$" + key + "$AAAA", "$scram-sha-512$4096$" + salt + "$" + key + "$" + key,
		"$scram-sha-256$4096$" + salt + "$" + key + "$" + key + "$",
	} {
		if _, err := parseHash(hash); err == nil {
			t.Errorf("%s: no error", hash)
		}
	}
}

// A new password is one for all entries, and they stay where they were.
func TestEditSCRAM(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", "# first\n"+scramFile(t)+"# last\ncarol:"+cheapHash("c", 1, 12, 64))
	for user, password := range map[string]string{"ann": "new", "carol": "c2"} {
		if err := SetPassword(file, user, []byte(password)); err != nil {
			t.Fatal(err)
		}
		if !logsIn(t, file, user, password) {
			t.Errorf("%s cannot log in", user)
		}
	}
	a, err := Open(Config{PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range scramMethods {
		if first, id, err := prove(t, a, m, "ann", "new", func() {}); err != nil || id.UserName != "ann" || !strings.HasSuffix(first, ",i=4096") {
			t.Errorf("%s %+v, %v", first, id, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\nann:") != 3 || strings.Count(string(text), "carol:") != 1 ||
		!strings.HasPrefix(string(text), "# first\n") || !strings.Contains(string(text), "\n# last\ncarol:$argon2id$") {
		t.Errorf("got %s, %v", text, err)
	}
	if err := DeleteUser(file, "ann"); err != nil {
		t.Fatal(err)
	}
	if names, err := Users(file); err != nil || len(names) != 2 {
		t.Errorf("got %q, %v", names, err)
	}
	for _, n := range []int{-1, 0, 4095, 2_000_001} {
		if err := SetSCRAM(file, "dave", []byte("d"), n); err == nil {
			t.Errorf("%d iterations were taken", n)
		}
	}
	for _, password := range []string{"", "a\x07b", "\xff", "\U0001F426", strings.Repeat("x", 65536)} {
		err := SetSCRAM(file, "dave", []byte(password), SCRAMIterationsMin)
		if err == nil || password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("a password of %d bytes: %v", len(password), err)
		}
	}
}
