package mqtttest

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/store"
	"nightjar/transports"
)

// Patience is how long a test waits for what must come.
const Patience = 15 * time.Second

// Options are how a Broker differs from the default one.
type Options struct {
	// Config changes the broker's configuration.
	Config func(*broker.Config)
	// ACL is the text of the ACL file; empty: there is none.
	ACL string
	// Users are user names with their passwords; none: everybody is anonymous.
	Users map[string]string
	// SCRAM gives the users entries for SCRAM as well.
	SCRAM bool
	// Admins are the user names of administrators.
	Admins []string
	// Store keeps sessions in a data folder, so that they survive Restart.
	Store bool
	// Memory keeps them in memory in place of a data folder: for Hold, Release and Crash.
	Memory bool
	// Loops is the number of event loops; 0: two. Below 0: a goroutine for each connection.
	Loops int
	// Proxy has the listener take the address of a client from the PROXY protocol: for DialFrom.
	Proxy bool
	// Log takes the broker's log; nil: nobody.
	Log *slog.Logger
}

// Broker is a broker in the test's process, on a port of its own on loopback.
type Broker struct {
	*broker.Broker
	// Clock is moved by tests.
	Clock *Clock
	// Addr is host:port.
	Addr string
	// Auth is reloaded by ReloadACL.
	Auth *auth.Auth

	t       testing.TB
	options Options
	dir     string
	server  *transports.Server
	store   *store.SQLite
	memory  *memory
	durable *store.Memory // what a restarted broker finds in memory

	mu      sync.Mutex
	clients []*Client // guarded by mu
}

// NewBroker starts a broker, and stops it at the end of the test. It then checks that the broker's
// numbers agree with each other.
func NewBroker(t testing.TB, o Options) *Broker {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Loops == 0 {
		o.Loops = 2
	}
	b := &Broker{t: t, options: o, dir: t.TempDir(), Clock: NewClock()}
	b.openAuth()
	b.start("127.0.0.1:0")
	t.Cleanup(b.cleanup)
	return b
}

func (b *Broker) openAuth() {
	b.t.Helper()
	cfg := auth.DefaultConfig()
	cfg.Admins = b.options.Admins
	if b.options.ACL != "" {
		cfg.ACLFile = filepath.Join(b.dir, "acl.conf")
		b.must(os.WriteFile(cfg.ACLFile, []byte(b.options.ACL), 0o600))
	}
	if len(b.options.Users) > 0 {
		cfg.PasswordFile = filepath.Join(b.dir, "passwords")
		for user, password := range b.options.Users {
			b.setPassword(cfg.PasswordFile, user, password)
		}
	}
	a, err := auth.Open(cfg)
	b.must(err)
	b.Auth = a
}

func (b *Broker) setPassword(file, user, password string) {
	b.t.Helper()
	if b.options.SCRAM {
		b.must(auth.SetSCRAM(file, user, []byte(password), auth.SCRAMIterationsMin))
	} else {
		b.must(auth.SetPassword(file, user, []byte(password)))
	}
}

// SetPassword changes the password of a user, or adds one, and loads it.
func (b *Broker) SetPassword(user, password string) {
	b.t.Helper()
	b.setPassword(filepath.Join(b.dir, "passwords"), user, password)
	b.must(b.Auth.Reload())
}

func (b *Broker) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// start starts a broker at an address, with what the store has.
func (b *Broker) start(addr string) {
	b.t.Helper()
	cfg := broker.DefaultConfig()
	cfg.SysInterval = 0
	if b.options.Config != nil {
		b.options.Config(&cfg)
	}
	var st broker.Store
	if b.options.Store {
		sc := store.DefaultConfig()
		sc.Dir, sc.Log = filepath.Join(b.dir, "data"), b.options.Log
		s, err := store.Open(sc)
		b.must(err)
		b.store, st = s, s
	}
	if b.options.Memory {
		if b.durable == nil {
			b.durable = store.NewMemory()
		}
		b.memory = newMemory(b.durable)
		st = b.memory
	}
	listeners := map[string]broker.Listener{"tcp": {AllowAnonymous: len(b.options.Users) == 0, CertificateUser: "none"}}
	core, err := broker.New(cfg, b.Auth, st, listeners, b.Clock.Now, b.options.Log)
	b.must(err)
	b.Broker = core
	if b.store != nil {
		b.must(b.store.Load(core.Restore(b.store.LastSession())))
	}
	if b.memory != nil {
		b.must(b.memory.Load(core.Restore(b.memory.LastSession())))
	}
	b.server, err = transports.New(transports.Config{Loops: b.options.Loops, Clock: b.Clock.Now, Log: b.options.Log}, core)
	b.must(err)
	core.Attach(b.server)
	if b.store != nil {
		b.store.Start(core.Gate(), core.Durable)
	}
	if b.memory != nil {
		b.memory.Start(core.Gate(), core.Durable)
		b.memory.run()
	}
	lc := transports.ListenerConfig{Name: "tcp", Network: "tcp", Address: addr}
	if b.options.Proxy {
		lc.Proxy = &transports.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	}
	ln, err := b.server.Listen(lc)
	b.must(err)
	b.Addr = ln.Addr().String()
	b.must(b.server.Start())
	core.Start()
}

// Stop shuts the broker down in good order.
func (b *Broker) Stop() {
	b.t.Helper()
	if b.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	b.Shutdown(ctx)
	b.server = nil
	if b.store != nil {
		if err := b.store.Close(); err != nil {
			b.t.Errorf("close the store: %v", err)
		}
		b.store = nil
	}
	if b.memory != nil {
		b.memory.stop()
		b.memory.commit(false)
		b.durable = b.memory.Memory.Crash()
		b.memory = nil
	}
}

// Restart stops the broker and starts another one on the same data and the same port.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.start(b.Addr)
}

// ReloadACL replaces the text of the ACL file and loads it.
func (b *Broker) ReloadACL(text string) {
	b.t.Helper()
	if b.options.ACL == "" {
		b.t.Fatal("the broker was started without an ACL file")
	}
	b.must(os.WriteFile(filepath.Join(b.dir, "acl.conf"), []byte(text), 0o600))
	b.must(b.Auth.Reload())
}

// Eventually waits until ok returns true.
func (b *Broker) Eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(Patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			b.t.Fatalf("never came: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
		wait(time.Millisecond)
	}
}

// wait lets other goroutines go on for a moment.
func wait(d time.Duration) { <-time.After(d) }

// WaitOffline waits until the broker has seen the end of all connections but so many.
func (b *Broker) WaitOffline(left int) {
	b.t.Helper()
	b.Eventually("the end of connections", func() bool {
		return b.Stats().Connections == left && b.server.Connections() == left
	})
}

func (b *Broker) cleanup() {
	b.mu.Lock()
	clients := b.clients
	b.clients = nil
	b.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	if b.server == nil {
		return
	}
	b.WaitOffline(0)
	if err := b.check(); err != nil {
		b.t.Error(err)
	}
	b.Stop()
}

// check compares the broker's numbers with each other, once all connections are gone.
func (b *Broker) check() error {
	s := b.Stats()
	var errs []error
	if s.ConnectionsOpened != s.ConnectionsClosed {
		errs = append(errs, errors.New("connections opened and closed differ"))
	}
	return errors.Join(append(errs, b.Broker.Check())...)
}
