//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepareDir makes the data folder for the owner alone, and refuses one where others could exchange the files.
func prepareDir(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
		if err := os.Chmod(dir, 0o700); err != nil { // whatever the umask
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data folder %s: is not a folder", dir)
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("data folder %s: everybody may write to it (mode %04o): chmod 700 %[1]s", dir, info.Mode().Perm())
	}
	return nil
}

// checkFile refuses a file that is a symbolic link, belongs to somebody else or is open to others.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is not a regular file but %v: move it away", path, info.Mode().Type())
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: is open to others (mode %04o): chmod 600 %[1]s", path, info.Mode().Perm())
	}
	return nil
}

func checkOwner(path string, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: belongs to user %d, and the broker runs as %d: run it as that user, or chown %[3]d %[1]s",
			path, st.Uid, os.Geteuid())
	}
	return nil
}

// takeLock locks the data folder for this process. The kernel gives the lock back when the process ends, however
// it ends; the file stays, with the number of the process that had it last.
func takeLock(path string) (*os.File, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, inUse(f)
		}
		return nil, fmt.Errorf("lock data folder: flock %s: %w", path, err)
	}
	if err := errors.Join(f.Chmod(0o600), writePID(f)); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return f, nil
}

// inUse says who has the lock.
func inUse(f *os.File) error {
	pid := make([]byte, 20)
	n, _ := f.ReadAt(pid, 0) // io.EOF: it is shorter
	holder := strings.TrimSpace(string(pid[:n]))
	if _, err := strconv.Atoi(holder); err != nil {
		holder = "unknown"
	}
	return fmt.Errorf("%w: process %s holds %s: stop it, or name another data folder", ErrInUse, holder, f.Name())
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// syncDir makes the names of new files survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync data folder: %w", err)
	}
	return nil
}
