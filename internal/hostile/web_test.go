package hostile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"nightjar/auth"
	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
	"nightjar/transports"
)

// The kinds that some cases of table W are about.
var (
	webKinds    = []string{"ws", "wss"}
	secureKinds = []string{"tls", "wss"}
)

// web is table W. What it sends comes before MQTT or around it, so most cases do not differ by version.
var web = []row{
	{id: "W01", what: "no subprotocol mqtt", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: httpScript(
		400, "GET /mqtt", "-Sec-WebSocket-Protocol", "+Sec-WebSocket-Protocol: chat", "",
	)},
	{id: "W02", what: "foreign Origin", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: httpScript(
		403, "GET /mqtt", "+Origin: http://evil.example", "+Origin: null",
	)},
	{id: "W02", what: "no Origin", whole: true, kinds: webKinds, only: packets.V5, script: httpScript(101, "GET /mqtt", "")},
	{id: "W03", what: "another version of WebSocket", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: httpScript(
		426, "GET /mqtt", "-Sec-WebSocket-Version", "+Sec-WebSocket-Version: 12", "-Upgrade",
	)},
	{id: "W03", what: "bad key, or method", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: func(x *run) {
		httpScript(400, "GET /mqtt", "-Sec-WebSocket-Key", "+Sec-WebSocket-Key: short")(x)
		httpScript(400, "POST /mqtt", "")(x)
		httpScript(400, "GET /mqtt HTTP/1.0", "")(x)
	}},
	{id: "W04", what: "frame that is not masked", moves: closed, kinds: webKinds, script: frames(1002, "8202c000")},
	{id: "W05", what: "MQTT in a text frame", moves: closed, kinds: webKinds, script: frames(1003, "818200000000c000")},
	{id: "W06", what: "frame of enormous length", moves: closed, kinds: webKinds, script: frames(1009,
		"82ff7fffffffffffffff00000000", "82ff000000010000000000000000", "82ff800000000000000000000000",
	)},
	{id: "W07", what: "many fragments, and many packets in a frame", kinds: webKinds, whole: true, script: fragments},
	{id: "W08", what: "bad control frames, RSV and opcodes", moves: closed, kinds: webKinds, script: frames(1002,
		"89fe0080"+"00000000"+strings.Repeat("00", 128), "098000000000", "c28000000000", "a28000000000", "928000000000", "838000000000", "8b8000000000",
	)},
	{id: "W09", what: "continuation without start, start within a message", moves: closed, kinds: webKinds, script: frames(1002, "808000000000", "028000000000028000000000")},
	{id: "W10", what: "compression", kinds: webKinds, whole: true, only: packets.V5, script: func(x *run) {
		// Not negotiated, so that a compressed frame is one with a reserved bit, which is W08.
		r := x.upgrade("GET /mqtt", "+Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
		if got := r.Header.Get("Sec-WebSocket-Extensions"); r.StatusCode != 101 || got != "" {
			x.t.Errorf("status %d, extensions %q", r.StatusCode, got)
		}
	}},
	{id: "W11", what: "flood of pings, of pongs, of empty frames", kinds: webKinds, whole: true, large: true, moves: closed, script: frames(1008,
		strings.Repeat("898000000000", 2000), strings.Repeat("8a8000000000", 2000), strings.Repeat("828000000000", 2000),
	)},
	{id: "W12", what: "message without end before CONNECT", kinds: webKinds, whole: true, large: true, moves: refused, script: func(x *run) {
		c := x.e.dial(x.t, false)
		defer c.Close()
		w, err := c.ws.NextWriter(2)
		must(x.t, err)
		_, err = w.Write([]byte{0x10, 0xff, 0xff, 0x7f}) // 2 MB are announced
		junk := make([]byte, 16<<10)
		for n := 0; n < 64 && err == nil; n++ {
			_, err = w.Write(junk)
		}
		x.gone(c)
	}},
	{id: "W13", what: "close or drop within a packet", kinds: webKinds, moves: wills, script: func(x *run) {
		for _, end := range []func(*conn){(*conn).finish, (*conn).reset} {
			topic := x.id("w13")
			w := x.watch(topic)
			raw := x.e.dial(x.t, x.one)
			x.t.Cleanup(func() { raw.Close() })
			c := mt.NewClient(x.t, x.v, raw)
			x.greet(c, x.id("c"), mt.Will(topic, "gone", 1))
			c.Raw(encode("=307f 't'", x.v))
			end(raw)
			w.Take(topic, "gone", 1)
		}
	}},
	{id: "W14", what: "three bytes of a large packet in a frame", kinds: webKinds, whole: true, moves: wills, script: func(x *run) {
		topic := x.id("w14")
		w := x.watch(topic)
		c := x.connect(x.id("c"), mt.KeepAlive(10), mt.Will(topic, "gone", 1))
		b := encode("30 't' {} \""+strings.Repeat("x", 4096)+"\"", x.v)
		c.Raw(b[:3])
		c.Raw(b[3:])
		c.Ping() // it waited for the rest
		c.Raw(b[:3])
		x.Clock.Advance(16 * time.Second)
		c.ExpectDisconnect(packets.KeepAliveTimeout)
		w.Take(topic, "gone", 1)
	}},
	{id: "W15", what: "other paths", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: func(x *run) {
		for _, path := range []string{"/", "/mqtt/", "/mqttx", "/MQTT", "/metrics", "//mqtt", "/mqtt/../x"} {
			httpScript(404, "GET "+path, "")(x)
		}
	}},
	{id: "W15", what: "WebSocket where there is none", whole: true, kinds: []string{"tcp", "tls"}, only: packets.V5, moves: refused, script: func(x *run) {
		c, raw := x.e.under(x.t)
		defer raw.Close()
		_, err := c.Write(request("GET /mqtt", ""))
		must(x.t, err)
		x.gone(&conn{Conn: c, raw: raw})
	}},
	{id: "W16", what: "large headers", whole: true, kinds: webKinds, only: packets.V5, large: true, moves: handshakes, script: httpScript(431, "GET /mqtt",
		"+X: "+strings.Repeat("x", 1<<20), "+"+strings.TrimSuffix(strings.Repeat("A: b\r\n", 10000), "\r\n"),
		"+traceparent: "+strings.Repeat("0", 60<<10), "+baggage: "+strings.Repeat("a=b,", 16<<10),
	)},
	{id: "W16", what: "slow headers", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: func(x *run) {
		e := listen(x.t, x.Broker, x.e.kind, func(cfg *transports.ListenerConfig) { cfg.HandshakeTimeout = 300 })
		c, raw := e.under(x.t)
		defer raw.Close()
		_, err := c.Write([]byte("GET /mqtt HTTP/1.1\r\nHost: x\r\n"))
		must(x.t, err)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		must(x.t, err)
		r.Body.Close()
		if r.StatusCode != 408 {
			x.t.Errorf("status %d", r.StatusCode)
		}
	}},
	{id: "W17", what: "smuggling", whole: true, kinds: webKinds, only: packets.V5, moves: handshakes, script: httpScript(400, "GET /mqtt",
		"+Content-Length: 5\r\nTransfer-Encoding: chunked", "+X: y\nZ: 1", "+Content-Length: 2", "+Content-Length: 0", "+Transfer-Encoding: chunked", "+ folded: x", "+Host: other",
	)},
	// Early data crypto/tls does not take, and it ends a flood of KeyUpdate or empty records by itself after a few.
	{id: "W18", what: "old TLS and weak suites", whole: true, kinds: secureKinds, only: packets.V5, moves: handshakes, script: func(x *run) {
		for _, change := range []func(*tls.Config){
			func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
			func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
			func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
			},
		} {
			p, err := authority()
			must(x.t, err)
			cfg := p.clientConfig()
			cfg.ClientSessionCache = nil
			change(cfg)
			raw := x.e.socket(x.t)
			if err := tls.Client(raw, cfg).Handshake(); err == nil {
				x.t.Error("the broker shakes hands")
			}
			raw.Close()
		}
	}},
	{id: "W19", what: "client certificates", whole: true, kinds: secureKinds, moves: handshakes, script: clientCertificates},
	{id: "W20", what: "names in client certificates", whole: true, kinds: secureKinds, script: certificateNames},
	{id: "W21", what: "REST", missing: "there is no REST API yet; the admin server has three paths that only read, and its own tests"},
	{id: "W22", what: "dashboard", missing: "there is no dashboard yet"},
	{id: "W23", what: "hostile names in metrics", whole: true, script: func(x *run) {
		c := x.connect(x.id(`evil"} 1` + "\u2028<img>"))
		c.Publish(`evil"} 1\n HELP`, "x", 0)
		x.want(x.query(c, `82 0001 {} 'evil"} 1#' 00`), "S:80", "S:8F")
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + x.admin.Addr().String() + "/metrics")
		must(x.t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		must(x.t, err)
		if bytes.Contains(b, []byte("evil")) || r.StatusCode != 200 {
			x.t.Errorf("status %d; the metrics have names of clients or topics", r.StatusCode)
		}
	}},
}

// query sends bytes and a PINGREQ, and returns the answers.
func (x *run) query(c *mt.Client, in string) string {
	x.t.Helper()
	_ = c.TryRaw(packets.AppendPingreq(encode(in, x.v)))
	return x.answers(c)
}

// request is a WebSocket request. A change is -Name, which takes a header out, or +text, which adds one or, where it is
// of a header that is there, replaces that.
func request(line, change string) []byte {
	if !strings.Contains(line, "HTTP/") {
		line += " HTTP/1.1"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\r\n", line)
	name, _, _ := strings.Cut(strings.TrimLeft(change, "+-"), ":")
	for _, h := range []string{
		"Host: broker", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt",
	} {
		if key, _, _ := strings.Cut(h, ":"); key != name || key == "Host" {
			fmt.Fprintf(&b, "%s\r\n", h)
		}
	}
	if text, ok := strings.CutPrefix(change, "+"); ok {
		fmt.Fprintf(&b, "%s\r\n", text)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// upgrade sends a request and returns the answer.
func (x *run) upgrade(line, change string) *http.Response {
	x.t.Helper()
	c, raw := x.e.under(x.t)
	x.t.Cleanup(func() { raw.Close() })
	_, _ = c.Write(request(line, change)) // fails where the broker has seen enough
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		x.t.Fatalf("%s %.60q: %v", line, change, err)
	}
	r.Body.Close()
	return r
}

// httpScript sends requests with a change each, and wants a status.
func httpScript(status int, line string, changes ...string) func(*run) {
	return func(x *run) {
		for _, change := range changes {
			if change == "" && status == 400 && strings.HasPrefix(line, "GET /mqtt") && !strings.Contains(line, "1.0") {
				continue
			}
			if r := x.upgrade(line, change); r.StatusCode != status {
				x.t.Errorf("%s %.60q: status %d, want %d", line, change, r.StatusCode, status)
			}
		}
	}
}

// frames sends raw bytes after the handshake of WebSocket, and wants a close code.
func frames(code uint16, hexes ...string) func(*run) {
	return func(x *run) {
		for _, h := range hexes {
			c := x.e.dial(x.t, false)
			under := &conn{Conn: c.Conn, raw: c.raw, one: x.one}
			_, _ = under.Write(encode("="+h, x.v))
			b, err := io.ReadAll(&conn{Conn: c.Conn, raw: c.raw})
			c.Close()
			if len(b) < 4 || err != nil {
				x.t.Fatalf("%.40s: got %x, %v in place of a close frame", h, b, err)
			}
			for len(b) >= 2 && b[0] != 0x88 { // pongs
				b = b[2+int(b[1]):]
			}
			if len(b) < 4 || binary.BigEndian.Uint16(b[2:]) != code {
				x.t.Errorf("%.40s: close frame %x, want %d", h, b, code)
			}
		}
	}
}

// fragments is W07.
func fragments(x *run) {
	topic := x.id("w07")
	w := x.watch(topic)
	c := x.e.dial(x.t, false)
	x.t.Cleanup(func() { c.Close() })
	client := mt.NewClient(x.t, x.v, c)
	x.greet(client, x.id("c"))
	payload := strings.Repeat("0123456789", 100)
	b := encode("30 '"+topic+"' {} \""+payload+"\"", x.v)
	for i := range b { // one packet over a thousand fragments
		first := byte(0)
		if i == 0 {
			first = 2
		}
		if i == len(b)-1 {
			first |= 0x80
		}
		_, err := c.Conn.Write([]byte{first, 0x81, 0, 0, 0, 0, b[i]})
		must(x.t, err)
	}
	w.Receive(topic, payload, 0)
	var many []byte
	for i := range 100 {
		many = append(many, encode(fmt.Sprintf("30 '%s' {} \"%d\"", topic, i), x.v)...)
	}
	must(x.t, c.write(many))
	for i := range 100 {
		w.Receive(topic, fmt.Sprint(i), 0)
	}
}

// dialCertificate connects with a certificate, or none, and sends CONNECT. It returns the answers, or "" where the
// handshake fails.
func (x *run) dialCertificate(e *endpoint, cfg *tls.Config) string {
	x.t.Helper()
	raw := e.socket(x.t)
	defer raw.Close()
	c := tls.Client(raw, cfg)
	stream := &conn{Conn: c, raw: raw}
	if e.web() {
		// The broker refuses a certificate only after its side of the handshake of TLS 1.3.
		if _, err := c.Write(request("GET /mqtt", "")); err != nil {
			return ""
		}
		r := bufio.NewReader(c)
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != 101 {
			return ""
		}
		b := encode("10 'MQTT' @ 02 003c {} 'certificate'", x.v)
		b = slices.Concat([]byte{0x82, 0x80 | byte(len(b)), 0, 0, 0, 0}, b)
		if _, err := c.Write(b); err != nil {
			return ""
		}
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			return ""
		}
		size := int(head[1])
		if size == 126 {
			if _, err := io.ReadFull(r, head); err != nil {
				return ""
			}
			size = int(binary.BigEndian.Uint16(head))
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return ""
		}
		stream = &conn{Conn: readerConn{c, bytes.NewReader(body)}, raw: raw}
	} else if _, err := c.Write(encode("10 'MQTT' @ 02 003c {} 'certificate'", x.v)); err != nil {
		return ""
	}
	p, err := mt.NewClient(x.t, x.v, stream).Next()
	if err != nil {
		return ""
	}
	return token(p, x.v)
}

// readerConn reads from somewhere else.
type readerConn struct {
	net.Conn
	io.Reader
}

func (r readerConn) Read(b []byte) (int, error) { return r.Reader.Read(b) }

// clientCertificates is W19, with and without a resumed session.
func clientCertificates(x *run) {
	p, err := authority()
	must(x.t, err)
	dir := x.t.TempDir()
	stranger, err := newPKI(dir)
	must(x.t, err)
	issue := func(from *pki, change func(*x509.Certificate)) []tls.Certificate {
		c, err := from.issue(change)
		must(x.t, err)
		return []tls.Certificate{c}
	}
	revoked := issue(p, nil)
	crl, err := x509.CreateRevocationList(nil, &x509.RevocationList{
		Number: revoked[0].Leaf.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked[0].Leaf.SerialNumber, RevocationTime: time.Now()}},
	}, p.ca, p.key)
	must(x.t, err)
	must(x.t, p.write("crl.pem", "X509 CRL", crl))
	e := listen(x.t, x.Broker, x.e.kind, func(cfg *transports.ListenerConfig) {
		cfg.TLS = serverTLS(x.t, func(f *transports.TLSFiles) {
			f.ClientCA, f.CRL, f.ClientAuth = p.file("ca.pem"), p.file("crl.pem"), transports.ClientAuthRequired
		})
	})
	for _, c := range []struct {
		what string
		cert []tls.Certificate
		want string
	}{
		{"good", issue(p, nil), "C:00"},
		{"absent", nil, ""},
		{"expired", issue(p, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ""},
		{"from a stranger", issue(stranger, nil), ""},
		{"revoked", revoked, ""},
		{"for servers", issue(p, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ""},
	} {
		cfg := p.clientConfig()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c.cert == nil {
				return &tls.Certificate{}, nil
			}
			return &c.cert[0], nil // even one that the broker does not ask for
		}
		for try := range 2 { // the second resumes, if it can
			if got := x.dialCertificate(e, cfg); got != c.want {
				x.t.Errorf("%s, try %d: %q, want %q", c.what, try, got, c.want)
			}
		}
	}
}

// certificateNames is W20: a name that could be more than one level of a topic is no user name.
func certificateNames(x *run) {
	p, err := authority()
	must(x.t, err)
	for _, from := range []string{"cn", "san"} {
		e, stop := certificateBroker(x, from)
		for name, want := range map[string]string{
			"device-1": "C:00", "+": "C:05", "#": "C:05", "a/b": "C:05", "$SYS": "C:05", "a\nb": "C:05", "a\x00b": "C:05", "": "C:05",
		} {
			cert, err := p.issue(func(c *x509.Certificate) {
				if from == "cn" {
					c.Subject = pkix.Name{CommonName: name}
				} else if name != "" {
					c.URIs = []*url.URL{{Opaque: name}}
					if name == "a\nb" || name == "a\x00b" {
						c.URIs = []*url.URL{{Opaque: "x/" + url.PathEscape(name)}}
					}
				}
			})
			if err != nil { // x509 itself will not issue it
				continue
			}
			cfg := p.clientConfig()
			cfg.ClientSessionCache, cfg.Certificates = nil, []tls.Certificate{cert}
			if x.v >= packets.V5 && want == "C:05" {
				want = "C:87"
			}
			if got := x.dialCertificate(e, cfg); got != want {
				x.t.Errorf("%s %q: %q, want %q", from, name, got, want)
			}
		}
		// Two names: one of them counts, always the same; it is not that they are put together.
		cert, err := p.issue(func(c *x509.Certificate) {
			c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: []int{2, 5, 4, 3}, Value: "one"}, {Type: []int{2, 5, 4, 3}, Value: "#"},
			}}
			c.DNSNames = []string{"one", "two"}
		})
		must(x.t, err)
		cfg := p.clientConfig()
		cfg.ClientSessionCache, cfg.Certificates = nil, []tls.Certificate{cert}
		if got := x.dialCertificate(e, cfg); got == "" {
			x.t.Error("two names: no answer")
		}
		stop()
	}
}

// certificateBroker is a broker whose users are named by their certificates.
func certificateBroker(x *run, from string) (*endpoint, func()) {
	x.t.Helper()
	p, err := authority()
	must(x.t, err)
	a, err := auth.Open(auth.DefaultConfig())
	must(x.t, err)
	log, clock := slog.New(slog.NewJSONHandler(x.log, nil)), broker.Clock()
	b, err := broker.New(broker.DefaultConfig(), a, nil, map[string]broker.Listener{"tls": {CertificateUser: from}}, clock, log)
	must(x.t, err)
	s, err := transports.New(transports.Config{Loops: 1, Clock: clock, Log: log}, b)
	must(x.t, err)
	b.Attach(s)
	cfg := listenerConfig(x.t, x.e.kind)
	cfg.Name, cfg.Network, cfg.Address = "tls", "tcp", "127.0.0.1:0"
	cfg.TLS = serverTLS(x.t, func(f *transports.TLSFiles) {
		f.ClientCA, f.ClientAuth = p.file("ca.pem"), transports.ClientAuthRequired
	})
	ln, err := s.Listen(cfg)
	must(x.t, err)
	must(x.t, s.Start())
	b.Start()
	return &endpoint{kind: x.e.kind, listener: ln, addr: ln.Addr().String()}, func() {
		ctx, cancel := context.WithTimeout(context.Background(), mt.Patience)
		defer cancel()
		b.Shutdown(ctx)
	}
}
