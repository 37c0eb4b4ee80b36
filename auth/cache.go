package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// Limits of the cache of verified credentials.
const (
	// cacheTTL is how long verified credentials are believed without hashing again.
	cacheTTL = 60 * time.Second
	// cacheEntries bounds the memory to about a megabyte; beyond it an arbitrary entry goes.
	cacheEntries = 16384
)

// cacheKey is an HMAC-SHA256 of credentials and the hash that they were checked against.
type cacheKey [sha256.Size]byte

// cache remembers which credentials were verified, so that a fleet that reconnects does not
// need a slow hash for each device twice.
type cache struct {
	mu    sync.Mutex
	until map[cacheKey]time.Duration // on the clock of Auth.started; guarded by mu
}

func newCache() *cache { return &cache{until: make(map[cacheKey]time.Duration)} }

// has reports whether key was added less than cacheTTL ago.
func (c *cache) has(key cacheKey, now time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.until[key]
	if ok && now >= until {
		delete(c.until, key)
		ok = false
	}
	return ok
}

// add remembers key for cacheTTL.
func (c *cache) add(key cacheKey, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.until) >= cacheEntries {
		for old := range c.until {
			delete(c.until, old)
			break
		}
	}
	c.until[key] = now + cacheTTL
}

// cacheKey returns the key of credentials checked against hash.
func (a *Auth) cacheKey(hash string, c Credentials) cacheKey {
	return a.mac(c.UserName, hash, string(c.Password))
}

// mac is an HMAC over parts, each with its length so that no two lists look alike.
func (a *Auth) mac(parts ...string) (sum cacheKey) {
	h := hmac.New(sha256.New, a.key)
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Sum(sum[:0])
	return sum
}
