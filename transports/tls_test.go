package transports_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"nightjar/transports"
)

// secure is a server whose TLS configuration comes from files.
type secure struct {
	*bench
	files transports.TLSFiles
	tls   *transports.ReloadableTLS
	dir   string
}

func startSecure(t *testing.T, kind string, change func(s *secure)) *secure {
	t.Helper()
	s := &secure{dir: t.TempDir()}
	p := testPKI(t)
	s.files.Cert, s.files.Key = writeFiles(t, s.dir, p.server)
	s.files.ClientCA = writePEM(t, s.dir, "ca.pem", "CERTIFICATE", p.ca.Raw)
	if change != nil {
		change(s)
	}
	var err error
	s.tls, err = transports.LoadTLS(s.files)
	must(t, err)
	s.bench = startWith(t, 2, kind, func(lc *transports.ListenerConfig) { lc.TLS = s.tls.Config() }, nil)
	return s
}

// connect shakes hands and makes sure that the server has taken part to the end.
func (s *secure) connect(cfg *tls.Config) (*tls.Conn, error) {
	raw := s.rawDial()
	c := tls.Client(raw, cfg)
	if _, err := c.Write([]byte("x")); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return nil, err
	}
	return c, nil
}

func TestTLSState(t *testing.T) {
	client := testPKI(t).issue(t, "device-1", x509.ExtKeyUsageClientAuth)
	s := startSecure(t, "tls", func(s *secure) { s.files.ClientAuth = transports.ClientAuthOptional })
	cfg := s.pki.clientConfig()
	cfg.Certificates = []tls.Certificate{client}
	c, err := s.connect(cfg)
	must(t, err)
	p := receive(t, s.peers, "connection")
	if got := p.TLS().PeerCertificates[0].Subject.CommonName; got != "device-1" {
		t.Errorf("client is %q", got)
	}
	if c.ConnectionState().NegotiatedProtocol != "" || c.ConnectionState().Version != tls.VersionTLS13 {
		t.Errorf("state is %v", c.ConnectionState())
	}
	if !s.tls.ExpiresAt().Equal(s.pki.server.Leaf.NotAfter) {
		t.Errorf("expires at %v", s.tls.ExpiresAt())
	}
}

func TestTLSVersions(t *testing.T) {
	for _, tt := range []struct {
		min  string
		max  uint16
		good bool
	}{
		{"", tls.VersionTLS11, false},
		{"", tls.VersionTLS12, true},
		{"1.2", tls.VersionTLS12, true},
		{"1.3", tls.VersionTLS12, false},
		{"1.3", tls.VersionTLS13, true},
	} {
		s := startSecure(t, "tls", func(s *secure) { s.files.MinVersion = tt.min })
		cfg := s.pki.clientConfig()
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tt.max
		if _, err := s.connect(cfg); (err == nil) != tt.good {
			t.Errorf("minimum %q, client up to %x: %v", tt.min, tt.max, err)
		}
	}
}

func TestTLSProtocols(t *testing.T) {
	s := startSecure(t, "tls", nil)
	for offer, want := range map[string]string{"": "", "mqtt": "mqtt", "x mqtt": "mqtt", "http/1.1": "http/1.1", "h2 http/1.1": "http/1.1", "x-amzn-mqtt-ca": ""} {
		cfg := s.pki.clientConfig()
		cfg.NextProtos = strings.Fields(offer)
		c, err := s.connect(cfg)
		if err != nil {
			t.Errorf("%q: %v", offer, err)
		} else if got := c.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("%q: negotiated %q", offer, got)
		}
	}
}

// TestClientCertificates is W19: on TLS and on WebSocket, fresh and resumed.
func TestClientCertificates(t *testing.T) {
	p := testPKI(t)
	good := p.issue(t, "good", x509.ExtKeyUsageClientAuth)
	revoked := p.issue(t, "revoked", x509.ExtKeyUsageClientAuth)
	usage := p.issue(t, "usage", x509.ExtKeyUsageServerAuth)
	foreign := newPKI(t).issue(t, "foreign", x509.ExtKeyUsageClientAuth)
	for _, kind := range []string{"tls", "wss"} {
		for _, auth := range []transports.ClientAuth{transports.ClientAuthOptional, transports.ClientAuthRequired} {
			s := startSecure(t, kind, func(s *secure) {
				s.files.ClientAuth = auth
				s.files.CRL = writePEM(t, s.dir, "crl.pem", "X509 CRL", p.revoke(t, time.Now().Add(time.Hour), revoked))
			})
			for _, tt := range []struct {
				name string
				cert *tls.Certificate
				good bool
			}{
				{"none", nil, auth == transports.ClientAuthOptional},
				{"good", &good, true},
				{"revoked", &revoked, false},
				{"wrong usage", &usage, false},
				{"foreign", &foreign, false},
			} {
				cfg := s.pki.clientConfig()
				if tt.cert != nil {
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.cert, nil }
				}
				err := s.talk(cfg)
				if (err == nil) != tt.good {
					t.Errorf("%s, %s, certificate %s: %v", kind, auth, tt.name, err)
				}
			}
		}
	}
}

// talk connects, over WebSocket where the listener is for that, and reads an echo.
func (s *secure) talk(cfg *tls.Config) error {
	if s.kind != "wss" {
		_, err := s.connect(cfg)
		return err
	}
	ws, err := dialWebSocket(tls.Client(s.rawDial(), cfg))
	if err != nil {
		return err
	}
	defer ws.Close()
	if _, err := ws.Write([]byte("x")); err != nil {
		return err
	}
	_, err = ws.Read(make([]byte, 1))
	return err
}

// TestRevokedAfterwards resumes a session after its certificate was revoked.
func TestRevokedAfterwards(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		p := testPKI(t)
		client := p.issue(t, "client", x509.ExtKeyUsageClientAuth)
		s := startSecure(t, "tls", func(s *secure) {
			s.files.ClientAuth = transports.ClientAuthRequired
			s.files.CRL = writePEM(t, s.dir, "crl.pem", "X509 CRL", p.revoke(t, time.Now().Add(time.Hour)))
		})
		cfg := p.clientConfig()
		cfg.Certificates = []tls.Certificate{client}
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		cfg.MaxVersion = version
		_, err := s.connect(cfg)
		must(t, err)
		c, err := s.connect(cfg)
		must(t, err)
		if !c.ConnectionState().DidResume {
			t.Error("session is not resumed")
		}
		// The same tickets are worth nothing at another listener.
		other, err := s.Listen(transports.ListenerConfig{Name: "other", Network: "tcp", Address: "127.0.0.1:0", TLS: s.tls.Config()})
		must(t, err)
		here := s.listener
		s.listener = other
		c, err = s.connect(cfg)
		must(t, err)
		if c.ConnectionState().DidResume {
			t.Error("session is resumed at another listener")
		}
		s.listener = here
		writePEM(t, s.dir, "crl.pem", "X509 CRL", p.revoke(t, time.Now().Add(time.Hour), client))
		must(t, s.tls.Reload())
		if _, err := s.connect(cfg); err == nil {
			t.Error("a revoked client came in again")
		}
	}
}

func (p *pki) revoke(t testing.TB, next time.Time, certs ...tls.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: next}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now(),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.ca, p.caKey)
	must(t, err)
	return der
}

func TestReloadKeepsConnections(t *testing.T) {
	s := startSecure(t, "tls", nil)
	cfg := s.pki.clientConfig()
	old, err := s.connect(cfg)
	must(t, err)
	renewed := s.pki.issue(t, "broker", x509.ExtKeyUsageServerAuth)
	writeFiles(t, s.dir, renewed)
	must(t, s.tls.Reload())
	fresh, err := s.connect(cfg)
	must(t, err)
	if got := fresh.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(renewed.Leaf.SerialNumber) != 0 {
		t.Errorf("serial number is %v", got)
	}
	_, err = old.Write([]byte("still here"))
	must(t, err)
	expectBytes(t, old, []byte("still here"))

	// A key that does not belong to the certificate changes nothing.
	other := s.pki.issue(t, "broker", x509.ExtKeyUsageServerAuth)
	otherDir := t.TempDir()
	_, otherKey := writeFiles(t, otherDir, other)
	key, err := os.ReadFile(otherKey)
	must(t, err)
	must(t, os.WriteFile(s.files.Key, key, 0o600))
	if err := s.tls.Reload(); err == nil {
		t.Error("loaded a key of another certificate")
	}
	fresh, err = s.connect(cfg)
	must(t, err)
	if got := fresh.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(renewed.Leaf.SerialNumber) != 0 {
		t.Errorf("serial number is %v after a bad reload", got)
	}
}

func TestLoadTLSRefuses(t *testing.T) {
	dir := t.TempDir()
	p := testPKI(t)
	good := transports.TLSFiles{ClientAuth: transports.ClientAuthRequired}
	good.Cert, good.Key = writeFiles(t, dir, p.server)
	good.ClientCA = writePEM(t, dir, "ca.pem", "CERTIFICATE", p.ca.Raw)
	_, err := transports.LoadTLS(good)
	must(t, err)
	for name, change := range map[string]func(f *transports.TLSFiles){
		"no certificate":   func(f *transports.TLSFiles) { f.Cert = dir + "/none.pem" },
		"no key":           func(f *transports.TLSFiles) { f.Key = "" },
		"swapped":          func(f *transports.TLSFiles) { f.Cert, f.Key = f.Key, f.Cert },
		"old version":      func(f *transports.TLSFiles) { f.MinVersion = "1.1" },
		"no authority":     func(f *transports.TLSFiles) { f.ClientCA = "" },
		"key as authority": func(f *transports.TLSFiles) { f.ClientCA = f.Key },
		"unknown policy":   func(f *transports.TLSFiles) { f.ClientAuth = "maybe" },
		"not a list":       func(f *transports.TLSFiles) { f.CRL = f.ClientCA },
		"outdated list": func(f *transports.TLSFiles) {
			f.CRL = writePEM(t, dir, "old.pem", "X509 CRL", p.revoke(t, time.Now().Add(-time.Hour)))
		},
		"list of strangers": func(f *transports.TLSFiles) {
			f.CRL = writePEM(t, dir, "strange.pem", "X509 CRL", newPKI(t).revoke(t, time.Now().Add(time.Hour)))
		},
	} {
		f := good
		change(&f)
		if r, err := transports.LoadTLS(f); err == nil || r != nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// TestSlowHandshakes holds that peers which never finish theirs keep nobody out, and are cut.
func TestSlowHandshakes(t *testing.T) {
	for _, kind := range []string{"tls", "wss"} {
		b := startWith(t, 1, kind, func(lc *transports.ListenerConfig) { lc.HandshakeTimeout = 1500 }, nil)
		var slow []net.Conn
		for i := range 50 {
			c := b.rawDial()
			if i%2 == 0 {
				_, err := io.WriteString(c, "\x16\x03\x01\x01\x00\x01\x00") // the beginning of a ClientHello
				must(t, err)
			}
			slow = append(slow, c)
		}
		c := b.dial()
		_, err := c.Write([]byte("x"))
		must(t, err)
		expectBytes(t, c, []byte("x"))
		for _, c := range slow {
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Error(err)
			}
		}
		c.Close()
		eventually(t, "connections end", func() bool { return b.Connections() == 0 })
		if b.listener.Refused() != 50 {
			t.Errorf("%d are refused", b.listener.Refused())
		}
	}
}

func TestNotTLS(t *testing.T) {
	b := start(t, 2, "tls", nil)
	c := b.rawDial()
	_, err := io.WriteString(c, "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test")
	must(t, err)
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
}
