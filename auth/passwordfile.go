package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// users is a loaded password file. Invariant: it holds at least one user.
type users struct {
	names  []string // in the order of the file
	hashes []Secret // of names, well-formed: what a plain password is checked against
	index  map[string]int32
	scram  [len(scramMethods)]scramUsers // by scramMethod.index
	secret []byte                        // see fakeSecret
}

// hash returns the password hash of a user, or "" for an unknown one. An entry for SCRAM is that
// only where there is no other one.
func (u *users) hash(name string) string {
	if i, ok := u.index[name]; ok {
		return u.hashes[i].Reveal()
	}
	return ""
}

// other returns the hash of some user, chosen by sum.
func (u *users) other(sum cacheKey) string {
	return u.hashes[binary.BigEndian.Uint64(sum[:])%uint64(len(u.hashes))].Reveal()
}

// loadUsers reads a password file: lines `name:hash`, for each user one, or one of each kind.
func loadUsers(file string) (u *users, warnings []string, err error) {
	data, mode, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the password file: %w", err)
	}
	u, err = parseUsers(file, data)
	if err != nil {
		return nil, nil, err
	}
	if len(u.names) == 0 {
		return nil, nil, fmt.Errorf("%s: the password file has no users: add one with nightjar passwd", file)
	}
	return u, exposed(file, mode), nil
}

// exposed warns of a password file that everybody can read or write.
func exposed(file string, mode fs.FileMode) []string {
	if runtime.GOOS == "windows" || mode.Perm()&0o007 == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: every user of this machine can open the password file: chmod o= it", file)}
}

// parseUsers reads the lines of a password file. One malformed line spoils it all.
func parseUsers(file string, data []byte) (*users, error) {
	u := &users{index: make(map[string]int32)}
	lines := make(map[string]int)
	err := eachLine(file, data, func(number int, line string) error {
		name, hash, found := strings.Cut(line, ":")
		if !found {
			return errors.New("no colon between the user name and the password hash")
		}
		if err := checkUserName(name); err != nil {
			return err
		}
		h, err := parseHash(hash)
		if err != nil {
			return err
		}
		id := h.kind() + ":" + name
		if first, again := lines[id]; again {
			return fmt.Errorf("the same user as in line %d: remove one of them", first)
		}
		lines[id] = number
		u.add(name, hash, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	u.secret = u.fakeSecret()
	return u, nil
}

// add adds an entry, which is the first of its kind for the user.
func (u *users) add(name, hash string, h passwordHash) {
	if h.method != nil {
		u.scram[h.method.index].add(name, h)
	}
	at, known := u.index[name]
	switch {
	case !known:
		u.index[name] = int32(len(u.names))
		u.names = append(u.names, name)
		u.hashes = append(u.hashes, NewSecret(hash))
	case h.method == nil:
		u.hashes[at] = NewSecret(hash)
	}
}

// checkUserName refuses names that would be something else in a file. It does not show the name.
func checkUserName(name string) error {
	switch {
	case name == "":
		return errors.New("the user name is empty")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the user name holds a control character or is not UTF-8")
	case strings.ContainsAny(name, ":#"):
		return errors.New("the user name holds a colon or a #")
	case strings.TrimSpace(name) != name:
		return errors.New("the user name begins or ends with a space")
	case len(name) > maxPassword:
		return errors.New("the user name does not fit into CONNECT: 65535 bytes are the limit")
	}
	return nil
}
