package auth

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/xdg-go/scram"
)

// Iterations of PBKDF2 in SCRAM entries. It is the client that computes them at each login, and the broker only where such
// an entry is used for a plain password.
const (
	// SCRAMIterations is what new entries have if nothing else is said.
	SCRAMIterations = 100_000
	// SCRAMIterationsMin is what RFC 7677 wants at least; clients refuse less.
	SCRAMIterationsMin = 4096
)

// scramSalt is the size of a new salt, in bytes.
const scramSalt = 16

// scramMethod is one of the authentication methods. There are as many values as methods: they are compared by address.
type scramMethod struct {
	index int    // in scramMethods
	name  string // the Authentication Method
	entry string // what an entry of the password file begins with, between two $
	hash  scram.HashGeneratorFcn
	size  int // of what hash gives, in bytes
}

var scramMethods = [...]*scramMethod{
	{0, "SCRAM-SHA-256", "scram-sha-256", scram.SHA256, 32},
	{1, "SCRAM-SHA-512", "scram-sha-512", scram.SHA512, 64},
}

var (
	errHashSCRAM     = errors.New("malformed $scram-sha-…$ entry, or its parameters are out of range")
	errSCRAMPassword = errors.New("the password has characters that SCRAM does not allow (SASLprep, RFC 4013): choose another one, or leave --scram out")
)

// scramEntries makes the entries of a password for all methods.
func scramEntries(password []byte, iterations int) ([]string, error) {
	if iterations < SCRAMIterationsMin || iterations > maxIterations {
		return nil, errIterations(iterations)
	}
	entries := make([]string, 0, len(scramMethods))
	text := base64.StdEncoding
	for _, m := range scramMethods {
		client, err := m.hash.NewClient("", string(password), "")
		if err != nil {
			return nil, errSCRAMPassword
		}
		salt := make([]byte, scramSalt)
		_, _ = rand.Read(salt) // never fails: it ends the program instead
		c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
		if err != nil {
			return nil, fmt.Errorf("make a SCRAM entry: %w", err)
		}
		entries = append(entries, fmt.Sprintf("$%s$%d$%s$%s$%s", m.entry, iterations,
			text.EncodeToString(salt), text.EncodeToString(c.StoredKey), text.EncodeToString(c.ServerKey)))
	}
	return entries, nil
}

func errIterations(n int) error {
	return fmt.Errorf("%d iterations of SCRAM are not between %d and %d", n, SCRAMIterationsMin, maxIterations)
}

// parseSCRAM reads $scram-sha-256$iterations$salt$StoredKey$ServerKey.
func parseSCRAM(m *scramMethod, fields []string) (passwordHash, error) {
	h := passwordHash{method: m}
	text := base64.StdEncoding
	if len(fields) != 6 ||
		!number(&h.iterations, fields[2], "", maxIterations) || h.iterations < SCRAMIterationsMin ||
		!decode(&h.salt, text, fields[3], 8, maxSalt) ||
		!decode(&h.key, text, fields[4], m.size, m.size) ||
		!decode(&h.server, text, fields[5], m.size, m.size) {
		return passwordHash{}, errHashSCRAM
	}
	return h, nil
}

// kind tells entries apart of which a user may have one each.
func (h *passwordHash) kind() string {
	if h.method != nil {
		return h.method.entry
	}
	return "password"
}

// derive is the StoredKey of a password.
func (m *scramMethod) derive(password, salt []byte, iterations uint32) ([]byte, error) {
	client, err := m.hash.NewClient("", string(password), "")
	if err != nil { // others may have made the entry without SASLprep
		client, err = m.hash.NewClientUnprepped("", string(password), "")
	}
	if err != nil {
		return nil, err
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: int(iterations)})
	return c.StoredKey, err
}

// scramCost is what a client learns of an entry before it has proved anything.
type scramCost struct {
	iterations uint32
	salt       int // bytes
}

// scramUsers are the entries of one method.
type scramUsers struct {
	byName map[string]passwordHash
	costs  []scramCost // that occur in byName
}

func (s *scramUsers) add(name string, h passwordHash) {
	if s.byName == nil {
		s.byName = map[string]passwordHash{}
	}
	s.byName[name] = h
	if cost := (scramCost{h.iterations, len(h.salt)}); !slices.Contains(s.costs, cost) {
		s.costs = append(s.costs, cost)
	}
}

// fakeSecret is what the salts of unknown users are made from. It is taken from the entries of one user, so that a restart
// does not change those salts, as it does not change those of known users. Only that user could compute it, and not
// even that one where there is another hash than SCRAM.
func (u *users) fakeSecret() []byte {
	for _, name := range u.names {
		sum := sha256.New()
		found := false
		for i := range u.scram {
			if h, ok := u.scram[i].byName[name]; ok {
				found = true
				sum.Write(h.key)
				sum.Write(h.server)
			}
		}
		if found {
			sum.Write([]byte(u.hash(name)))
			return sum.Sum(nil)
		}
	}
	return nil
}

// fake is the entry of a user who has none: always the same one for a name, and such as others have.
func (u *users) fake(m *scramMethod, name string) passwordHash {
	// Of the costs that occur each name has one of its own, which stays when others come and go.
	cost, top := scramCost{SCRAMIterations, scramSalt}, []byte(nil)
	for _, c := range u.scram[m.index].costs {
		rank := derived(u.secret, fmt.Sprint("cost ", m.name, " ", c, " ", name), sha256.Size)
		if bytes.Compare(rank, top) > 0 {
			cost, top = c, rank
		}
	}
	return passwordHash{
		method: m, iterations: cost.iterations, salt: derived(u.secret, "salt "+m.name+" "+name, cost.salt),
		key: make([]byte, m.size), server: make([]byte, m.size),
	}
}

// derived is size bytes that nobody can guess who does not know the secret.
func derived(secret []byte, about string, size int) []byte {
	b, err := hkdf.Key(sha256.New, secret, nil, about, size)
	if err != nil {
		panic("BUG: auth: too large a size for HKDF: " + err.Error()) // maxSalt is far below its bound
	}
	return b
}
