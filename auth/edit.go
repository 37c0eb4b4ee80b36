package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// ErrNoUser says that the password file has no such user.
var ErrNoUser = errors.New("no such user")

// editing is held while a password file is read, changed and written, so that two edits of this
// process do not undo each other.
var editing sync.Mutex

// SetPassword adds a user to a password file, or changes the password; a user who has entries for SCRAM gets new ones.
// A file that does not exist is made. The file is replaced as a whole, so that a crash leaves the
// old one or the new one.
func SetPassword(file, user string, password []byte) error {
	return setPassword(file, user, password, 0)
}

// SetSCRAM is SetPassword with entries for SCRAM beside the hash, of so many iterations: SCRAMIterationsMin to 2,000,000.
func SetSCRAM(file, user string, password []byte, iterations int) error {
	if iterations < SCRAMIterationsMin { // 0 has a meaning below
		return errIterations(iterations)
	}
	return setPassword(file, user, password, iterations)
}

// setPassword makes the entries of a user; with iterations 0 for SCRAM only where there are such ones.
func setPassword(file, user string, password []byte, iterations int) error {
	if err := checkUserName(user); err != nil {
		return err
	}
	hash, err := HashPassword(password)
	if err != nil {
		return err
	}
	return edit(file, true, func(lines []string) ([]string, error) {
		var rest []string
		at := -1 // where the entries of the user were
		for _, line := range lines {
			if !owns(user, line) {
				rest = append(rest, line)
				continue
			}
			if at < 0 {
				at = len(rest)
			}
			if iterations == 0 {
				iterations = iterationsOf(line)
			}
		}
		if n := len(rest); at < 0 || at == n {
			at = n
			if n > 0 && !strings.HasSuffix(rest[n-1], "\n") {
				rest[n-1] += "\n"
			}
		}
		hashes := []string{hash}
		if iterations > 0 {
			more, err := scramEntries(password, iterations)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
		}
		for i, hash := range hashes {
			hashes[i] = user + ":" + hash + "\n"
		}
		return slices.Insert(rest, at, hashes...), nil
	})
}

// iterationsOf are those of an entry for SCRAM; 0: it is another one.
func iterationsOf(line string) int {
	_, hash, _ := strings.Cut(strings.TrimSpace(line), ":")
	if h, err := parseHash(hash); err == nil && h.method != nil {
		return int(h.iterations)
	}
	return 0
}

// DeleteUser removes a user from a password file; ErrNoUser where there is none. The last user
// stays: the broker refuses an empty file, and would go on with the old one.
func DeleteUser(file, user string) error {
	return edit(file, false, func(lines []string) ([]string, error) {
		var rest []string
		for _, line := range lines {
			if !owns(user, line) {
				rest = append(rest, line)
			}
		}
		if len(rest) == len(lines) {
			return nil, ErrNoUser
		}
		return rest, nil
	})
}

// Users returns the user names of a password file, in its order.
func Users(file string) ([]string, error) {
	u, _, err := loadUsers(file)
	if err != nil {
		return nil, err
	}
	return u.names, nil
}

// owns reports whether a line is the entry of user. Comments belong to nobody.
func owns(user, line string) bool {
	name, _, found := strings.Cut(strings.TrimSpace(line), ":")
	return found && name == user && !strings.HasPrefix(name, "#")
}

// edit replaces the lines of a password file by what change makes of them. A result that the
// broker would refuse to load is not written.
func edit(file string, create bool, change func(lines []string) ([]string, error)) error {
	editing.Lock()
	defer editing.Unlock()
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // replace the file, not the link to it
	}
	data, mode, err := readFile(file)
	if create && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read the password file: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		lines = append(lines, line)
	}
	if lines, err = change(lines); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	data = []byte(strings.Join(lines, ""))
	switch u, err := parseUsers(file, data); {
	case err != nil:
		return fmt.Errorf("the password file is left as it is, because the broker would refuse it: %w", err)
	case len(u.names) == 0:
		return fmt.Errorf("%s: the last user cannot be deleted: the broker refuses a password file without users", file)
	}
	if err := replaceFile(file, data, mode); err != nil {
		return fmt.Errorf("write the password file: %w", err)
	}
	return nil
}

// replaceFile puts data in place of file in one step that survives a power cut. The new file has
// mode 0600, and the owner of the old one; a group that could read the old one can read it again.
func replaceFile(file string, data []byte, old fs.FileMode) (err error) {
	folder := filepath.Dir(file)
	f, err := os.CreateTemp(folder, "."+filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := fill(f, file, data, old); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncFolder(folder)
}

// fill writes data to f and makes it durable.
func fill(f *os.File, like string, data []byte, old fs.FileMode) error {
	if old != 0 && runtime.GOOS != "windows" {
		if err := copyOwner(f, like); err != nil {
			return err
		}
		if err := f.Chmod(0o600 | old.Perm()&0o040); err != nil {
			return err
		}
	}
	if _, err := f.ReadFrom(bytes.NewReader(data)); err != nil {
		return err
	}
	return f.Sync()
}

// syncFolder makes a rename in folder durable. Windows has no such call, and needs none.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
