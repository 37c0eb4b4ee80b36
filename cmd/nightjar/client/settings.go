package client

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nightjar/packets"

	"github.com/spf13/cobra"
)

// settings are the checked flags of a connection: nothing about them can be wrong any more but the world.
type settings struct {
	endpoint         endpoint
	tls              *tls.Config // for tls and wss
	local            net.Addr    // address to connect from; nil for any
	version          packets.Version
	clientID         string
	username         string
	password         []byte // nil: none
	cleanStart       bool   // Clean Session before MQTT 5
	keepAliveSeconds uint16
	will             *message
	properties       propertyFlags
	answerTimeout    time.Duration
	trace            io.Writer // nil: no trace
}

// passwordVariable names the environment variable that holds a password.
const passwordVariable = "NIGHTJAR_PASSWORD"

// settings checks the flags. The topic is the one of the URL, if it has one.
func (f *connectionFlags) settings(cmd *cobra.Command) (s *settings, topic string, err error) {
	f.set = cmd.Flags().Changed
	s = &settings{username: f.username, keepAliveSeconds: f.keepAliveSeconds, answerTimeout: f.answerTimeout, properties: f.properties}
	to, err := f.target()
	if err != nil {
		return nil, "", err
	}
	s.endpoint, s.username = to.endpoint, cmp.Or(f.username, to.username)
	if f.debug {
		s.trace = cmd.ErrOrStderr()
	}
	switch {
	case f.qos > 2 || f.willQoS > 2:
		return nil, "", usagef("QoS %d: want 0, 1 or 2", max(f.qos, f.willQoS))
	case f.answerTimeout <= 0:
		return nil, "", usagef("--answer-timeout %v: want more than 0", f.answerTimeout)
	}
	for _, step := range []func(*settings) error{f.setVersion, f.setIdentity, f.setSession, f.setWill, f.setTLS, f.setLocal} {
		if err := step(s); err != nil {
			return nil, "", err
		}
	}
	if s.password, err = f.readPassword(to); err != nil {
		return nil, "", err
	}
	if s.password != nil && s.username == "" && s.version != packets.V5 {
		return nil, "", usagef("a password without a user name (-u) needs MQTT 5: add -u or -V 5") // [v3.1.1 MQTT-3.1.2-22]
	}
	return s, to.topic, nil
}

// target finds the server.
func (f *connectionFlags) target() (target, error) {
	t := target{}
	switch {
	case f.set("url") && (f.set("host") || f.set("port") || f.set("unix")):
		return t, usagef("--url already says where the server is: leave -h, -p and --unix out")
	case f.set("unix") && (f.set("host") || f.set("port")):
		return t, usagef("--unix already says where the server is: leave -h and -p out")
	case f.set("url"):
		var err error
		if t, err = parseTarget(f.url); err != nil {
			return t, err
		}
	case f.set("unix"):
		t.endpoint = endpoint{network: "unix", address: f.unix}
	default:
		port := "1883"
		if f.wantsTLS() {
			port = "8883"
		}
		if f.set("port") {
			var err error
			if port, err = parsePort(f.port); err != nil {
				return t, err
			}
		}
		t.endpoint = endpoint{network: "tcp", address: net.JoinHostPort(f.host, port)}
	}
	if f.wantsTLS() {
		t.endpoint = t.endpoint.secured()
	}
	return t, nil
}

func (f *connectionFlags) wantsTLS() bool {
	return f.cafile != "" || f.capath != "" || f.osCerts || f.cert != "" || f.key != "" || f.insecure || f.alpn != ""
}

func (f *connectionFlags) setVersion(s *settings) error {
	switch strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(f.version), "mqttv"), ".", "") {
	case "31":
		s.version = packets.V31
	case "311":
		s.version = packets.V311
	case "5", "50":
		s.version = packets.V5
	default:
		return usagef("-V %s: want 31, 311 or 5", f.version)
	}
	wants5 := f.set("property") || f.set("session-expiry-interval")
	if wants5 && f.set("protocol-version") && s.version != packets.V5 {
		return usagef("-D and -x are of MQTT 5: use -V 5")
	}
	if wants5 {
		s.version = packets.V5
	}
	return nil
}

// setIdentity chooses the Client Identifier. The default is one that every server must accept: at most 23
// characters, letters and digits only [v5 MQTT-3.1.3-5] [v3.1.1 MQTT-3.1.3-5].
func (f *connectionFlags) setIdentity(s *settings) error {
	switch {
	case f.set("id") && f.set("id-prefix"):
		return usagef("-i and -I both say the client identifier: use one")
	case f.persistent && !f.set("id"):
		return usagef("-c keeps the session under the client identifier, so it needs -i")
	case f.persistent && f.id == "" && s.version != packets.V5:
		return usagef("-c needs a client identifier that is not empty") // [v3.1.1 MQTT-3.1.3-7]
	case f.set("id"):
		s.clientID = f.id
	case f.set("id-prefix"):
		s.clientID = f.idPrefix + strconv.Itoa(os.Getpid())
	default:
		random := make([]byte, 7)
		_, _ = rand.Read(random) // never fails
		s.clientID = "nightjar" + hex.EncodeToString(random)
	}
	return nil
}

func (f *connectionFlags) setSession(s *settings) error {
	s.cleanStart = !f.persistent
	expiry := &s.properties[commandConnect].sessionExpiry
	switch {
	case f.set("session-expiry-interval"):
		seconds, err := strconv.ParseInt(strings.Replace(f.sessionExpiry, "∞", "-1", 1), 10, 64)
		if err != nil || seconds < -1 || seconds > math.MaxUint32 {
			return usagef("-x %s: want seconds from 0 to %d, or -1 for ever", f.sessionExpiry, uint32(math.MaxUint32))
		}
		*expiry = new(uint32(seconds)) // -1 becomes 0xFFFFFFFF, which MQTT 5 reads as "for ever"
	case f.persistent && *expiry == nil:
		*expiry = new(uint32(math.MaxUint32))
	}
	return nil
}

func (f *connectionFlags) setWill(s *settings) error {
	if f.willTopic == "" {
		if f.set("will-payload") || f.set("will-qos") || f.set("will-retain") {
			return usagef("a will needs --will-topic")
		}
		return nil
	}
	s.will = &message{
		topic: f.willTopic, payload: []byte(f.willPayload), qos: f.willQoS, retain: f.willRetain,
		properties: f.properties[commandWill],
	}
	return checkName(f.willTopic)
}

func (f *connectionFlags) setLocal(s *settings) error {
	if f.bind == "" {
		return nil
	}
	ip, err := net.ResolveIPAddr("ip", f.bind)
	if err != nil {
		return usagef("-A %s: %v", f.bind, err)
	}
	s.local = &net.TCPAddr{IP: ip.IP, Zone: ip.Zone}
	return nil
}

func (s *settings) dialer() *net.Dialer { return &net.Dialer{LocalAddr: s.local} }

// readPassword takes the first of -P, --password-file, the URL and the environment.
func (f *connectionFlags) readPassword(to target) ([]byte, error) {
	switch {
	case f.set("pw") && f.set("password-file"):
		return nil, usagef("-P and --password-file both say the password: use one")
	case f.set("pw"):
		return []byte(f.password), nil
	case f.set("password-file"):
		content, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		line, _, _ := strings.Cut(string(content), "\n")
		return []byte(strings.TrimSuffix(line, "\r")), nil
	case to.hasPassword:
		return []byte(to.password), nil
	}
	// A password in the environment waits for a user name; it must not turn an anonymous client into a wrong one.
	if password, ok := os.LookupEnv(passwordVariable); ok && cmp.Or(f.username, to.username) != "" {
		return []byte(password), nil
	}
	return nil, nil
}

func (f *connectionFlags) setTLS(s *settings) error {
	if s.endpoint.network != "tls" && s.endpoint.network != "wss" {
		if f.wantsTLS() {
			return usagef("TLS flags do not fit %s", s.endpoint)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(s.endpoint.address)
	if err != nil {
		return usagef("address %s: %v", s.endpoint.address, err)
	}
	s.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if f.alpn != "" {
		s.tls.NextProtos = []string{f.alpn}
	}
	if s.tls.RootCAs, err = f.roots(); err != nil {
		return err
	}
	if f.insecure {
		s.tls.InsecureSkipVerify = true
		s.tls.VerifyConnection = chainOnly(s.tls.RootCAs)
	}
	if (f.cert == "") != (f.key == "") {
		return usagef("--cert and --key go together")
	}
	if f.cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("load client certificate: %w", err)
	}
	s.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// roots are the CA certificates to trust; nil means those of the system.
func (f *connectionFlags) roots() (*x509.CertPool, error) {
	if f.cafile == "" && f.capath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if f.osCerts {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("load the system's CA certificates: %w", err)
		}
		pool = system
	}
	if f.cafile != "" {
		pem, err := os.ReadFile(f.cafile)
		if err != nil {
			return nil, fmt.Errorf("load CA certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("load CA certificates: %s holds no PEM certificate", f.cafile)
		}
	}
	if f.capath == "" {
		return pool, nil
	}
	files, err := os.ReadDir(f.capath)
	if err != nil {
		return nil, fmt.Errorf("load CA certificates: %w", err)
	}
	found := false
	for _, file := range files {
		pem, err := os.ReadFile(filepath.Join(f.capath, file.Name()))
		found = err == nil && pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("load CA certificates: %s holds no file with a PEM certificate", f.capath)
	}
	return pool, nil
}

// chainOnly checks that a server's certificate comes from one of roots, whatever its host name. Without roots
// it checks nothing.
func chainOnly(roots *x509.CertPool) func(tls.ConnectionState) error {
	if roots == nil {
		return nil
	}
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server has no certificate")
		}
		between := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
