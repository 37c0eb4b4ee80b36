//go:build unix

package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPermissions proves that the files are for the owner alone, and that others are refused.
func TestPermissions(t *testing.T) {
	cfg := testConfig(t)
	s := mustOpen(t, cfg)
	s.Append(session(1))
	s.Start(nil, func(uint64, error) {})
	for name, want := range map[string]os.FileMode{".": 0o700, dbFile: 0o600, walFile: 0o600, shmFile: 0o600, lockFile: 0o600} {
		if info, err := os.Lstat(s.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %04o", name, info.Mode(), err, want)
		}
	}
	mustClose(t, s)
	refused := func(what, want string) {
		t.Helper()
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	for _, name := range []string{dbFile, lockFile} {
		path := s.path(name)
		for _, mode := range []os.FileMode{0o604, 0o640, 0o620} {
			must(t, os.Chmod(path, mode))
			refused(fmt.Sprintf("%s with mode %04o", name, mode), "chmod 600")
		}
		must(t, os.Chmod(path, 0o600))
		must(t, os.Rename(path, path+".moved"))
		must(t, os.Symlink(path+".moved", path))
		refused(name+" a symbolic link", "not a regular file")
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o700))
		refused(name+" a folder", "not a regular file")
		must(t, os.Remove(path))
		must(t, os.Rename(path+".moved", path))
	}
	must(t, os.Chmod(cfg.Dir, 0o707))
	refused("folder for everybody", "chmod 700")
	must(t, os.Chmod(cfg.Dir, 0o700))
	mustClose(t, mustOpen(t, cfg))
	cfg.Dir = s.path(dbFile)
	refused("folder is a file", "not a folder")
}
