package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightjar/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made makes a Node of flags, for which nothing is stored unless they say so.
func made(t *testing.T, o configs.Options) *Node {
	t.Helper()
	o.Flags = append([]configs.Flag{{Key: "data.durability", Value: "memory"}, {Key: "admin.url", Value: "off"}}, o.Flags...)
	c, _, err := configs.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Shutdown(t.Context()) })
	return n
}

// TestStoreFailureEndsServe proves that Serve ends with the error of its store.
func TestStoreFailureEndsServe(t *testing.T) {
	n := made(t, configs.Options{Listen: []string{"tcp://127.0.0.1:0"}, Flags: []configs.Flag{
		{Key: "data.durability", Value: "strict"}, {Key: "data.dir", Value: t.TempDir()},
	}})
	served := make(chan error, 1)
	go func() { served <- n.Serve(t.Context()) }()
	n.durable(1, errors.New("disk on fire"))
	if err := <-served; err != nil { // the store itself is well
		t.Errorf("close: %v", err)
	}
	if err := n.Err(); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v", err)
	}
}

// TestServe proves that clients are answered, and that ctx ends it.
func TestServe(t *testing.T) {
	n := made(t, configs.Options{Listen: []string{"tcp://127.0.0.1:0"}})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx) }()
	c, err := net.Dial("tcp", host(t, n))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	connack := make([]byte, 4)
	if _, err := c.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(connack); err != nil || !bytes.Equal(connack, []byte{0x20, 2, 0, 0}) {
		t.Errorf("got % x, %v", connack, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func host(t *testing.T, n *Node) string {
	t.Helper()
	u, err := url.Parse(n.Listeners()[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// TestReloadCertificates proves that new files count for the next handshake, and that bad ones change nothing.
func TestReloadCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	file := filepath.Join(dir, "n.yaml")
	text := "listeners: [{url: 'tls://127.0.0.1:0', allow_anonymous: true, tls: {cert_file: " + cert + ", key_file: " + key + "}}]"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := made(t, configs.Options{File: file})
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	wantSerial := func(want int64) {
		t.Helper()
		c, err := tls.Dial("tcp", host(t, n), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != want {
			t.Errorf("got certificate %d, want %d", got, want)
		}
	}
	wantSerial(1)
	writeCertificate(t, cert, key, 2)
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	wantSerial(2)
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(); err == nil || !strings.Contains(err.Error(), `certificates of listener "tls" stay as they were`) {
		t.Errorf("got %v", err)
	}
	wantSerial(2)
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemoryIsGivenSparingly proves what is worth giving back, and that it is not done again at once.
func TestMemoryIsGivenSparingly(t *testing.T) {
	var m memory
	now := time.Now()
	m.give(now) // the first time there is all of the heap to look at
	if m.last.heap == 0 || !m.last.next.After(now) {
		t.Errorf("got %+v", m.last)
	}
	last := m.last
	m.give(now)
	if m.last != last {
		t.Error("gave twice at once")
	}
}
