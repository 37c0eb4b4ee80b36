package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// logsIn opens a password file and reports whether user may log in with password.
func logsIn(t *testing.T, file, user, password string) bool {
	t.Helper()
	a, err := Open(Config{PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Authenticate(t.Context(), login(user, password), false)
	return err == nil
}

func TestEditPasswordFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passwd")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(SetPassword(file, "alice", []byte("one")))
	must(SetPassword(file, "bob", []byte("two")))
	if !logsIn(t, file, "alice", "one") || !logsIn(t, file, "bob", "two") || logsIn(t, file, "bob", "one") {
		t.Error("the passwords do not work")
	}
	must(SetPassword(file, "alice", []byte("three")))
	if logsIn(t, file, "alice", "one") || !logsIn(t, file, "alice", "three") {
		t.Error("the password was not changed")
	}
	if names, err := Users(file); err != nil || !slices.Equal(names, []string{"alice", "bob"}) {
		t.Errorf("got %q, %v", names, err)
	}
	must(DeleteUser(file, "alice"))
	if logsIn(t, file, "alice", "three") || !logsIn(t, file, "bob", "two") {
		t.Error("the wrong user is gone")
	}
	if err := DeleteUser(file, "alice"); !errors.Is(err, ErrNoUser) {
		t.Errorf("got %v, want ErrNoUser", err)
	}
	if err := DeleteUser(file, "bob"); err == nil || !logsIn(t, file, "bob", "two") {
		t.Errorf("the last user: %v", err)
	}
	if err := DeleteUser(file+"x", "bob"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for a file that is not there", err)
	}
	if _, err := Users(file + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for a file that is not there", err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("files left over: %v, %v", entries, err)
	}
}

// Comments, blank lines and the other users stay byte for byte.
func TestEditKeepsTheRest(t *testing.T) {
	t.Parallel()
	alice, bob := "alice:"+cheapHash("a", 1, 12, 64), "bob:"+cheapHash("b", 1, 12, 64)
	file := textFile(t, "passwd", "# alice:old\n\n  "+alice+"\r\n# the end: \n"+bob) // no newline at the end
	if err := SetPassword(file, "carol", []byte("c")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "# alice:old\n\n  " + alice + "\r\n# the end: \n" + bob + "\ncarol:$argon2id$"; !strings.HasPrefix(string(data), want) {
		t.Errorf("got %q, want %q...", data, want)
	}
	if err := errors.Join(DeleteUser(file, "carol"), DeleteUser(file, "alice")); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(file)
	if want := "# alice:old\n\n# the end: \n" + bob + "\n"; string(data) != want || err != nil {
		t.Errorf("got %q, %v, want %q", data, err, want)
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	good := twoUsers()
	file := textFile(t, "passwd", good)
	long := strings.Repeat("x", 65536)
	for _, name := range []string{"", "a:b", "a#", "#a", "a\n", "a\x00", "a\u0085", "\xff", " a", "a ", "a\t", long} {
		if err := SetPassword(file, name, []byte("x")); err == nil {
			t.Errorf("user name %q was taken", name)
		}
	}
	for _, password := range []string{"", long} {
		if err := SetPassword(file, "alice", []byte(password)); err == nil {
			t.Errorf("a password of %d bytes was taken", len(password))
		}
	}
	if data, err := os.ReadFile(file); string(data) != good || err != nil {
		t.Errorf("the file was changed: %q, %v", data, err)
	}
	if err := SetPassword(t.TempDir(), "alice", []byte("x")); err == nil {
		t.Error("a directory was taken for a file")
	}
	if err := SetPassword(filepath.Join(t.TempDir(), "no", "passwd"), "alice", []byte("x")); err == nil {
		t.Error("no error for a folder that is not there")
	}
	broken := "alice:broken\n" + good[strings.Index(good, "bob:"):]
	overwrite(t, file, broken+"carol:broken\n")
	if err := SetPassword(file, "alice", []byte("x")); err == nil || !strings.Contains(err.Error(), ":3: ") {
		t.Errorf("got %v for a file that stays malformed", err)
	}
	overwrite(t, file, broken)
	if err := SetPassword(file, "alice", []byte("repaired")); err != nil || !logsIn(t, file, "alice", "repaired") {
		t.Errorf("the malformed entry could not be replaced: %v", err)
	}
}

// The new file is for its owner's eyes, and for the group's where the old one was.
func TestEditModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // it has no modes
	}
	file := filepath.Join(t.TempDir(), "passwd")
	for _, c := range [][2]fs.FileMode{{0, 0o600}, {0o600, 0o600}, {0o666, 0o640}, {0o640, 0o640}, {0o400, 0o600}, {0o777, 0o640}} {
		if c[0] != 0 {
			if err := os.Chmod(file, c[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := SetPassword(file, "alice", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != c[1] {
			t.Errorf("from %o: got %v, %v, want %o", c[0], info.Mode(), err, c[1])
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := SetPassword(link, "bob", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 || !logsIn(t, file, "bob", "x") {
		t.Errorf("the link was replaced, not its target: %v, %v", info.Mode(), err)
	}
}

func TestConcurrentEdits(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", twoUsers())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if err := SetPassword(file, fmt.Sprint("user", i), []byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names, err := Users(file); err != nil || len(names) != 6 {
		t.Errorf("got %q, %v", names, err)
	}
}

func TestMalformedPasswordLineAtEveryPosition(t *testing.T) {
	t.Parallel()
	hash := cheapHash("x", 1, 12, 64)
	lines := strings.Split(strings.TrimSpace(twoUsers()), "\n")
	file := textFile(t, "passwd", twoUsers())
	a, err := Open(Config{PasswordFile: file, ACLFile: textFile(t, "acl.conf", "user alice\ntopic a/#\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"carol", "carol:", "carol:x", ":", ":" + hash, "carol: " + hash, "carol :" + hash, "carol:" + hash + ":", "a#b:" + hash, "carol\x00:" + hash,
		"carol:$6$abc$def", "carol:" + hash[:20], "\xff:" + hash, "carol:\x1b" + hash, "carol:" + hash + " x", "carol $" + hash,
	} {
		for at := range len(lines) + 1 {
			overwrite(t, file, strings.Join(slices.Insert(slices.Clone(lines), at, bad), "\n"))
			if _, err := Users(file); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d: ", file, at+1)) {
				t.Errorf("%q at %d: got %v", bad, at, err)
			}
			checkReloadKeeps(t, bad, a)
		}
	}
	overwrite(t, file, twoUsers()+"alice:"+hash)
	if _, err := Users(file); err == nil || !strings.Contains(err.Error(), ":3: the same user as in line 1") {
		t.Errorf("got %v for a user who is there twice", err)
	}
}
