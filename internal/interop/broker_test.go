package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/internal/faultlab"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // the tests wait more than they compute
	code := m.Run()
	faultlab.RemoveBinary()
	os.Exit(code)
}

// server is the broker that one client is tested with, on all transports.
type server struct {
	test    *testing.T
	dir     string
	config  string // file
	tcp     string // host:port
	ws      string
	tls     string
	unix    string // path
	caFile  string
	process *faultlab.Broker
}

// startServer runs a broker as a user would who wants all of its transports: with a configuration file.
func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "nightjar-interop-") //nolint:usetesting // shorter: it holds a socket, whose path has a limit
	must(t, err)
	s := &server{test: t, dir: dir, config: filepath.Join(dir, "nightjar.yaml"), unix: filepath.Join(dir, "mqtt.sock")}
	for _, address := range []*string{&s.tcp, &s.ws, &s.tls} {
		*address, err = faultlab.FreeAddress()
		must(t, err)
	}
	cert, key := certificate(t, dir)
	s.caFile = cert
	must(t, os.WriteFile(s.config, fmt.Appendf(nil, `version: 1
listeners:
  - url: tcp://%s
  - url: ws://%s/mqtt
  - url: tls://%s
    tls: {cert_file: %s, key_file: %s}
  - url: unix://%s
data:
  dir: %s
admin:
  url: off
`, s.tcp, s.ws, s.tls, cert, key, s.unix, filepath.Join(dir, "data")), 0o600))
	s.start()
	t.Cleanup(func() {
		_ = s.process.Kill()
		if t.Failed() {
			t.Logf("the broker's log:\n%s", s.process.Log())
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *server) start() {
	s.test.Helper()
	var err error
	s.process, err = faultlab.Start("serve", "--config", s.config)
	must(s.test, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificate makes a certificate for 127.0.0.1 that signs itself.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write := func(name, kind string, b []byte) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}
