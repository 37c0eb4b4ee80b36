package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a file in a folder of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// loaded loads a YAML file that must be good.
func loaded(t *testing.T, text string) Config {
	t.Helper()
	c, _, err := Load(Options{File: write(t, "n.yaml", text)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingIsDefault(t *testing.T) {
	for _, o := range []Options{{}, {File: write(t, "empty.yaml", "")}, {File: write(t, "c.yaml", "# nothing\n")}, {File: write(t, "e.json", "{}")}} {
		c, warnings, err := Load(o)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v", o.File, warnings, err)
		}
		if d := cmp.Diff(Default(), c); d != "" {
			t.Errorf("%s: %s", o.File, d)
		}
	}
}

// TestPrecedence proves defaults < file < environment < flags, with every layer present.
func TestPrecedence(t *testing.T) {
	file := write(t, "n.yaml", "data: {dir: file, durability: relaxed, sync_every: 1s}\nauth: {admins: [file]}\n")
	t.Setenv("NIGHTJAR_DATA__DIR", "variable")
	t.Setenv("NIGHTJAR_DATA__SYNC_EVERY", "2s")
	t.Setenv("NIGHTJAR_LIMITS__PACKET_BYTES", "2MiB")
	t.Setenv("NIGHTJAR_AUTH__ADMINS", "a, b")
	t.Setenv("NIGHTJAR_LOG__LEVEL", "") // empty is unset
	c, _, err := Load(Options{File: file, Flags: []Flag{{"--data", "data.dir", "flag"}}, Listen: []string{"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Data = Data{
		Dir: "flag", Durability: "relaxed", SyncEvery: 2 * time.Second,
		DiskSoftBytes: 512 << 20, DiskHardBytes: 128 << 20,
	}
	want.Limits.PacketBytes = 2 << 20
	want.Auth.Admins = []string{"a", "b"}
	want.Listeners = []Listener{listener("tcp", "tcp://127.0.0.1:1"), listener("tcp2", "tcp://127.0.0.1:2")}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

// TestEveryVariable proves that each key outside of lists can be set by its variable.
func TestEveryVariable(t *testing.T) {
	values := map[kind]string{kindBool: "true", kindNumber: "77", kindSize: "5000", kindDuration: "7s", kindTexts: "x"}
	for _, l := range settings(new(Config)) {
		if !l.hasVariable() {
			continue
		}
		t.Run(l.path, func(t *testing.T) {
			value := values[l.kind]
			switch {
			case l.oneof != nil:
				value = l.oneof[len(l.oneof)-1]
			case l.path == "admin.url":
				value = "off"
			case l.kind == kindText:
				value = "some/text"
			}
			t.Setenv(Variable(l.path), value)
			c, _, err := Load(Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range settings(&c) {
				if d := Default(); got.path == l.path && cmp.Equal(got.value.Interface(), find(&d, l.path)) {
					t.Errorf("%s=%s changes nothing", Variable(l.path), value)
				}
			}
		})
	}
}

func find(c *Config, path string) any {
	for _, l := range settings(c) {
		if l.path == path {
			return l.value.Interface()
		}
	}
	return nil
}

// TestFormats proves that the three formats say the same.
func TestFormats(t *testing.T) {
	want := loaded(t, `
listeners: [{url: "tls://127.0.0.1:1", tls: {cert_file: c, key_file: k, min_version: 1.3}, allow_anonymous: true}]
limits: {packet_bytes: 100_000, retained_bytes: 2GB, keep_alive_max: 1h}
check_payload_format: true
auth: {admins: [a, "1"]}
`)
	for name, text := range map[string]string{
		"n.json": "{\n\t\"listeners\": [{\"url\": \"tls://127.0.0.1:1\", \"allow_anonymous\": true,\n\t\t\"tls\": {\"cert_file\": \"c\", \"key_file\": \"k\", \"min_version\": 1.3}}],\n" +
			"\t\"limits\": {\"packet_bytes\": 100000, \"retained_bytes\": \"2GB\", \"keep_alive_max\": \"1h\"},\n\t\"check_payload_format\": true, \"auth\": {\"admins\": [\"a\", 1]}}",
		"n.toml": "check_payload_format = true\n[[listeners]]\nurl = 'tls://127.0.0.1:1'\nallow_anonymous = true\ntls = {cert_file = 'c', key_file = 'k', min_version = 1.3}\n" +
			"[limits]\npacket_bytes = 100_000\nretained_bytes = '2GB'\nkeep_alive_max = '1h'\n[auth]\nadmins = ['a', '1']\n",
	} {
		c, _, err := Load(Options{File: write(t, name, text)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(want, c); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if want.Limits.PacketBytes != 100_000 || want.Limits.RetainedBytes != 2e9 || want.Listeners[0].TLS.MinVersion != "1.3" {
		t.Errorf("got %+v", want)
	}
}

// TestAliases proves that YAML's anchors work.
func TestAliases(t *testing.T) {
	c := loaded(t, `
listeners:
  - {url: "tls://127.0.0.1:1", tls: &files {cert_file: c, key_file: k}}
  - {url: "tls://127.0.0.1:2", tls: *files}
`)
	if c.Listeners[0].TLS != c.Listeners[1].TLS || c.Listeners[1].TLS.KeyFile != "k" {
		t.Errorf("got %+v", c.Listeners)
	}
}

func TestPrintedCanBeLoaded(t *testing.T) {
	c := loaded(t, "listeners: [{url: 'unix:///tmp/x', name: \"odd: 'name'\"}]\nlimits: {slow_timeout: 1m30s, queue_bytes: 1500}\nauth: {admins: [a, b]}")
	c.Auth.Admins[1] = "null"
	for name, printed := range map[string]func() ([]byte, error){"p.yaml": c.YAML, "p.json": c.JSON} {
		text, err := printed()
		if err != nil {
			t.Fatal(err)
		}
		again, warnings, err := Load(Options{File: write(t, name, string(text))})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v in\n%s", name, warnings, err, text)
		}
		if d := cmp.Diff(c, again); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestNoFile(t *testing.T) {
	_, _, err := Load(Options{File: filepath.Join(t.TempDir(), "none.yaml")})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	c := loaded(t, "listeners: [{url: 'tcp://127.0.0.1:1'}, {name: tcp2, url: 'tcp://127.0.0.1:2'}, {url: 'tcp://127.0.0.1:3'}, {url: 'ws://127.0.0.1:4'}]")
	for i, want := range []string{"tcp", "tcp2", "tcp3", "ws"} {
		if got := c.Listeners[i].Name; got != want {
			t.Errorf("listener %d: got %q, want %q", i, got, want)
		}
	}
}

// TestAnonymous proves who is let in without a name, for allow_anonymous: auto.
func TestAnonymous(t *testing.T) {
	const certificates = ", client_certificates: required, certificate_user: cn, tls: {cert_file: c, key_file: k, client_ca_file: a}"
	for _, test := range []struct {
		auth, listener string
		want           bool
	}{
		{"{}", "url: 'tcp://127.0.0.1:1'", true},
		{"{}", "url: 'tcp://[::1]:1'", true},
		{"{}", "url: 'tcp://localhost:1'", true},
		{"{}", "url: 'unix:///x'", true},
		{"{password_file: p}", "url: 'tcp://127.0.0.1:1'", false},
		{"{password_file: p}", "url: 'tcp://127.0.0.1:1', allow_anonymous: true", true},
		{"{password_file: p}", "url: 'tcp://:1'", false},
		{"{insecure_allow_anonymous: true}", "url: 'tcp://:1'", true},
		{"{insecure_allow_anonymous: true, password_file: p}", "url: 'tcp://:1'", false},
		{"{insecure_allow_anonymous: true, password_file: p}", "url: 'tcp://:1', allow_anonymous: true", true},
		{"{password_file: p}", "url: 'tcp://127.0.0.1:1', proxy_protocol: {trusted: [127.0.0.1]}", false},
		{"{}", "url: 'tls://:1'" + certificates, false},
		{"{}", "url: 'tls://127.0.0.1:1'" + certificates, false},
	} {
		c := loaded(t, "auth: "+test.auth+"\nlisteners: [{"+test.listener+"}]")
		if got := c.BrokerListener(&c.Listeners[0]).AllowAnonymous; got != test.want {
			t.Errorf("%s %s: got %v", test.auth, test.listener, got)
		}
	}
}

// TestConversion proves that what is configured reaches the parts.
func TestConversion(t *testing.T) {
	c := loaded(t, `
listeners:
  - {url: "wss://127.0.0.1", tls: {cert_file: c, key_file: k, client_ca_file: a, crl_file: r}, client_certificates: optional,
     certificate_user: san, websocket: {allowed_origins: ["*"]}, proxy_protocol: {trusted: [10.1.2.3/8, "::1"]}, tcp_keep_alive: 5s}
  - {url: "unix:///run/n.sock"}
  - {url: "ws://127.0.0.1:1/a/b"}
  - {url: "ws://127.0.0.1:2", websocket: {path: /p}}
data: {durability: relaxed, sync_every: 2s, dir: d}
limits: {connect_timeout: 3s}
denied_publish: close
compat: {receive_maximum: warn, client_id_control_characters: allow}
sys_interval: 0s
`)
	tls := c.TransportListener(&c.Listeners[0])
	if tls.Address != "127.0.0.1:8084" || tls.WebSocket.Path != "/mqtt" || tls.WebSocket.AllowedOrigins[0] != "*" || tls.KeepAlive != 5 ||
		tls.HandshakeTimeout != 3000 || tls.Proxy.Trusted[0].String() != "10.0.0.0/8" || tls.Proxy.Trusted[1].String() != "::1/128" {
		t.Errorf("got %+v", tls)
	}
	if files, secure := c.Listeners[0].TLSFiles(); !secure || files.CRL != "r" || files.ClientAuth != "optional" || files.MinVersion != "1.2" {
		t.Errorf("got %+v", files)
	}
	if got := c.BrokerListener(&c.Listeners[0]); got.CertificateUser != "san" {
		t.Errorf("got %+v", got)
	}
	if unix := c.TransportListener(&c.Listeners[1]); unix.Network != "unix" || unix.Address != "/run/n.sock" || unix.WebSocket != nil {
		t.Errorf("got %+v", unix)
	}
	for i, want := range map[int]string{2: "/a/b", 3: "/p"} {
		if got := c.TransportListener(&c.Listeners[i]).WebSocket.Path; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if sc, durable := c.StoreConfig(); !durable || sc.Mode.String() != "relaxed" || sc.SyncEvery != 2*time.Second || sc.Dir != "d" {
		t.Errorf("got %+v", sc)
	}
	if b := Default(); b.BrokerConfig("v").OverrunWarns || b.BrokerConfig("v").ControlCharacters {
		t.Errorf("got %+v", b.Compat)
	}
	if b := c.BrokerConfig("v"); !b.OverrunWarns || !b.ControlCharacters {
		t.Errorf("got %+v", b)
	}
	if b := c.BrokerConfig("v"); !b.DeniedPublishCloses || b.SysInterval != 0 || b.Durability != "relaxed" || b.Version != "v" {
		t.Errorf("got %+v", b)
	}
	if _, wanted := (&Config{Admin: Admin{URL: "off"}}).AdminAddress(); wanted {
		t.Error("off is an address")
	}
	if address, _ := c.AdminAddress(); address != "127.0.0.1:18083" {
		t.Errorf("got %s", address)
	}
}

// FuzzLoad proves that no file, however odd, makes Load panic or accept what it cannot print and read again.
func FuzzLoad(f *testing.F) {
	f.Add(".yaml", reference)
	f.Add(".yaml", []byte("&a\nlimits: *a\nlisteners: [*a]\n"))
	f.Add(".toml", []byte("[limits]\nfilters = 1\n"))
	f.Add(".json", []byte(`{"limits": {"filters": 1e3}}`))
	f.Fuzz(func(t *testing.T, ending string, text []byte) {
		if ending != ".toml" && ending != ".json" {
			ending = ".yaml"
		}
		c, _, err := Load(Options{File: write(t, "f"+ending, string(text))})
		if err != nil {
			return
		}
		printed, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := Load(Options{File: write(t, "g.yaml", string(printed))})
		if err != nil {
			t.Fatalf("%v in\n%s", err, printed)
		}
		if twice, _ := again.YAML(); string(twice) != string(printed) {
			t.Errorf("got\n%s\nwant\n%s", twice, printed)
		}
	})
}
