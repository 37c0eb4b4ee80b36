package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/packets"
)

// Config says where users and rules come from.
type Config struct {
	// PasswordFile holds user names and password hashes; empty: nobody logs in by password.
	PasswordFile string
	// ACLFile holds the rules; empty: every client may use every topic but $-topics.
	ACLFile string
	// AllowAnonymous is for listeners that do not say it themselves. This package does not
	// read it: the caller decides for each connection, see Authenticate.
	AllowAnonymous bool
	// Admins are the user names that may read $SYS and use other $-topics without a rule.
	Admins []string
}

// DefaultConfig has no users, no rules, and no anonymous clients.
func DefaultConfig() Config { return Config{} }

// Validate checks what can be checked without reading the files, and returns all faults.
func (c Config) Validate() error {
	var errs []error
	for i, name := range c.Admins {
		if err := checkUserName(name); err != nil {
			errs = append(errs, fmt.Errorf("admins[%d]: %w", i, err))
		}
		if slices.Contains(c.Admins[:i], name) {
			errs = append(errs, fmt.Errorf("admins[%d]: %q is listed twice", i, name))
		}
	}
	if c.PasswordFile != "" && c.PasswordFile == c.ACLFile {
		errs = append(errs, errors.New("password_file and acl_file are the same file"))
	}
	return errors.Join(errs...)
}

// Auth authenticates clients and authorizes what they do. All methods are safe for concurrent use.
type Auth struct {
	cfg     Config
	key     []byte        // of all HMACs; made at random by Open, never leaves memory
	hashing chan struct{} // one slot per running password verification
	started time.Time     // zero of the cache's clock

	reloading sync.Mutex // held while files are read
	loaded    atomic.Pointer[loaded]
}

// loaded is everything that a reload replaces, as one value. Immutable but for the cache.
type loaded struct {
	epoch    uint64
	users    *users // nil: no password file
	acl      *acl   // nil: no ACL file
	warnings []string
	verified *cache
}

// Open loads all files of cfg. Any fault in any of them is an error, and then the broker must
// not start.
func Open(cfg Config) (*Auth, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Admins = slices.Clone(cfg.Admins)
	a := &Auth{
		cfg:     cfg,
		key:     make([]byte, 32),
		hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		started: time.Now(),
	}
	_, _ = rand.Read(a.key) // never fails: it ends the program instead
	if err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads all files again. Where any of them has a fault it returns an error that names
// file and line, and everything stays as it was. Callers that cache decisions see a new Epoch.
func (a *Auth) Reload() error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	next := &loaded{epoch: a.Epoch() + 1, verified: newCache()}
	var errs []error
	if file := a.cfg.PasswordFile; file != "" {
		users, warnings, err := loadUsers(file)
		next.users, next.warnings, errs = users, warnings, append(errs, err)
	}
	if file := a.cfg.ACLFile; file != "" {
		acl, warnings, err := loadACL(file)
		next.acl, next.warnings, errs = acl, append(next.warnings, warnings...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.loaded.Store(next)
	return nil
}

// Warnings returns what the loaded files say that probably is not meant, each with file and line.
func (a *Auth) Warnings() []string { return slices.Clone(a.loaded.Load().warnings) }

// Epoch changes with each successful Reload. A cached decision is valid for one epoch.
func (a *Auth) Epoch() uint64 {
	if l := a.loaded.Load(); l != nil {
		return l.epoch
	}
	return 0
}

// NeedsPassword reports whether a password file is configured.
func (a *Auth) NeedsPassword() bool { return a.cfg.PasswordFile != "" }

// Unrestricted reports whether there is no ACL: everybody may use everything but $-topics.
func (a *Auth) Unrestricted() bool { return a.loaded.Load().acl == nil }

// Authenticate finds out who a client is. It may take tens of milliseconds of CPU and wait for
// others who do the same, until ctx ends: call it off the event loop, after Fast.
//
// Its errors are *packets.Error: BadUserNameOrPassword for an unknown user and for a wrong
// password alike, after the same work; NotAuthorized where credentials are needed and missing,
// or where a certificate's name is not fit for a user name; ServerBusy where ctx ended first.
func (a *Auth) Authenticate(ctx context.Context, c Credentials, anonymousAllowed bool) (*Identity, error) {
	id, err, ok := a.Fast(c, anonymousAllowed)
	if ok {
		return id, err
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return nil, busy(ctx)
	}
	// Again, because a client with the same credentials may have been verified meanwhile; and
	// once more after a reload, so that a user who was just deleted does not slip in.
	for ctx.Err() == nil {
		if id, err, ok := a.Fast(c, anonymousAllowed); ok {
			return id, err
		}
		l := a.loaded.Load()
		if l.users == nil {
			continue
		}
		right := a.verify(l.users, c)
		if a.loaded.Load() != l {
			continue
		}
		if !right {
			return nil, badUserNameOrPassword()
		}
		l.verified.add(a.cacheKey(l.users.hash(c.UserName), c), time.Since(a.started))
		return a.user(c.UserName, c), nil
	}
	return nil, busy(ctx)
}

// Fast answers at once where no password needs hashing: certificates, anonymous clients, missing
// credentials, and credentials that were verified a short time ago. ok is false where it cannot:
// call Authenticate then.
func (a *Auth) Fast(c Credentials, anonymousAllowed bool) (id *Identity, err error, ok bool) {
	l := a.loaded.Load()
	switch {
	case c.CertificateName != "":
		id, err = a.certificate(c)
		return id, err, true
	case anonymousAllowed && (l.users == nil || !c.HasUserName):
		return &Identity{ClientID: c.ClientID, Anonymous: true}, nil, true
	case l.users == nil:
		return nil, packets.Errorf(packets.NotAuthorized, "", "this listener takes no anonymous clients, and no users are set up"), true
	case !c.HasUserName || !c.HasPassword:
		return nil, packets.Errorf(packets.NotAuthorized, "", "a user name and a password are required"), true
	}
	if l.verified.has(a.cacheKey(l.users.hash(c.UserName), c), time.Since(a.started)) {
		return a.user(c.UserName, c), nil, true
	}
	return nil, nil, false
}

// certificate is Fast for a client whose certificate names the user.
func (a *Auth) certificate(c Credentials) (*Identity, error) {
	if !singleLevel(c.CertificateName) {
		return nil, packets.Errorf(packets.NotAuthorized, "", "the name in the client certificate is not fit for a user name")
	}
	if c.HasUserName && c.UserName != c.CertificateName {
		return nil, packets.Errorf(packets.BadUserNameOrPassword, "", "the user name is not the one in the client certificate")
	}
	return a.user(c.CertificateName, c), nil
}

// user is the Identity of an authenticated user.
func (a *Auth) user(name string, c Credentials) *Identity {
	return &Identity{UserName: name, ClientID: c.ClientID, Admin: slices.Contains(a.cfg.Admins, name)}
}

// verify does the slow part of Authenticate. For an unknown user it works as hard as for a known
// one, on the entry of somebody else. Whose entry that is depends on the name only, so that
// unknown users are as diverse as known ones, and asking again tells nothing.
func (a *Auth) verify(u *users, c Credentials) bool {
	hash := u.hash(c.UserName)
	known := hash != ""
	if !known {
		hash = u.other(a.mac(c.UserName))
	}
	right, err := VerifyPassword(hash, c.Password)
	return known && right && err == nil
}

// badUserNameOrPassword is one text for both, so that nobody learns which it was.
func badUserNameOrPassword() error {
	return packets.Errorf(packets.BadUserNameOrPassword, "", "bad user name or password")
}

// busy is the answer when ctx ended before there was a result.
func busy(ctx context.Context) error {
	err := packets.Errorf(packets.ServerBusy, "", "too many clients are logging in")
	err.Err = context.Cause(ctx)
	return err
}
