//go:build unix

package auth

import (
	"os"
	"syscall"
	"testing"
)

// A file that root has edited still belongs to the broker's user.
func TestEditKeepsTheOwner(t *testing.T) {
	t.Parallel()
	file := textFile(t, "passwd", twoUsers())
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 4711, 4712 // only root can give files away
	}
	if err := os.Chown(file, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := SetPassword(file, "alice", []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != uid || int(stat.Gid) != gid {
		t.Errorf("got %+v, want owner %d:%d", stat, uid, gid)
	}
}
