package configs

import (
	"time"

	"nightjar/broker"
	"nightjar/store"
)

// Config is everything that can be configured. Its fields in order are the keys of the file.
type Config struct {
	// Version is that of the file's format.
	Version int
	// Listeners are where clients connect. A list in the file takes the place of the default one.
	Listeners []Listener
	Data      Data
	Auth      Auth
	Limits    broker.Limits
	Admin     Admin
	Log       Log
	// SysInterval is how often the $SYS topics are published; 0: never.
	SysInterval time.Duration
	// ResponseInformation is what MQTT 5 clients are told that ask for it [v5 3.2.2.3.15]; empty: nothing.
	ResponseInformation string
	// DeniedPublish is what a 3.1.1 client gets for a PUBLISH that it may not send: ack (acknowledged and dropped) or
	// close. MQTT 5 clients get Reason Code 0x87 either way.
	DeniedPublish string `oneof:"ack|close"`
	// CheckPayloadFormat refuses payloads that are not the UTF-8 which Payload Format Indicator 1 promises.
	CheckPayloadFormat bool
	Compat             Compat
	// MemoryPercent is how much of the machine's memory, or of the control group's, the broker may use: 10 to 95. From
	// 70 % of that no new connections are taken, from 85 % publishers have to wait.
	MemoryPercent int
	// ShutdownTimeout is how long a graceful end may take.
	ShutdownTimeout time.Duration
	// Loops is the number of event loops; 0: one for each CPU; -1: a goroutine for each connection.
	Loops int
}

// Listener is one place where clients connect.
type Listener struct {
	// Name is what logs and metrics call it; by default its scheme, numbered where there are more.
	Name string
	// URL is tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path or unix:///path.
	URL string
	// AllowAnonymous lets clients in that name no user. auto: on this machine only (loopback, Unix sockets),
	// and only while there is no other way to log in.
	AllowAnonymous string `oneof:"auto|true|false"`
	TLS            TLS
	// ClientCertificates is whether TLS clients are asked for a certificate.
	ClientCertificates string `oneof:"none|optional|required"`
	// CertificateUser is which part of the client's certificate is its user name.
	CertificateUser string `oneof:"none|cn|san"`
	Websocket       Websocket
	ProxyProtocol   ProxyProtocol
	// TCPKeepAlive is the silence after which TCP asks an idle peer whether it is there, 1 s to 2 h.
	TCPKeepAlive time.Duration
}

// TLS are the PEM files of a tls:// or wss:// listener.
type TLS struct {
	CertFile     string // the server's certificate with its intermediates, leaf first
	KeyFile      string
	ClientCAFile string // certificate authorities of clients
	CRLFile      string // revocation lists of those authorities; empty: nothing is revoked
	MinVersion   string `oneof:"1.2|1.3"`
}

// Websocket is for ws:// and wss:// listeners.
type Websocket struct {
	Path           string   // empty: that of the URL, or else /mqtt
	AllowedOrigins []string // of browsers; the listener's own host always is; "*": every origin
}

// ProxyProtocol lets a load balancer tell the client's address.
type ProxyProtocol struct {
	Trusted []string // addresses or networks that send a header; empty: no PROXY protocol
}

// Data is where sessions and retained messages are kept.
type Data struct {
	Dir string
	// Durability is what an acknowledged message survives: strict a power cut, relaxed the end of the process,
	// memory nothing.
	Durability string `oneof:"strict|relaxed|memory"`
	// SyncEvery is how much a power cut may take in relaxed.
	SyncEvery time.Duration
	// DiskSoftBytes is how much free space of the data disk, if it is more than a twentieth, gives an alarm.
	DiskSoftBytes int64
	// DiskHardBytes is below how much free space QoS 1 and 2 messages are not taken over.
	DiskHardBytes int64
}

// Auth is who may connect, and what they may do.
type Auth struct {
	PasswordFile string   // empty: nobody logs in by password
	ACLFile      string   // empty: every client may use every topic but $-topics
	Admins       []string // user names that may read $SYS
	// InsecureAllowAnonymous permits anonymous clients on listeners beyond this machine.
	InsecureAllowAnonymous bool
}

// Compat is for devices that break the standard and cannot be mended.
type Compat struct {
	// ReceiveMaximum is what an MQTT 5 client gets that has more QoS 1 and 2 messages unacknowledged than it may:
	// disconnect (0x93 [v5 MQTT-3.3.4-7]), or warn (a line in the log, and service as for 3.1.1).
	ReceiveMaximum string `oneof:"disconnect|warn"`
	// ClientIDControlCharacters is whether Client Identifiers may hold control characters other than U+0000.
	ClientIDControlCharacters string `oneof:"refuse|allow"`
}

// Admin is the HTTP server with metrics and health.
type Admin struct {
	URL string // http://host:port on loopback, or off
}

// Log is how the broker logs, to standard error.
type Log struct {
	Level  string `oneof:"debug|info|warn|error"`
	Format string `oneof:"auto|text|json"` // auto: text on a terminal, json otherwise
}

// What some values mean.
const (
	off              = "off"
	choiceAuto       = "auto"
	choiceNone       = "none"
	durabilityMemory = "memory"
)

// formatVersion is the version of the file's format.
const formatVersion = 1

// Default is the configuration without a file: for one machine, open to nobody else.
func Default() Config {
	b := broker.DefaultConfig()
	return Config{
		Version:   formatVersion,
		Listeners: []Listener{listener("tcp", "tcp://127.0.0.1:1883"), listener("ws", "ws://127.0.0.1:8083/mqtt")},
		Data: Data{
			Dir: "./nightjar-data", Durability: store.Strict.String(), SyncEvery: store.DefaultConfig().SyncEvery,
			DiskSoftBytes: 512 << 20, DiskHardBytes: 128 << 20,
		},
		Limits:        b.Limits,
		Admin:         Admin{URL: "http://127.0.0.1:18083"},
		Log:           Log{Level: "info", Format: choiceAuto},
		SysInterval:   b.SysInterval,
		DeniedPublish: "ack",
		Compat:        Compat{ReceiveMaximum: "disconnect", ClientIDControlCharacters: "refuse"},
		MemoryPercent: 80, ShutdownTimeout: 10 * time.Second,
	}
}

// listener is a listener of which no more is said.
func listener(name, url string) Listener {
	return Listener{
		Name: name, URL: url, AllowAnonymous: choiceAuto, TLS: TLS{MinVersion: "1.2"},
		ClientCertificates: choiceNone, CertificateUser: choiceNone, TCPKeepAlive: time.Minute,
	}
}
