package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/retained"
	"nightjar/sessions"
	"nightjar/topics"
	"nightjar/transports"
)

// Store keeps what must outlive the process. It is implemented by package store.
type Store interface {
	// Append adds an operation to the open batch and returns the batch's number.
	Append(op sessions.Op) (ticket uint64)
	// Kick says that somebody waits for the open batch: it is to be committed within so long.
	Kick(within time.Duration)
	// Lag is about how many bytes of memory wait for the store.
	Lag() int64
	// Durable is the number of the last batch that is safe.
	Durable() uint64
}

// Config is how a Broker works.
type Config struct {
	Limits Limits
	// DeniedPublishCloses closes the connection of a 3.1.1 client that publishes what it may not; otherwise
	// the message is acknowledged and dropped. Version 5 clients get Reason Code 0x87 either way.
	DeniedPublishCloses bool
	// CheckPayloadFormat refuses payloads that are not the UTF-8 which Payload Format Indicator 1 promises (0x99).
	CheckPayloadFormat bool
	// OverrunWarns goes on serving version 5 clients that exceed Receive Maximum, and logs it; otherwise they are
	// disconnected with 0x93 [v5 MQTT-3.3.4-7].
	OverrunWarns bool
	// ControlCharacters lets control characters and non-characters stand in Client Identifiers; otherwise CONNECT
	// is refused with 0x85.
	ControlCharacters bool
	// SysInterval is how often $SYS topics are published; 0: never.
	SysInterval time.Duration
	// ResponseInformation is what clients that ask for it are told, or empty [v5 3.2.2.3.15].
	ResponseInformation string
	// Durability is what is told of the store: strict, relaxed or memory.
	Durability string
	// Version is the broker's own, for $SYS.
	Version string
}

// DefaultConfig is the configuration without a file.
func DefaultConfig() Config {
	return Config{Limits: DefaultLimits(), SysInterval: 10 * time.Second, Version: "dev"}
}

// Validate reports all that is wrong with the configuration.
func (c *Config) Validate() error { return c.Limits.Validate() }

// Listener is what the broker must know of a listener, by its name.
type Listener struct {
	AllowAnonymous  bool
	CertificateUser string // "cn", "san" or "none"
}

// Broker routes messages between connections.
type Broker struct {
	cfg            Config
	log            *logger
	auth           *auth.Auth
	store          Store // nil: nothing outlives the process
	server         *transports.Server
	listeners      map[string]Listener // fixed before Serve
	tree           *topics.Tree[*session]
	retained       *retained.Store
	sys            *retained.Store // of $SYS: the broker's own do not count in the limits
	retaining      sync.Mutex      // held while a retained message changes, here and in the open batch; a leaf
	registry       registry
	workers        []*worker // by Turn.ID
	counters       counters  // summed over the workers
	addresses      addressCounts
	users          users
	connects       *rate.Limiter // new connections, but for loopback
	publishLimited bool          // fixed
	memory, disk   atomic.Int32  // Pressure
	wills          willQueue
	nextShard      int // of the registry, for RunTimers
	clock          func() packets.Instant
	decoder        packets.Limits
	topics         topics.Limits
	queueLimits    sessions.Limits
	started        time.Time

	// gate is held for reading during a turn that changes sessions, and for writing by the
	// store when it takes the open batch: so all changes of a turn are in one transaction.
	gate sync.RWMutex

	nextSession atomic.Uint64 // last session number given
	stopping    atomic.Bool
	failed      atomic.Pointer[error] // the store's; final
	tasks       goroutines
	done        chan struct{} // closed when the broker stops
}

// Clock returns a clock in the form that the broker wants: milliseconds of wall time, going on
// by the monotonic clock.
func Clock() func() int64 {
	start := time.Now()
	base := start.UnixMilli()
	return func() int64 { return base + time.Since(start).Milliseconds() }
}

// New makes a Broker. st may be nil. listeners tells of every listener that the server will have.
func New(cfg Config, a *auth.Auth, st Store, listeners map[string]Listener, clock func() int64, log *slog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	b := &Broker{
		cfg: cfg, auth: a, store: st, listeners: listeners,
		log:         newLogger(log),
		tree:        topics.NewTree[*session](),
		retained:    retained.New(retained.Limits{Messages: cfg.Limits.RetainedMessages, Bytes: cfg.Limits.RetainedBytes}),
		sys:         retained.New(retained.Limits{Messages: sysMessagesMax, Bytes: sysBytesMax}),
		clock:       func() packets.Instant { return packets.Instant(clock()) },
		decoder:     cfg.Limits.decoder(),
		topics:      cfg.Limits.topics(),
		queueLimits: cfg.Limits.queue(),
		started:     time.Now(),
		done:        make(chan struct{}),
	}
	b.registry.init()
	b.addresses.init()
	b.users.init()
	b.connects = rate.NewLimiter(rate.Limit(cfg.Limits.ConnectRate), cfg.Limits.ConnectBurst)
	b.publishLimited = cfg.Limits.PublishRate < PublishRateOff
	return b, nil
}

// Gate is what the store holds while it takes the open batch.
func (b *Broker) Gate() sync.Locker { return &b.gate }

// Attach gives the broker the server that feeds it, before the server starts.
func (b *Broker) Attach(s *transports.Server) {
	b.server = s
	for i := range s.Turns() {
		b.workers = append(b.workers, newWorker(b, i))
	}
}

// Start begins the broker's own work: timers and $SYS.
func (b *Broker) Start() {
	b.tasks.start("timers", b.runTimers)
	if b.cfg.SysInterval > 0 {
		b.tasks.start("sys", b.runSys)
	}
}

// Opened implements transports.Handler.
func (b *Broker) Opened(t *transports.Turn, c *transports.Conn) transports.Receiver {
	return b.worker(t).opened(c)
}

// EndTurn implements transports.Handler.
func (b *Broker) EndTurn(t *transports.Turn) { b.workers[t.ID].end() }

// worker returns the worker of a turn, which begins with the first call in the turn.
func (b *Broker) worker(t *transports.Turn) *worker {
	w := b.workers[t.ID]
	if !w.entered {
		w.begin(t)
	}
	return w
}

// Durable tells the broker that the store has made safe all up to a ticket, or that it has failed for good.
func (b *Broker) Durable(_ uint64, err error) {
	if err != nil {
		b.failed.Store(&err)
		b.log.Error("store failed: nothing more is acknowledged", keyError, err)
		return
	}
	for _, w := range b.workers {
		if w.hasWaiting.Load() {
			b.server.PostTurn(w.id, func(t *transports.Turn) { b.worker(t).release(w) })
		}
	}
}

// Err is the error of the store that ended the broker's service, or nil.
func (b *Broker) Err() error {
	if err := b.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Limits of the broker's own retained messages.
const (
	sysMessagesMax = 1000
	sysBytesMax    = 1 << 20
)

// retainedOf is where the retained messages of a topic, or of a filter, are. No filter matches in both: one that begins
// with a wildcard does not match $SYS [v5 MQTT-4.7.2-1].
func (b *Broker) retainedOf(topic string) *retained.Store {
	if strings.HasPrefix(topic, "$SYS/") {
		return b.sys
	}
	return b.retained
}
