package configs

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestProblems holds every message, with its line and key: %% stands for the file.
func TestProblems(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"unknown":           {"x: 1", []string{"%%:1: x: unknown key; known here: version, listeners, data, auth, limits, admin, log, sys_interval, "}},
		"misspelled":        {"\nlimits:\n  packet_byte: 1", []string{`%%:3: limits.packet_byte: unknown key (did you mean "packet_bytes"?)`}},
		"upper case":        {"Limits: {}", []string{`%%:1: Limits: unknown key (did you mean "limits"?)`}},
		"elsewhere":         {"password_file: x", []string{`%%:1: password_file: unknown key here (did you mean "auth.password_file"?)`}},
		"of Mosquitto":      {"max_packet_size: 1", []string{`%%:1: max_packet_size: unknown key here (did you mean "limits.packet_bytes"?)`}},
		"address":           {"listeners: [{address: x}]", []string{`%%:1: listeners[0].address: unknown key (did you mean "url"?)`}},
		"merge":             {"a: &a {}\nlog: {<<: *a}", []string{"%%:1: a: unknown key", "%%:2: log.<<: merging is not supported; write the keys out"}},
		"twice":             {"loops: 1\nloops: 2", []string{"%%:2: loops: is there already, in line 1; take one of them out"}},
		"null":              {"loops:", []string{"%%:1: loops: has no value; write a number, or take the line out"}},
		"no section":        {"log: debug", []string{"%%:1: log: is not a section; write its keys below it, indented"}},
		"file no section":   {"[1]", []string{"%%:1: the file: is not a section"}},
		"listeners no list": {"listeners: {url: x}", []string{`%%:1: listeners: is not a list; write a list of sections, each begun by "- "`}},
		"listener no map":   {"listeners: ['tcp://:1']", []string{"%%:1: listeners[0]: is not a section", "%%:1: listeners[0].url: is missing"}},
		"no listeners":      {"listeners: []", []string{"%%:1: listeners: is empty, so that nobody could connect; add one"}},
		"texts":             {"auth: {admins: a}", []string{"%%:1: auth.admins: is not a list; write a list, as [a, b]"}},
		"nested texts":      {"auth: {admins: [[a]]}", []string{"%%:1: auth.admins: item 1 is not a text"}},
		"list for one":      {"loops: [1]", []string{"%%:1: loops: is not one value; write a number"}},
		"boolean":           {"check_payload_format: 1", []string{"%%:1: check_payload_format: is neither true nor false"}},
		"number":            {"loops: many", []string{"%%:1: loops: is not a whole number"}},
		"fraction":          {"limits: {filters: 1.5}", []string{"%%:1: limits.filters: is not a whole number"}},
		"large":             {"limits: {filters: 99999999999999999999}", []string{"limits.filters: is too large a number"}},
		"large size":        {"limits: {packet_bytes: 99999999999GiB}", []string{"%%:1: limits.packet_bytes: is too large a number"}},
		"size":              {"limits: {packet_bytes: 1 meg}", []string{"is not a size; write a number of bytes, or with a unit: 64KiB, 1MiB, 2GB"}},
		"duration":          {"sys_interval: soon", []string{"%%:1: sys_interval: is not a duration; write a number and a unit: 500ms, 30s, 5m, 18h, 7d"}},
		"no unit":           {"sys_interval: 30", []string{"%%:1: sys_interval: has no unit; write 30s for seconds (units: ms, s, m, h, d)"}},
		"choice":            {"data: {durability: strictly}", []string{`%%:1: data.durability: is not one of strict, relaxed, memory (did you mean "strict"?)`}},
		"version":           {"version: 2", []string{"%%:1: version: 2 is not a format that this version of Nightjar reads; write 1"}},

		"limit":            {"limits:\n  filters: 0", []string{"%%:2: limits.filters: 0 is not between 1 and 65535"}},
		"limit of time":    {"limits: {connect_timeout: 2h}", []string{"%%:1: limits.connect_timeout: 2h is not between 100ms and 1h"}},
		"limit of seconds": {"limits: {keep_alive_max: 500ms}", []string{"%%:1: limits.keep_alive_max: 0s is not between 1s and 18h12m15s"}},
		"limit of size":    {"limits: {outbox_bytes: 1KiB}", []string{"%%:1: limits.outbox_bytes: 1KiB is not between 4KiB and 2147483647"}},
		"sys_interval":     {"sys_interval: 1ms", []string{"%%:1: sys_interval: 1ms is not between 1s and 1d"}},
		"shutdown_timeout": {"shutdown_timeout: 0s", []string{"%%:1: shutdown_timeout: 0s is not between 100ms and 1h"}},
		"loops":            {"loops: -2", []string{"%%:1: loops: -2 is not between -1 and 1024"}},
		"response":         {"response_information: " + strings.Repeat("x", 65536), []string{"response_information: is longer than 65535 bytes"}},
		"keep alive":       {"listeners: [{url: 'tcp://127.0.0.1:1', tcp_keep_alive: 0s}]", []string{"%%:1: listeners[0].tcp_keep_alive: 0s is not between 1s and 2h"}},
		"sync_every":       {"data: {durability: relaxed, sync_every: 1h}", []string{"%%:1: data.sync_every: 1h0m0s is not within 1ms to 10s"}},
		"no folder":        {"data: {dir: ''}", []string{"%%:1: data.dir: is empty; name a folder, or set data.durability to memory"}},
		"admins":           {"auth: {admins: ['a:b', c, c]}", []string{"%%:1: auth.admins[0]: the user name holds a colon", `%%:1: auth.admins[2]: "c" is listed twice`}},
		"one file for two": {"auth: {password_file: x, acl_file: x}", []string{"%%:1: auth.acl_file: password_file and acl_file are the same file"}},

		"no URL":       {"listeners: [{name: x}]", []string{"%%:1: listeners[0].url: is missing; write tcp://host:port, "}},
		"no scheme":    {"listeners: [{url: '127.0.0.1:1883'}]", []string{`listeners[0].url: "127.0.0.1:1883" has no scheme; write tcp://127.0.0.1:1883, or tls://`}},
		"mqtt":         {"listeners: [{url: 'mqtts://x:1883'}]", []string{`listeners[0].url: mqtts:// is not a scheme here (did you mean "tls://"?)`}},
		"other scheme": {"listeners: [{url: 'quic://x:1883'}]", []string{"listeners[0].url: quic:// is not a scheme here; use tcp://, tls://"}},
		"bad URL":      {"listeners: [{url: 'tcp://x:y'}]", []string{"listeners[0].url: is not a URL; write tcp://host:1883"}},
		"bad port":     {"listeners: [{url: 'tcp://127.0.0.1:65536'}]", []string{"listeners[0].url: port 65536 is not between 0 and 65535"}},
		"user in URL":  {"listeners: [{url: 'tcp://u:secret@127.0.0.1:1'}]", []string{"listeners[0].url: holds a user name or password"}},
		"query":        {"listeners: [{url: 'ws://127.0.0.1:1/?a'}]", []string{"listeners[0].url: has a query or fragment; take it out"}},
		"path":         {"listeners: [{url: 'tcp://127.0.0.1:1/mqtt'}]", []string{`listeners[0].url: has the path "/mqtt", which only ws:// and wss:// have; take it out`}},
		"unix path":    {"listeners: [{url: 'unix://n.sock'}]", []string{"listeners[0].url: a Unix socket needs its whole path: unix:///run/nightjar.sock"}},
		"same name": {
			"listeners:\n- {name: a, url: 'tcp://127.0.0.1:1'}\n- {name: a, url: 'tcp://127.0.0.1:2'}",
			[]string{`%%:3: listeners[1].name: "a" is the name of listeners[0] too; names tell listeners apart`},
		},
		"same address": {
			"auth: {password_file: p}\nlisteners:\n- url: tcp://127.0.0.1:1\n- url: ws://:1",
			[]string{"%%:4: listeners[1].url: ws://:1 has the address of listeners[0] (tcp://127.0.0.1:1); give it another port"},
		},
		"same socket": {
			"listeners: [{url: 'unix:///a'}, {url: 'unix:///a'}]",
			[]string{"listeners[1].url: unix:///a has the address of listeners[0] (unix:///a)"},
		},
		"admin's address": {
			"listeners: [{url: 'tcp://127.0.0.1:18083'}]",
			[]string{"%%: admin.url: has the address of listeners[0] (tcp://127.0.0.1:18083); give it another port"},
		},

		"tls without files": {
			"listeners: [{url: 'tls://127.0.0.1:1'}]",
			[]string{
				"%%:1: listeners[0].tls.cert_file: is missing, and tls:// needs it: the PEM file of the server's certificate",
				"%%:1: listeners[0].tls.key_file: is missing, and tls:// needs it: the PEM file of the certificate's private key",
			},
		},
		"files without tls": {
			"listeners: [{url: 'ws://127.0.0.1:1', client_certificates: required, tls: {cert_file: a, key_file: b, client_ca_file: c, crl_file: d}}]",
			[]string{
				"%%:1: listeners[0].tls.cert_file: is for TLS, and ws:// has none; make the URL wss://, or take this out",
				"listeners[0].tls.key_file: is for TLS", "listeners[0].tls.client_ca_file: is for TLS",
				"listeners[0].tls.crl_file: is for TLS", "listeners[0].client_certificates: is for TLS",
			},
		},
		"no authorities": {
			"listeners: [{url: 'tls://127.0.0.1:1', client_certificates: required, tls: {cert_file: a, key_file: b}}]",
			[]string{"%%:1: listeners[0].tls.client_ca_file: is missing; client_certificates: required needs the authorities"},
		},
		"authorities for nobody": {
			"listeners: [{url: 'tls://127.0.0.1:1', tls: {cert_file: a, key_file: b, client_ca_file: c}}]",
			[]string{"%%:1: listeners[0].tls.client_ca_file: is of no use while client_certificates is none; set that to optional or required"},
		},
		"revocation of nobody": {
			"listeners: [{url: 'tls://127.0.0.1:1', tls: {cert_file: a, key_file: b, crl_file: c}}]",
			[]string{"%%:1: listeners[0].tls.crl_file: is of no use while client_certificates is none; set that to optional or required"},
		},
		"names from no certificate": {
			"listeners: [{url: 'tcp://127.0.0.1:1', certificate_user: cn}]",
			[]string{"%%:1: listeners[0].certificate_user: needs certificates; set client_certificates to required or optional"},
		},
		"TLS version": {
			"listeners: [{url: 'tls://127.0.0.1:1', tls: {cert_file: a, key_file: b, min_version: 1.1}}]",
			[]string{`%%:1: listeners[0].tls.min_version: is not one of 1.2, 1.3 (did you mean "1.2"?)`},
		},
		"websocket for tcp": {
			"listeners: [{url: 'tcp://127.0.0.1:1', websocket: {path: /x, allowed_origins: [a]}}]",
			[]string{
				"%%:1: listeners[0].websocket.path: is for WebSocket, and tcp:// is none; make the URL ws:// or wss://, or take this out",
				"%%:1: listeners[0].websocket.allowed_origins: is for WebSocket",
			},
		},
		"no path": {
			"listeners: [{url: 'ws://127.0.0.1:1', websocket: {path: x}}]",
			[]string{`%%:1: listeners[0].websocket.path: "x" does not begin with /`},
		},
		"two paths": {
			"listeners: [{url: 'ws://127.0.0.1:1/a', websocket: {path: /b}}]",
			[]string{`%%:1: listeners[0].websocket.path: "/b" is not the path in the URL ("/a"); leave one of them out`},
		},
		"proxy for unix": {
			"auth: {password_file: p}\nlisteners: [{url: 'unix:///a', proxy_protocol: {trusted: [10.0.0.1]}}]",
			[]string{"%%:2: listeners[0].proxy_protocol.trusted: is not for Unix sockets, whose peers have no address"},
		},
		"proxy's address": {
			"auth: {password_file: p}\nlisteners: [{url: 'tcp://:1', proxy_protocol: {trusted: [10.0.0.1, lb]}}]",
			[]string{`%%:2: listeners[0].proxy_protocol.trusted[1]: "lb" is neither an address nor a network as 10.0.0.0/8`},
		},

		"open to all": {
			"auth: {password_file: p}\nlisteners:\n- url: tcp://:1\n  allow_anonymous: true",
			[]string{"%%:4: listeners[0].allow_anonymous: would let in everybody who reaches tcp://:1; set auth.password_file and allow_anonymous: false, or listen on 127.0.0.1, or"},
		},
		"no way in from outside": {
			"listeners: [{url: 'tcp://192.0.2.1:1'}]",
			[]string{"%%:1: listeners[0].url: tcp://192.0.2.1:1 is reachable from other machines, and there is no way to tell who connects. Make a user with `nightjar passwd passwords NAME` and set auth.password_file"},
		},
		"behind a proxy": {
			"listeners: [{url: 'tcp://127.0.0.1:1', proxy_protocol: {trusted: [127.0.0.1]}}]",
			[]string{"%%:1: listeners[0].url: tcp://127.0.0.1:1 is reachable from other machines"},
		},
		"no way in": {
			"listeners: [{url: 'tcp://127.0.0.1:1', allow_anonymous: false}]",
			[]string{"%%:1: listeners[0].allow_anonymous: nobody could log in at tcp://127.0.0.1:1: anonymous clients are not allowed, and there are no users; set auth.password_file, or allow_anonymous: true"},
		},

		"admin":            {"admin: {url: 18083}", []string{"%%:1: admin.url: is neither off nor a URL as http://127.0.0.1:18083"}},
		"admin https":      {"admin: {url: 'https://127.0.0.1:1'}", []string{"%%:1: admin.url: https:// is not supported here; use http://127.0.0.1:18083, or off"}},
		"admin port":       {"admin: {url: 'http://127.0.0.1:99999'}", []string{"%%:1: admin.url: port 99999 is not between 0 and 65535"}},
		"admin for others": {"admin: {url: 'http://:18083'}", []string{`%%:1: admin.url: "http://:18083" is reachable from other machines, and has neither TLS nor passwords yet; use`}},

		"syntax":        {"log:\n  level: [", []string{"%%:2: the file does not make sense from here on: yaml: did not find expected node content"}},
		"two documents": {"log: {}\n---\nlog: {}", []string{"%%:2: the file does not make sense from here on: yaml: a second document begins"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, write(t, "n.yaml", test.text), test.want) })
	}
}

// refused wants exactly these messages, of which the beginning, or a part, is told.
func refused(t *testing.T, file string, want []string, options ...func(*Options)) {
	t.Helper()
	o := Options{File: file}
	for _, set := range options {
		set(&o)
	}
	_, _, err := Load(o)
	var got Errors
	if !errors.As(err, &got) {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("shows a secret: %v", err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d:\n%v", len(got), len(want), err)
	}
	for i, w := range want {
		w = strings.ReplaceAll(w, "%%", file)
		if !strings.Contains(got[i].String(), w) {
			t.Errorf("got  %s\nwant %s", got[i], w)
		}
	}
}

func TestProblemsOfOtherFormats(t *testing.T) {
	refused(t, write(t, "n.toml", "loops = 1\nsys_interval = \n"), []string{"%%:2: the file does not make sense from here on: toml: "})
	refused(t, write(t, "n.toml", "[limits]\nfilter = 2\n"), []string{`%%: limits.filter: unknown key (did you mean "filters"?)`})
	refused(t, write(t, "n.json", "{\n\t\"loops\": 1,\n}"), []string{"%%:3: the file does not make sense from here on: invalid character '}'"})
	refused(t, write(t, "n.json", "{\n\t\"log\": {\n\t\t\"levle\": 1}}"), []string{`%%:3: log.levle: unknown key (did you mean "level"?)`})
	refused(t, filepath.Join(t.TempDir(), "n.conf"), []string{"%%: the name's ending does not tell the format; use .yaml, .toml or .json"})
}

// TestAllAtOnce proves that faults of every layer are told together, in the order of the file.
func TestAllAtOnce(t *testing.T) {
	t.Setenv("NIGHTJAR_LOG__LEVEL", "loud")
	t.Setenv("NIGHTJAR_LOG__LEVLE", "x")
	t.Setenv("NIGHTJAR_SYS_INTERVALL", "x")
	t.Setenv("NIGHTJAR_LISTENERS__0__URL", "x")
	t.Setenv("NIGHTJAR_PORT_1883_TCP", "tcp://10.0.0.1:1883") // as Kubernetes sets for a service nightjar
	t.Setenv("NIGHTJAR_PASSWORD", "x")                        // of nightjar pub
	file := write(t, "n.yaml", "limits:\n  filters: x\n  sessions: 0\nlistners: 1\nloops: 1\n")
	refused(t, file, []string{
		"NIGHTJAR_LISTENERS__0__URL: listeners cannot be set by variables; use a file, or the flag --listen",
		`NIGHTJAR_LOG__LEVLE: is not a variable of Nightjar (did you mean "NIGHTJAR_LOG__LEVEL"?)`,
		`NIGHTJAR_SYS_INTERVALL: is not a variable of Nightjar (did you mean "NIGHTJAR_SYS_INTERVAL"?)`,
		"--durability: data.durability: is not one of",
		"NIGHTJAR_LOG__LEVEL: log.level: is not one of",
		"--listen: listeners[1].url: x:// is not a scheme",
		"%%:2: limits.filters: is not a whole number",
		"%%:3: limits.sessions: 0 is not between 1",
		`%%:4: listners: unknown key (did you mean "listeners"?)`,
	}, func(o *Options) {
		o.Flags = []Flag{{"--durability", "data.durability", "no"}}
		o.Listen = []string{"tcp://127.0.0.1:1", "x://y"}
	})
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"data: {durability: memory, dir: d}":             "%%:1: data.dir: is not used: with data.durability memory nothing is stored",
		"data: {sync_every: 1s}":                         "%%:1: data.sync_every: is not used: it is for data.durability relaxed",
		"auth: {acl_file: a}":                            "%%:1: auth.acl_file: nobody can log in, so only its rules for anonymous clients",
		"auth: {insecure_allow_anonymous: true}":         "%%:1: auth.insecure_allow_anonymous: everybody who reaches",
		"data: {durability: memory}":                     "",
		"auth: {acl_file: a, password_file: b}":          "",
		"data: {durability: relaxed, sync_every: 100ms}": "",
	} {
		file := write(t, "n.yaml", text)
		_, warnings, err := Load(Options{File: file})
		switch {
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case want == "" && len(warnings) > 0 || want != "" && len(warnings) != 1:
			t.Errorf("%s: got %v", text, warnings)
		case want != "" && !strings.HasPrefix(warnings[0].String(), strings.ReplaceAll(want, "%%", file)):
			t.Errorf("%s: got %v", text, warnings[0])
		}
	}
}
