package auth

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestHashPassword(t *testing.T) {
	t.Parallel()
	first, err := HashPassword([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	second, _ := HashPassword([]byte("secret"))
	if first == second {
		t.Error("two hashes of one password are equal: no salt")
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(first, want) {
		t.Errorf("got %s, want %s...", first, want)
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false, "secret\x00": false} {
		if got, err := VerifyPassword(first, []byte(password)); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", password, got, err, want)
		}
	}
	if _, err := HashPassword(nil); err == nil {
		t.Error("an empty password was taken")
	}
	if _, err := HashPassword(make([]byte, 65536)); err == nil {
		t.Error("a password was taken that does not fit into CONNECT")
	}
}

// The file was written by mosquitto_passwd 2.0.11 for this test.
func TestMosquittoPasswd(t *testing.T) {
	t.Parallel()
	a, err := Open(Config{PasswordFile: "testdata/mosquitto.passwd"})
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{"alice": "correct-horse", "bob": "pa:ss wörd", "carol smith": "$7$101$"}
	for user, right := range passwords {
		for _, password := range passwords {
			id, err := a.Authenticate(t.Context(), login(user, password), false)
			if (err == nil) != (password == right) {
				t.Errorf("%s with %q: %+v, %v", user, password, id, err)
			}
		}
	}
}

// Mosquitto 2.0 and 2.1 write other lengths and iterations than each other: all work.
func TestMosquittoLengths(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]int{{101, 12, 64}, {1000, 64, 64}, {1, 1, 16}, {1, 256, 256}, {7, 13, 20}, {20000, 16, 64}} {
		hash := cheapHash("secret", c[0], c[1], c[2])
		for password, want := range map[string]bool{"secret": true, "secreT": false} {
			if got, err := VerifyPassword(hash, []byte(password)); got != want || err != nil {
				t.Errorf("%v %q: got %v, %v, want %v", c, password, got, err, want)
			}
		}
	}
}

func TestMalformedHashes(t *testing.T) {
	t.Parallel()
	salt, key := "AAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("A", 43)
	argon := func(version, cost, salt, key string) string {
		return "$argon2id$" + version + "$" + cost + "$" + salt + "$" + key
	}
	good := argon("v=19", "m=64,t=1,p=1", salt, key)
	if _, err := parseHash(good); err != nil {
		t.Fatal(err)
	}
	goodPBKDF := cheapHash("x", 101, 12, 64)
	bad := []string{
		"", "$", "$$", "x", "plain text", "$1$a$b", "$2b$10$abcdefghijklmnopqrstuv", "$5$a$b", "$6$a$b", "$7", "$7$", "7$101$a$b",
		"$argon2id", "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key, good + "$", good + "\n", good + "=", "x" + good,
		argon("v=16", "m=64,t=1,p=1", salt, key), argon("v=19", "t=1,m=64,p=1", salt, key),
		argon("v=19", "m=64,t=1", salt, key), argon("v=19", "m=64,t=1,p=1,x=1", salt, key),
		argon("v=19", "m=7,t=1,p=1", salt, key), argon("v=19", "m=15,t=1,p=2", salt, key),
		argon("v=19", "m=262145,t=1,p=1", salt, key), argon("v=19", "m=64,t=17,p=1", salt, key), argon("v=19", "m=64,t=1,p=17", salt, key),
		argon("v=19", "m=64,t=0,p=1", salt, key), argon("v=19", "m=64,t=1,p=0", salt, key), argon("v=19", "m=0,t=1,p=1", salt, key),
		argon("v=19", "m=-1,t=1,p=1", salt, key), argon("v=19", "m=+64,t=1,p=1", salt, key), argon("v=19", "m=4294967360,t=1,p=1", salt, key),
		argon("v=19", "m=64,t=1,p=1", "", key), argon("v=19", "m=64,t=1,p=1", "AAAA", key), argon("v=19", "m=64,t=1,p=1", salt, ""),
		argon("v=19", "m=64,t=1,p=1", salt, "AAAA"), argon("v=19", "m=64,t=1,p=1", salt, strings.Repeat("A", 400)),
		argon("v=19", "m=64,t=1,p=1", salt, "!"+key[1:]),
		"$7$0$AAAA$" + strings.Repeat("A", 88), "$7$2000001$AAAA$" + strings.Repeat("A", 88), "$7$-1$AAAA$" + strings.Repeat("A", 88),
		"$7$99999999999999999999$AAAA$" + strings.Repeat("A", 88), "$7$101$$" + strings.Repeat("A", 88), "$7$101$AAAA$",
		"$7$101$AAAA$AAAA", "$7$101$AAAA$" + strings.Repeat("A", 400), "$7$101$" + strings.Repeat("A", 400) + "$" + strings.Repeat("A", 88),
		goodPBKDF + "$", goodPBKDF[:len(goodPBKDF)-1], goodPBKDF + "=",
	}
	for _, hash := range bad {
		if ok, err := VerifyPassword(hash, []byte("x")); ok || err == nil {
			t.Errorf("%q: got %v, %v, want an error", hash, ok, err)
		}
	}
	for n := range len(goodPBKDF) - 64 { // cut off anywhere so that less than minKey remains
		if _, err := parseHash(goodPBKDF[:n]); err == nil {
			t.Errorf("cut off at %d: no error", n)
		}
	}
}

// A secret is hidden from every way of printing, also deep inside of other values.
func TestSecret(t *testing.T) {
	t.Parallel()
	const canary = "canary-77aa"
	s := NewSecret(canary)
	if s.Reveal() != canary || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not give what was put in")
	}
	nested := struct {
		inner  struct{ s Secret }
		Public Secret
		list   []Secret
	}{Public: s, list: []Secret{s}}
	nested.inner.s = s
	var out strings.Builder
	for _, verb := range "vsqxXdtTpboceEfgGU" {
		for _, flag := range []string{"", "+", "#", " ", "010"} {
			fmt.Fprintf(&out, "%"+flag+string(verb), s)
			fmt.Fprintf(&out, "%"+flag+string(verb), nested)
		}
	}
	encoded, err := json.Marshal(map[string]any{"a": s, "b": nested})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "secret", s, "nested", nested, "user", login("a", canary))
	}
	_, _ = io.WriteString(&out, s.String()+s.GoString())
	got := strings.ToLower(out.String())
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), "[99 97 110"} {
		if strings.Contains(got, leak) {
			t.Errorf("%q is shown", leak)
		}
	}
}
