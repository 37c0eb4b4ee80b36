package auth

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"nightjar/packets"
)

// textFile makes a file with the given text in a folder of its own and returns its path.
func textFile(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	overwrite(t, file, text)
	return file
}

// overwrite replaces the text of a file.
func overwrite(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cheapHash is a $7$ entry of any sizes, which costs little.
func cheapHash(password string, iterations, salt, key int) string {
	saltBytes := make([]byte, salt)
	for i := range saltBytes {
		saltBytes[i] = byte(i * 7)
	}
	sum, err := pbkdf2.Key(sha512.New, password, saltBytes, iterations, key)
	if err != nil {
		panic(err)
	}
	text := base64.StdEncoding
	return fmt.Sprintf("$7$%d$%s$%s", iterations, text.EncodeToString(saltBytes), text.EncodeToString(sum))
}

// open opens an Auth with the given files' texts; an empty text is no file.
func open(t testing.TB, passwords, acl string, admins ...string) *Auth {
	t.Helper()
	cfg := Config{Admins: admins}
	if passwords != "" {
		cfg.PasswordFile = textFile(t, "passwd", passwords)
	}
	if acl != "" {
		cfg.ACLFile = textFile(t, "acl.conf", acl)
	}
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// twoUsers is a password file in which alice has the password "secret" and bob "hidden".
func twoUsers() string {
	return "alice:" + cheapHash("secret", 1, 12, 64) + "\nbob:" + cheapHash("hidden", 2, 64, 64) + "\n"
}

// login is what a client with user name and password shows.
func login(user, password string) Credentials {
	return Credentials{ClientID: "c1", UserName: user, HasUserName: true, HasPassword: true, Password: []byte(password)}
}

// code returns the reason code of an error, Success of nil.
func code(err error) packets.ReasonCode {
	if err == nil {
		return packets.Success
	}
	return packets.ReasonCodeOf(err)
}
