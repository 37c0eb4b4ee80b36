package client

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mosquitto is a running Mosquitto with a listener of each kind; all tests share it and keep to topics of their own.
type mosquitto struct {
	dir     string
	process *exec.Cmd
	tcp     string // port, anonymous
	auth    string // port; user "ann" with password "p@ss word"
	tls     string // port, with a certificate for localhost of ca.pem
	mutual  string // port; asks for a client certificate too
	ws      string // port; empty where the build has no WebSocket
	unix    string // path
}

var running struct {
	once sync.Once
	m    *mosquitto
	err  error
}

// broker returns the running Mosquitto.
func broker(t *testing.T) *mosquitto {
	t.Helper()
	running.once.Do(func() { running.m, running.err = startMosquitto() })
	if running.err != nil {
		t.Fatal(running.err)
	}
	return running.m
}

func stopMosquitto() {
	if m := running.m; m != nil {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
		_ = os.RemoveAll(m.dir)
	}
}

func (m *mosquitto) file(name string) string { return filepath.Join(m.dir, name) }

func startMosquitto() (*mosquitto, error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not in the PATH of everybody
	}
	if _, err := os.Stat(path); err != nil {
		return nil, errors.New("these tests run against a real Mosquitto, which is not installed: apt-get install mosquitto")
	}
	dir, err := os.MkdirTemp("", "nightjar-client-")
	if err != nil {
		return nil, err
	}
	m := &mosquitto{dir: dir}
	if err := m.writeFiles(); err != nil {
		return nil, err
	}
	// Another process may take a port between choosing and listening, and a build may lack WebSocket.
	for attempt := range 6 {
		if err = m.try(path, attempt < 3); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("start %s: %w", path, err)
}

func (m *mosquitto) try(path string, webSocket bool) error {
	if err := m.writeConfig(webSocket); err != nil {
		return err
	}
	m.process = exec.Command(path, "-c", m.file("mosquitto.conf"))
	log, err := m.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := m.process.Start(); err != nil {
		return err
	}
	var said strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.HasSuffix(lines.Text(), "running") {
			go func() {
				for lines.Scan() {
				}
			}()
			return nil
		}
	}
	_ = m.process.Wait()
	return errors.New("it ended: " + said.String())
}

func (m *mosquitto) writeConfig(webSocket bool) error {
	var config strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&config, format+"\n", args...) }
	line("per_listener_settings true\nlog_dest stderr\npersistence false")
	if os.Getuid() == 0 {
		line("user root") // or it could not read files of ours
	}
	var err error
	listen := func(settings ...string) string {
		port, e := freePort()
		err = errors.Join(err, e)
		line("listener %s 127.0.0.1\n%s", port, strings.Join(settings, "\n"))
		return port
	}
	m.tcp = listen("allow_anonymous true")
	m.auth = listen("allow_anonymous false", "password_file "+m.file("passwords"))
	secured := []string{"allow_anonymous true", "cafile " + m.file("ca.pem"), "certfile " + m.file("server.pem"), "keyfile " + m.file("server.key")}
	m.tls = listen(secured...)
	m.mutual = listen(append(secured, "require_certificate true")...)
	m.ws = ""
	if webSocket {
		m.ws = listen("allow_anonymous true", "protocol websockets")
	}
	m.unix = m.file("socket")
	line("listener 0 %s\nallow_anonymous true", m.unix)
	return errors.Join(err, os.WriteFile(m.file("mosquitto.conf"), []byte(config.String()), 0o600))
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// writeFiles makes the password file and the certificates.
func (m *mosquitto) writeFiles() error {
	if out, err := exec.Command("mosquitto_passwd", "-c", "-b", m.file("passwords"), "ann", "p@ss word").CombinedOutput(); err != nil {
		return fmt.Errorf("mosquitto_passwd: %w: %s", err, out)
	}
	ca, caKey, err := m.certificate("ca", nil, nil)
	if err != nil {
		return err
	}
	for _, name := range []string{"server", "client"} {
		if _, _, err := m.certificate(name, ca, caKey); err != nil {
			return err
		}
	}
	_, _, err = m.certificate("other", nil, nil)
	return err
}

// certificate writes name.pem and name.key; without an issuer it is a CA.
func (m *mosquitto) certificate(name string, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "nightjar test " + name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
	}
	if issuer == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return nil, nil, err
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(
		os.WriteFile(m.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(m.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyBytes}), 0o600),
	)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}
