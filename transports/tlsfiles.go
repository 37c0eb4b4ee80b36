package transports

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// ClientAuth is what a TLS listener asks of its clients.
type ClientAuth string

// What a TLS listener may ask. An optional certificate that a client does send must be valid.
const (
	ClientAuthNone     ClientAuth = "none" // also the empty string
	ClientAuthOptional ClientAuth = "optional"
	ClientAuthRequired ClientAuth = "required"
)

// TLSFiles are the PEM files and choices that a TLS configuration is made of.
type TLSFiles struct {
	Cert       string // certificate with its intermediates, leaf first
	Key        string
	ClientCA   string // certificate authorities of clients; needed unless ClientAuth is none
	CRL        string // revocation lists of those authorities; empty: nothing is revoked
	ClientAuth ClientAuth
	MinVersion string // "1.2", also the empty string, or "1.3"
}

// ReloadableTLS is a TLS configuration whose files can be read again while it serves.
type ReloadableTLS struct {
	files   TLSFiles
	current atomic.Pointer[tlsMaterial]
}

// tlsMaterial is what was once read from the files. Immutable.
type tlsMaterial struct {
	leaf   *x509.Certificate
	mqtt   *tls.Config // for clients that offer ALPN mqtt
	http   *tls.Config // for browsers, which offer http/1.1 for WebSocket
	silent *tls.Config // for the rest: ALPN is not required
	crls   crlSet
}

// LoadTLS reads the files.
func LoadTLS(files TLSFiles) (*ReloadableTLS, error) {
	r := &ReloadableTLS{files: files}
	if err := r.Reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the files again. New handshakes use what they hold now, connections stay as they
// are. When anything is wrong with the files, all of the old ones stay in use.
func (r *ReloadableTLS) Reload() error {
	m, err := readMaterial(&r.files)
	if err != nil {
		return err
	}
	r.current.Store(m)
	return nil
}

// Config returns a configuration that follows Reload. Each call makes one with session ticket
// keys of its own: what one listener trusted, another does not take over.
func (r *ReloadableTLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			m := r.current.Load()
			switch {
			case slices.Contains(hello.SupportedProtos, "mqtt"):
				return m.mqtt, nil
			case slices.Contains(hello.SupportedProtos, "http/1.1"):
				return m.http, nil
			}
			return m.silent, nil
		},
	}
}

// ExpiresAt is when the server's certificate expires.
func (r *ReloadableTLS) ExpiresAt() time.Time { return r.current.Load().leaf.NotAfter }

// CRLExpiresAt is when the first of the revocation lists is due to be replaced. From then on
// client certificates are refused. It is the zero time where there is no such list.
func (r *ReloadableTLS) CRLExpiresAt() time.Time { return r.current.Load().crls.nextUpdate }

func readMaterial(files *TLSFiles) (*tlsMaterial, error) {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", files.Cert, files.Key, err)
	}
	m := &tlsMaterial{leaf: cert.Leaf}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, VerifyConnection: m.verify}
	switch files.MinVersion {
	case "", "1.2":
		cfg.MinVersion = tls.VersionTLS12
	case "1.3":
		cfg.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("minimum TLS version %q is neither 1.2 nor 1.3", files.MinVersion)
	}
	switch files.ClientAuth {
	case "", ClientAuthNone:
	case ClientAuthOptional:
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	case ClientAuthRequired:
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("client certificates %q are neither none, optional nor required", files.ClientAuth)
	}
	if cfg.ClientAuth != tls.NoClientCert {
		cas, err := readCertificates(files.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("load client authorities: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		for _, ca := range cas {
			cfg.ClientCAs.AddCert(ca)
		}
		if m.crls, err = readCRLs(files.CRL, cas); err != nil {
			return nil, fmt.Errorf("load revocation lists: %w", err)
		}
	}
	m.silent, m.mqtt, m.http = cfg, cfg.Clone(), cfg.Clone()
	m.mqtt.NextProtos = []string{"mqtt"}
	m.http.NextProtos = []string{"http/1.1"}
	return m, nil
}

// verify refuses revoked clients. It runs for resumed sessions too.
func (m *tlsMaterial) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || m.crls.revoked == nil {
		return nil
	}
	var err error
	for _, chain := range state.VerifiedChains {
		if err = m.crls.check(chain); err == nil {
			return nil
		}
	}
	return err
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	blocks, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	certs := make([]*x509.Certificate, 0, len(blocks))
	for _, b := range blocks {
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// readPEM returns the blocks of one kind in a file, of which there must be one.
func readPEM(path, kind string) ([][]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var blocks [][]byte
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type == kind {
			blocks = append(blocks, b.Bytes)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s holds no PEM block %q", path, kind)
	}
	return blocks, nil
}

// crlSet is what the revocation lists say.
type crlSet struct {
	revoked    map[string]bool // issuer and serial number; nil without lists
	nextUpdate time.Time       // the earliest
}

func crlKey(issuer, serial []byte) string { return string(issuer) + "\x00" + string(serial) }

// readCRLs reads revocation lists, each of which one of the authorities must have signed.
func readCRLs(path string, cas []*x509.Certificate) (crlSet, error) {
	var set crlSet
	if path == "" {
		return set, nil
	}
	blocks, err := readPEM(path, "X509 CRL")
	if err != nil {
		return set, err
	}
	set.revoked = map[string]bool{}
	for _, b := range blocks {
		crl, err := x509.ParseRevocationList(b)
		if err != nil {
			return set, fmt.Errorf("%s: %w", path, err)
		}
		signed := func(ca *x509.Certificate) bool { return crl.CheckSignatureFrom(ca) == nil }
		if !slices.ContainsFunc(cas, signed) {
			return set, fmt.Errorf("%s: the list of %s is signed by none of the client authorities", path, crl.Issuer)
		}
		for i := range crl.RevokedCertificateEntries {
			set.revoked[crlKey(crl.RawIssuer, crl.RevokedCertificateEntries[i].SerialNumber.Bytes())] = true
		}
		if next := crl.NextUpdate; !next.IsZero() && (set.nextUpdate.IsZero() || next.Before(set.nextUpdate)) {
			set.nextUpdate = next
		}
	}
	if !set.nextUpdate.IsZero() && time.Now().After(set.nextUpdate) {
		return set, fmt.Errorf("%s: a list is out of date since %s", path, set.nextUpdate)
	}
	return set, nil
}

// check reports why a verified chain is not to be trusted any more.
func (s *crlSet) check(chain []*x509.Certificate) error {
	if !s.nextUpdate.IsZero() && time.Now().After(s.nextUpdate) {
		return fmt.Errorf("revocation list is out of date since %s", s.nextUpdate)
	}
	for _, cert := range chain {
		if s.revoked[crlKey(cert.RawIssuer, cert.SerialNumber.Bytes())] {
			return errRevoked
		}
	}
	return nil
}

var errRevoked = errors.New("client certificate is revoked")
