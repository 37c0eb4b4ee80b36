package transports_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"nightjar/transports"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// handler is a Handler whose connections do what the test says.
type handler struct {
	opened  func(t *transports.Turn, c *transports.Conn) transports.Receiver
	endTurn func(t *transports.Turn)
}

func (h *handler) Opened(t *transports.Turn, c *transports.Conn) transports.Receiver {
	return h.opened(t, c)
}

func (h *handler) EndTurn(t *transports.Turn) {
	if h.endTurn != nil {
		h.endTurn(t)
	}
}

// peer is a Receiver of functions; nil ones do nothing. What receive is nil for is echoed.
type peer struct {
	*transports.Conn
	receive func(t *transports.Turn, data []byte) (int, int)
	drained func(t *transports.Turn)
	expired func(t *transports.Turn) int64
	closed  chan error // of room for two, so that a second Closed is seen

	busy sync.Mutex // fails to be taken when two calls overlap
	test testing.TB
}

func (p *peer) enter() func() {
	if !p.busy.TryLock() {
		p.test.Error("two calls of one Receiver at a time")
		return func() {}
	}
	return p.busy.Unlock
}

func (p *peer) Receive(t *transports.Turn, data []byte) (int, int) {
	defer p.enter()()
	if p.receive != nil {
		return p.receive(t, data)
	}
	p.Write(t, data)
	return len(data), 0
}

func (p *peer) Drained(t *transports.Turn) {
	defer p.enter()()
	if p.drained != nil {
		p.drained(t)
	}
}

func (p *peer) Expired(t *transports.Turn) int64 {
	defer p.enter()()
	if p.expired != nil {
		return p.expired(t)
	}
	return 0
}

func (p *peer) Closed(_ *transports.Turn, err error) {
	defer p.enter()()
	if err == nil {
		err = io.ErrNoProgress // a test can then tell it from an empty channel
	}
	p.closed <- err
}

// kinds are the ways that bytes come in, and owners what owns the connections: plain sockets
// on loops or goroutines, the others on goroutines anyway.
var (
	kinds  = []string{"tcp", "unix", "tls", "ws", "wss", "proxy", "proxy-wss"}
	owners = map[string]int{"loop": 2, "goroutine": -1}
)

func clock() int64 { return time.Now().UnixMilli() }

func (b *bench) clock() int64 { return clock() + b.ahead.Load() }

// bench is a running server with one listener.
type bench struct {
	*transports.Server
	test     testing.TB
	kind     string
	listener *transports.Listener
	peers    chan *peer // those that connected
	pki      *pki
	ahead    atomic.Int64 // milliseconds that the server's clock was put forward
}

// start runs a server. setup changes each new peer before it receives, or is nil.
func start(t testing.TB, loops int, kind string, setup func(*transports.Turn, *peer)) *bench {
	t.Helper()
	return startWith(t, loops, kind, nil, setup)
}

// startWith is start with a listener that is changed by cfg.
func startWith(t testing.TB, loops int, kind string, cfg func(*transports.ListenerConfig), setup func(*transports.Turn, *peer)) *bench {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	files := openFiles()
	b := &bench{test: t, kind: kind, peers: make(chan *peer, 4096), pki: testPKI(t)}
	h := &handler{opened: func(turn *transports.Turn, c *transports.Conn) transports.Receiver {
		p := &peer{Conn: c, closed: make(chan error, 2), test: t}
		if setup != nil {
			setup(turn, p)
		}
		b.peers <- p
		return p
	}}
	var err error
	b.Server, err = transports.New(transports.Config{Loops: loops, Clock: b.clock, Log: slog.New(slog.DiscardHandler)}, h)
	must(t, err)
	t.Cleanup(func() {
		b.Close()
		if err := goleak.Find(leaks); err != nil {
			t.Error(err)
		}
		if n := b.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if n := openFiles(); n > files && !t.Failed() {
			t.Errorf("%d descriptors are left", n-files)
		}
	})
	lc := b.config()
	if cfg != nil {
		cfg(&lc)
	}
	b.listener, err = b.Listen(lc)
	must(t, err)
	must(t, b.Start())
	return b
}

func (b *bench) config() transports.ListenerConfig {
	lc := transports.ListenerConfig{Name: b.kind, Network: "tcp", Address: "127.0.0.1:0"}
	switch b.kind {
	case "unix":
		lc.Network, lc.Address = "unix", filepath.Join(b.test.TempDir(), "s")
	case "tls", "wss", "proxy-wss":
		lc.TLS = b.pki.serverConfig()
	}
	switch b.kind {
	case "ws", "wss", "proxy-wss":
		lc.WebSocket = &transports.WebSocketConfig{Path: "/mqtt"}
	}
	switch b.kind {
	case "proxy", "proxy-wss":
		lc.Proxy = &transports.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	}
	return lc
}

// dial connects a client. It is closed with the test.
func (b *bench) dial() net.Conn {
	b.test.Helper()
	c, err := b.tryDial()
	must(b.test, err)
	b.test.Cleanup(func() { c.Close() })
	return c
}

func (b *bench) tryDial() (net.Conn, error) {
	addr := b.listener.Addr()
	raw, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	return b.handshake(raw, false)
}

// handshake does what the listener wants before MQTT. anyServer trusts whoever answers.
func (b *bench) handshake(c net.Conn, anyServer bool) (net.Conn, error) {
	lc := &b.listener.Config
	if lc.Proxy != nil {
		if _, err := io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n"); err != nil {
			c.Close()
			return nil, err
		}
	}
	if lc.TLS != nil {
		cfg := b.pki.clientConfig()
		cfg.InsecureSkipVerify = anyServer
		secure := tls.Client(c, cfg)
		if err := secure.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
		c = secure
	}
	if lc.WebSocket != nil {
		return dialWebSocket(c)
	}
	return c, nil
}

// wsClient is a WebSocket client as a byte stream.
type wsClient struct {
	*websocket.Conn
	frame io.Reader
}

func dialWebSocket(c net.Conn) (*wsClient, error) {
	d := websocket.Dialer{
		NetDial:        func(string, string) (net.Conn, error) { return c, nil },
		NetDialContext: nil, Subprotocols: []string{"mqtt"},
	}
	ws, _, err := d.Dial("ws://broker/mqtt", http.Header{})
	if err != nil {
		c.Close()
		return nil, err
	}
	_ = ws.NetConn().SetDeadline(time.Now().Add(patience))
	return &wsClient{Conn: ws}, nil
}

func (c *wsClient) SetDeadline(t time.Time) error { return c.NetConn().SetDeadline(t) }

func (c *wsClient) Write(b []byte) (int, error) {
	return len(b), c.WriteMessage(websocket.BinaryMessage, b)
}

func (c *wsClient) Read(b []byte) (int, error) {
	for {
		if c.frame == nil {
			kind, r, err := c.NextReader()
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return 0, io.EOF
			}
			if err != nil || kind != websocket.BinaryMessage {
				return 0, err
			}
			c.frame = r
		}
		n, err := c.frame.Read(b)
		if err != io.EOF {
			return n, err
		}
		c.frame = nil
		if n > 0 {
			return n, nil
		}
	}
}

// everywhere runs a test for every kind and owner.
func everywhere(t *testing.T, test func(t *testing.T, loops int, kind string)) {
	for _, kind := range kinds {
		for owner, loops := range owners {
			if owner == "loop" && (runtime.GOOS != "linux" || kind != "tcp" && kind != "unix" && kind != "proxy") {
				continue
			}
			t.Run(kind+"/"+owner, func(t *testing.T) { test(t, loops, kind) })
		}
	}
}

func closeWrite(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive takes the next value from a channel.
func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: does not come true", what)
		}
	}
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// pattern is n bytes that tell their places apart.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func expectBytes(t testing.TB, c io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("%d of %d bytes came: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes came")
	}
}

// pki is a certificate authority with what it signed.
type pki struct {
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	serial int64
	server tls.Certificate
}

var testPKI = func() func(testing.TB) *pki {
	var p *pki
	return func(t testing.TB) *pki {
		if p == nil {
			p = newPKI(t)
		}
		return p
	}
}()

func newPKI(t testing.TB) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	ca, err := x509.ParseCertificate(der)
	must(t, err)
	p := &pki{ca: ca, caKey: key, serial: 1}
	p.server = p.issue(t, "broker", x509.ExtKeyUsageServerAuth)
	return p
}

func (p *pki) issue(t testing.TB, name string, use x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(p.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, key.Public(), p.caKey)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.server}}
}

func (p *pki) clientConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return &tls.Config{RootCAs: pool, ServerName: "broker"}
}

// writeFiles writes a certificate and its key.
func writeFiles(t testing.TB, dir string, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	return writePEM(t, dir, "cert.pem", "CERTIFICATE", cert.Certificate[0]), writePEM(t, dir, "key.pem", "PRIVATE KEY", key)
}

func writePEM(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}
