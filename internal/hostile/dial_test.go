package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	mt "nightjar/internal/mqtttest"
	"nightjar/transports"
)

// kinds are the transports that every case is run over.
var kinds = []string{"tcp", "tls", "ws", "wss"}

// endpoint is a listener for tests to connect to.
type endpoint struct {
	kind     string
	listener *transports.Listener // nil: the broker's first one
	addr     string
	header   string // PROXY protocol header that is sent first
}

// pki is a certificate authority with a certificate of the broker's.
type pki struct {
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	server tls.Certificate
	dir    string
	cache  tls.ClientSessionCache
}

// authority is made once: its files live as long as the test process.
var authority = sync.OnceValues(func() (*pki, error) {
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return nil, err
	}
	return newPKI(dir)
})

func newPKI(dir string) (*pki, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	p := &pki{ca: ca, key: key, pool: x509.NewCertPool(), dir: dir, cache: tls.NewLRUClientSessionCache(64)}
	p.pool.AddCert(ca)
	p.server, err = p.issue(func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"broker"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(p.server.PrivateKey)
	return p, errors.Join(err, p.write("cert.pem", "CERTIFICATE", p.server.Certificate[0]),
		p.write("key.pem", "PRIVATE KEY", raw), p.write("ca.pem", "CERTIFICATE", ca.Raw))
}

func (p *pki) write(name, kind string, der []byte) error {
	return os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// issue makes a certificate for clients, as changed.
func (p *pki) issue(change func(*x509.Certificate)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, key.Public(), p.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// clientConfig trusts the broker. Sessions are resumed, which makes thousands of handshakes cheap.
func (p *pki) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: p.pool, ServerName: "broker", ClientSessionCache: p.cache}
}

// serverTLS is the broker's TLS as it is in production.
func serverTLS(t testing.TB, change func(*transports.TLSFiles)) *tls.Config {
	t.Helper()
	p, err := authority()
	must(t, err)
	files := transports.TLSFiles{Cert: p.file("cert.pem"), Key: p.file("key.pem")}
	if change != nil {
		change(&files)
	}
	r, err := transports.LoadTLS(files)
	must(t, err)
	return r.Config()
}

// listenerConfig is that of a kind of transport.
func listenerConfig(t testing.TB, kind string) transports.ListenerConfig {
	t.Helper()
	var cfg transports.ListenerConfig
	if kind == "tls" || kind == "wss" {
		cfg.TLS = serverTLS(t, nil)
	}
	if kind == "ws" || kind == "wss" {
		cfg.WebSocket = &transports.WebSocketConfig{Path: "/mqtt"}
	}
	return cfg
}

// listen adds an endpoint of a kind.
func listen(t testing.TB, b *mt.Broker, kind string, change func(*transports.ListenerConfig)) *endpoint {
	t.Helper()
	cfg := listenerConfig(t, kind)
	if change != nil {
		change(&cfg)
	}
	ln := b.Listen(cfg)
	return &endpoint{kind: kind, listener: ln, addr: ln.Addr().String()}
}

// secure tells whether there is TLS, web whether there is WebSocket.
func (e *endpoint) secure() bool { return e.kind == "tls" || e.kind == "wss" }
func (e *endpoint) web() bool    { return e.kind == "ws" || e.kind == "wss" }

// socket opens the TCP connection.
func (e *endpoint) socket(t testing.TB) *net.TCPConn {
	t.Helper()
	raw, err := net.DialTimeout("tcp", e.addr, mt.Patience)
	must(t, err)
	must(t, raw.SetDeadline(time.Now().Add(mt.Patience)))
	if e.header != "" {
		_, err := io.WriteString(raw, e.header)
		must(t, err)
	}
	return raw.(*net.TCPConn)
}

// under opens what WebSocket, or MQTT, runs over.
func (e *endpoint) under(t testing.TB) (net.Conn, *net.TCPConn) {
	t.Helper()
	raw := e.socket(t)
	if !e.secure() {
		return raw, raw
	}
	p, err := authority()
	must(t, err)
	c := tls.Client(raw, p.clientConfig())
	must(t, c.Handshake())
	return c, raw
}

// dial opens a connection for MQTT. one says that each byte is written for itself.
func (e *endpoint) dial(t testing.TB, one bool) *conn {
	t.Helper()
	under, raw := e.under(t)
	c := &conn{Conn: under, raw: raw, one: one}
	if e.web() {
		d := websocket.Dialer{
			NetDialContext: nil, NetDial: func(string, string) (net.Conn, error) { return under, nil },
			Subprotocols: []string{"mqtt"}, ReadBufferSize: 1024, WriteBufferSize: 1024,
		}
		var err error
		c.ws, _, err = d.Dial("ws://broker/mqtt", http.Header{})
		must(t, err)
		must(t, raw.SetDeadline(time.Now().Add(mt.Patience)))
	}
	return c
}

// conn is the byte stream of a connection over any transport. However it ends, but by a deadline, it reads io.EOF.
type conn struct {
	net.Conn
	raw   *net.TCPConn
	ws    *websocket.Conn
	frame io.Reader
	one   bool
}

// piecesMax is into how many pieces a large packet is cut.
const piecesMax = 256

func (c *conn) Write(b []byte) (int, error) {
	if !c.one {
		return len(b), c.write(b)
	}
	step := (len(b) + piecesMax - 1) / piecesMax
	for at := 0; at < len(b); at += step {
		if err := c.write(b[at:min(at+step, len(b))]); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

func (c *conn) write(b []byte) error {
	if c.ws != nil {
		return c.ws.WriteMessage(websocket.BinaryMessage, b)
	}
	_, err := c.Conn.Write(b)
	return err
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

func (c *conn) read(b []byte) (int, error) {
	if c.ws == nil {
		return c.Conn.Read(b)
	}
	for {
		if c.frame == nil {
			_, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			c.frame = r
		}
		n, err := c.frame.Read(b)
		if n > 0 {
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
		c.frame = nil
	}
}

// finish says that nothing more is sent, as far as the transport can say so.
func (c *conn) finish() {
	switch {
	case c.ws != nil:
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(mt.Patience))
	default:
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	}
}

// reset ends the connection with RST.
func (c *conn) reset() {
	_ = c.raw.SetLinger(0)
	_ = c.raw.Close()
}

// Close ends the connection at once: what TLS would still say takes time, and nobody listens.
func (c *conn) Close() error { return c.raw.Close() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
