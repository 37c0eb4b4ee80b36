package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What new hashes are made with: OWASP's minimum for argon2id, about 40 ms of one core.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2         // passes
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// What is accepted in hashes that others made. The upper bounds keep one entry of a password
// file from using up the machine.
const (
	maxArgonMemory  = 256 * 1024 // KiB
	maxArgonTime    = 16         // passes
	maxArgonThreads = 16
	maxIterations   = 2_000_000 // PBKDF2; about two seconds of one core
	maxSalt         = 256       // bytes
	minKey, maxKey  = 16, 256   // bytes; a shorter one is a line cut off
	maxPassword     = 65535     // bytes; what fits into CONNECT
)

var (
	errHashKind  = errors.New("not a password hash that is known here ($argon2id$, $scram-sha-256$, $scram-sha-512$ or $7$): set the password again with nightjar passwd")
	errHashSHA   = errors.New("$6$ hashes are too weak: set the password again with nightjar passwd")
	errHashArgon = errors.New("malformed $argon2id$ hash, or its parameters are out of range")
	errHashPBKDF = errors.New("malformed $7$ hash, or its parameters are out of range")
)

// HashPassword returns the argon2id hash of password in PHC form, for a password file.
func HashPassword(password []byte) (string, error) {
	if len(password) == 0 {
		return "", errors.New("the password is empty")
	}
	if len(password) > maxPassword {
		return "", fmt.Errorf("the password has %d bytes, but CONNECT has room for %d only", len(password), maxPassword)
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	key := argon2.IDKey(password, salt, argonTime, argonMemory, argonThreads, argonKey)
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		text.EncodeToString(salt), text.EncodeToString(key)), nil
}

// VerifyPassword reports whether password is the one that hash was made from. hash is argon2id
// in PHC form, an entry for SCRAM, or an entry of mosquitto_passwd: $7$iterations$salt$key, which is PBKDF2 with
// SHA-512. A malformed hash is an error that does not show it.
func VerifyPassword(hash string, password []byte) (bool, error) {
	h, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	return h.matches(password)
}

// passwordHash is a parsed hash, all within bounds.
type passwordHash struct {
	memory, time, threads uint32 // of argon2id
	iterations            uint32 // of PBKDF2; 0: argon2id
	salt, key             []byte
	method                *scramMethod // of SCRAM, where key is its StoredKey; nil: another kind
	server                []byte       // ServerKey of SCRAM
}

// matches takes as long for a wrong password as for the right one.
func (h passwordHash) matches(password []byte) (bool, error) {
	var key []byte
	var err error
	switch {
	case h.method != nil:
		key, err = h.method.derive(password, h.salt, h.iterations)
	case h.iterations > 0:
		key, err = pbkdf2.Key(sha512.New, string(password), h.salt, int(h.iterations), len(h.key))
	default:
		key = argon2.IDKey(password, h.salt, h.time, h.memory, uint8(h.threads), uint32(len(h.key)))
	}
	if err != nil {
		return false, fmt.Errorf("verify a password: %w", err)
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

// parseHash reads a hash of any kind.
func parseHash(hash string) (passwordHash, error) {
	fields := strings.Split(hash, "$")
	if len(fields) < 2 || fields[0] != "" {
		return passwordHash{}, errHashKind
	}
	switch fields[1] {
	case "argon2id":
		return parseArgon(fields)
	case "7":
		return parsePBKDF(fields)
	case "6":
		return passwordHash{}, errHashSHA
	}
	for _, m := range scramMethods {
		if fields[1] == m.entry {
			return parseSCRAM(m, fields)
		}
	}
	return passwordHash{}, errHashKind
}

// parseArgon reads $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func parseArgon(fields []string) (h passwordHash, err error) {
	if len(fields) != 6 || fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errHashArgon
	}
	cost := strings.Split(fields[3], ",")
	if len(cost) != 3 {
		return h, errHashArgon
	}
	ok := [...]bool{
		number(&h.memory, cost[0], "m=", maxArgonMemory),
		number(&h.time, cost[1], "t=", maxArgonTime),
		number(&h.threads, cost[2], "p=", maxArgonThreads),
		decode(&h.salt, base64.RawStdEncoding, fields[4], 8, maxSalt),
		decode(&h.key, base64.RawStdEncoding, fields[5], minKey, maxKey),
	}
	if ok != [...]bool{true, true, true, true, true} || h.memory < 8*h.threads {
		return h, errHashArgon
	}
	return h, nil
}

// parsePBKDF reads $7$iterations$salt$key. Mosquitto 2.0 writes 101 iterations and 12 bytes of
// salt, 2.1 writes 1000 and 64, so nothing is taken for granted.
func parsePBKDF(fields []string) (h passwordHash, err error) {
	if len(fields) != 5 ||
		!number(&h.iterations, fields[2], "", maxIterations) ||
		!decode(&h.salt, base64.StdEncoding, fields[3], 1, maxSalt) ||
		!decode(&h.key, base64.StdEncoding, fields[4], minKey, maxKey) {
		return h, errHashPBKDF
	}
	return h, nil
}

// number reads a decimal from 1 to limit that stands after prefix.
func number(n *uint32, text, prefix string, limit uint64) bool {
	digits, found := strings.CutPrefix(text, prefix)
	v, err := strconv.ParseUint(digits, 10, 32)
	*n = uint32(v)
	return found && err == nil && 1 <= v && v <= limit
}

// decode reads base64 that holds least to most bytes.
func decode(b *[]byte, encoding *base64.Encoding, text string, least, most int) bool {
	if len(text) > encoding.EncodedLen(most) || strings.ContainsAny(text, "\r\n") { // which encoding/base64 skips
		return false
	}
	v, err := encoding.Strict().DecodeString(text)
	*b = v
	return err == nil && least <= len(v) && len(v) <= most
}
