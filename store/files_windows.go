//go:build windows

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// prepareDir makes the data folder. Who may use it is inherited from the folder above.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	return nil
}

// checkFile refuses what is not a regular file.
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
	return nil
}

// takeLock locks the data folder for this process. The system gives the lock back when the process ends.
func takeLock(path string) (*os.File, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, fmt.Errorf("%w: another process holds %s: stop it, or name another data folder", ErrInUse, path)
		}
		return nil, fmt.Errorf("lock data folder: %s: %w", path, err)
	}
	return f, nil
}

// syncDir does nothing: a folder cannot be synced on Windows.
func syncDir(string) error { return nil }
