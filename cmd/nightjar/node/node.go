package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"nightjar/admin"
	"nightjar/auth"
	"nightjar/broker"
	"nightjar/configs"
	"nightjar/store"
	"nightjar/transports"
)

// Node is a broker with all of its parts.
type Node struct {
	cfg     configs.Config
	log     *slog.Logger
	version string

	auth   *auth.Auth
	store  *store.SQLite // nil: nothing is stored
	broker *broker.Broker
	server *transports.Server
	admin  *admin.Server // nil: there is none
	tls    []namedTLS
	bound  []Bound

	failed   chan struct{} // closed when the store has failed
	done     chan struct{} // closed when the Node ends
	tasks    goroutines    // end with done
	stopping goroutines    // of Stop
	ending   sync.Once
}

// Bound is a listener, and where it listens in fact.
type Bound struct {
	Name string
	URL  string // with the port that was found, if the configuration leaves it open
	// Anonymous tells whether it lets clients in without a name.
	Anonymous bool
}

type namedTLS struct {
	listener string
	*transports.ReloadableTLS
}

// New makes a Node of a configuration that configs.Load has checked: it reads all files, opens the store, and
// binds the listeners, but serves nobody yet. Shutdown frees what it holds.
func New(cfg configs.Config, version string, log *slog.Logger) (*Node, error) {
	n := &Node{cfg: cfg, log: log, version: version, failed: make(chan struct{}), done: make(chan struct{})}
	if err := n.open(); err != nil {
		_ = n.Shutdown(context.Background())
		return nil, err
	}
	return n, nil
}

func (n *Node) open() (err error) {
	n.fitDescriptors()
	if n.auth, err = auth.Open(n.cfg.AuthConfig()); err != nil {
		return err
	}
	n.logWarnings()
	if err = n.loadTLS(); err != nil {
		return err
	}
	if err = n.openBroker(); err != nil {
		return err
	}
	return n.bind()
}

// openBroker opens the store, and makes the broker of what it holds.
func (n *Node) openBroker() error {
	var kept broker.Store // stays nil without a store
	sc, durable := n.cfg.StoreConfig()
	if durable {
		sc.Log = n.log
		var err error
		if n.store, err = store.Open(sc); err != nil {
			return err
		}
		kept = n.store
	}
	listeners := map[string]broker.Listener{}
	for i := range n.cfg.Listeners {
		ln := &n.cfg.Listeners[i]
		listeners[ln.Name] = n.cfg.BrokerListener(ln)
	}
	clock := broker.Clock()
	b, err := broker.New(n.cfg.BrokerConfig(n.version), n.auth, kept, listeners, clock, n.log)
	if err != nil {
		return err
	}
	if n.store != nil {
		if err := n.store.Load(b.Restore(n.store.LastSession())); err != nil {
			return fmt.Errorf("load what is stored in %s: %w", n.cfg.Data.Dir, err)
		}
	}
	n.server, err = transports.New(transports.Config{Loops: n.cfg.Loops, Clock: clock, Log: n.log}, b)
	if err != nil {
		return fmt.Errorf("start event loops: %w", err)
	}
	b.Attach(n.server)
	n.broker = b
	return nil
}

// bind binds all listeners, and reports every one that cannot be bound.
func (n *Node) bind() error {
	var errs []error
	for i := range n.cfg.Listeners {
		ln := &n.cfg.Listeners[i]
		tc := n.cfg.TransportListener(ln)
		for _, t := range n.tls {
			if t.listener == ln.Name {
				tc.TLS = t.Config()
			}
		}
		got, err := n.server.Listen(tc)
		if err != nil {
			errs = append(errs, explainBind(err, ln.URL))
			continue
		}
		n.bound = append(n.bound, Bound{ln.Name, boundURL(ln.URL, got.Addr()), n.cfg.BrokerListener(ln).AllowAnonymous})
	}
	if address, wanted := n.cfg.AdminAddress(); wanted {
		var err error
		n.admin, err = admin.Listen(admin.Config{Address: address, Version: n.version, Log: n.log}, n.broker, n.storeStats())
		if err != nil {
			errs = append(errs, explainBind(err, n.cfg.Admin.URL))
		}
	}
	return errors.Join(errs...)
}

// storeStats is nil without a store.
func (n *Node) storeStats() func() store.Stats {
	if n.store == nil {
		return nil
	}
	return n.store.Stats
}

// Start begins to serve.
func (n *Node) Start() error {
	if n.store != nil {
		n.store.Start(n.broker.Gate(), n.durable)
	}
	if err := n.server.Start(); err != nil {
		return fmt.Errorf("start listeners: %w", err)
	}
	n.broker.Start()
	if n.admin != nil {
		n.admin.Start()
	}
	n.tasks.start(n.giveMemoryBack)
	n.tasks.start(n.watchPressure)
	n.startWatchdog()
	return nil
}

// durable passes on what the committer says.
func (n *Node) durable(ticket uint64, err error) {
	n.broker.Durable(ticket, err)
	if err != nil { // said once
		close(n.failed)
	}
}

// Failed is closed when the store has failed: nothing is acknowledged any more, and only a restart helps.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is why the store has failed, or nil.
func (n *Node) Err() error { return n.broker.Err() }

// Listeners are where clients can connect.
func (n *Node) Listeners() []Bound { return n.bound }

// AdminURL is where the admin server listens; empty: there is none.
func (n *Node) AdminURL() string {
	if n.admin == nil {
		return ""
	}
	return "http://" + n.admin.Addr().String()
}

// Broker is the Node's broker, for tests and metrics.
func (n *Node) Broker() *broker.Broker { return n.broker }

// Serve starts the Node, and ends it in good order when ctx ends, which is no error, or when the store fails, which is
// its error.
func (n *Node) Serve(ctx context.Context) error {
	if err := n.Start(); err != nil {
		_ = n.Shutdown(context.Background())
		return err
	}
	select {
	case <-ctx.Done():
	case <-n.failed:
	}
	ending, cancel := context.WithTimeout(context.Background(), n.cfg.ShutdownTimeout)
	defer cancel()
	return n.Shutdown(ending)
}

// Shutdown ends the Node as far as ctx has time for good order: clients get DISCONNECT and what waits for them, the
// store is flushed. It returns the error of the store, if there was one.
func (n *Node) Shutdown(ctx context.Context) (err error) {
	n.ending.Do(func() { err = n.shutdown(ctx) })
	return err
}

func (n *Node) shutdown(ctx context.Context) error {
	close(n.done)
	n.tasks.wait()
	if n.broker != nil {
		n.broker.Shutdown(ctx)
	}
	var err error
	if n.store != nil {
		err = n.store.Close()
	}
	if n.admin != nil { // last, so that it can tell that the broker ends
		n.admin.Close()
	}
	return err
}

// Stop is Shutdown in the background: its result comes over the channel.
func (n *Node) Stop(ctx context.Context) <-chan error {
	result := make(chan error, 1)
	n.stopping.start(func() { result <- n.Shutdown(ctx) })
	return result
}
