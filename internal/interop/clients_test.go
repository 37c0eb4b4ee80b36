package interop

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/interop.md anew")

// client is one program or library at one version of MQTT over one transport.
type client struct {
	name      string
	version   int
	transport string
	// new starts what makes the client's peers.
	new func(t *testing.T, c *client, s *server) func() peer
	// lacks are the features that the client does not have, with the reason.
	lacks map[string]string

	tellsReason bool // it tells its user Reason Strings
	tellsPuback bool // it tells its user the Reason Codes of PUBACK and PUBREC
	toldPresent bool // it tells its user Session Present
	// closesWithWill: it closes by DISCONNECT 0x04, which has the will published.
	closesWithWill bool
}

// url is where the broker is, in the form that most clients take.
func (c *client) url(s *server) string {
	switch c.transport {
	case "WebSocket":
		return "ws://" + s.ws + "/mqtt"
	case "Unix":
		return "unix://" + s.unix
	}
	return "tcp://" + s.tcp
}

func usePahoGo3(_ *testing.T, c *client, s *server) func() peer {
	return func() peer { return newPahoGo3(c.url(s), c.version) }
}

func usePahoGo5(_ *testing.T, c *client, s *server) func() peer {
	return func() peer { return newPahoGo5(c.url(s)) }
}

func useMosquitto(t *testing.T, c *client, s *server) func() peer {
	for _, program := range []string{"mosquitto_sub", "mosquitto_pub", "stdbuf"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run .ci/deps to install it", err)
		}
	}
	where := map[string][]string{
		"TCP":  mosquittoTCP(s.tcp),
		"TLS":  append(mosquittoTCP(s.tls), "--cafile", s.caFile),
		"Unix": {"--unix", s.unix},
	}[c.transport]
	return func() peer {
		p := newMosquitto(c.version, where...)
		t.Cleanup(func() { _ = p.abort() }) // it would outlive the test, and connect again and again
		return p
	}
}

func usePahoPython(t *testing.T, c *client, s *server) func() peer {
	h := startScript(t, "/usr/bin/python3", "python.py") // Debian's own, which has Debian's python3-paho-mqtt
	return func() peer { return h.newPeer(c.url(s), c.version) }
}

func useNode(t *testing.T, c *client, s *server) func() peer {
	h := startScript(t, "node", "node.mjs")
	return func() peer { return h.newPeer(c.url(s), c.version) }
}

func useChromium(t *testing.T, c *client, s *server) func() peer {
	h := startChromium(t)
	return func() peer { return h.newPeer(c.url(s), c.version) }
}

// What clients lack.
var (
	mosquittoLacks = map[string]string{"topic aliases out": "libmosquitto 2.0 does not resolve a broker's aliases."}
	pahoPyLacks    = map[string]string{"topic aliases out": "paho-mqtt 1.6 does not resolve a broker's aliases."}
)

// clients are all that talk to the broker in these tests, and the rows of docs/interop.md.
var clients = []client{
	{name: "paho.mqtt.golang 1.5.1", version: 3, transport: "TCP", new: usePahoGo3, toldPresent: true},
	{name: "paho.mqtt.golang 1.5.1", version: 4, transport: "TCP", new: usePahoGo3, toldPresent: true},
	{name: "paho.mqtt.golang 1.5.1", version: 4, transport: "WebSocket", new: usePahoGo3, toldPresent: true},
	{name: "paho.mqtt.golang 1.5.1", version: 4, transport: "Unix", new: usePahoGo3, toldPresent: true},
	{name: "paho.golang 0.23.0", version: 5, transport: "TCP", new: usePahoGo5, toldPresent: true, tellsReason: true, tellsPuback: true},
	{name: "paho.golang 0.23.0", version: 5, transport: "Unix", new: usePahoGo5, toldPresent: true, tellsReason: true, tellsPuback: true},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 3, transport: "TCP", new: useMosquitto},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 4, transport: "TCP", new: useMosquitto},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 4, transport: "TLS", new: useMosquitto},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 5, transport: "TCP", new: useMosquitto, lacks: mosquittoLacks, tellsPuback: true, closesWithWill: true},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 5, transport: "TLS", new: useMosquitto, lacks: mosquittoLacks, tellsPuback: true, closesWithWill: true},
	{name: "mosquitto_pub, mosquitto_sub 2.0", version: 5, transport: "Unix", new: useMosquitto, lacks: mosquittoLacks, tellsPuback: true, closesWithWill: true},
	{name: "paho-mqtt for Python 1.6", version: 4, transport: "TCP", new: usePahoPython, toldPresent: true},
	{name: "paho-mqtt for Python 1.6", version: 5, transport: "TCP", new: usePahoPython, toldPresent: true, tellsReason: true, lacks: pahoPyLacks},
	{name: "paho-mqtt for Python 1.6", version: 5, transport: "WebSocket", new: usePahoPython, toldPresent: true, tellsReason: true, lacks: pahoPyLacks},
	{name: "MQTT.js 5.16.0 in Node", version: 4, transport: "TCP", new: useNode, toldPresent: true},
	{name: "MQTT.js 5.16.0 in Node", version: 4, transport: "WebSocket", new: useNode, toldPresent: true},
	{name: "MQTT.js 5.16.0 in Node", version: 5, transport: "TCP", new: useNode, toldPresent: true, tellsReason: true, tellsPuback: true},
	{name: "MQTT.js 5.16.0 in Node", version: 5, transport: "WebSocket", new: useNode, toldPresent: true, tellsReason: true, tellsPuback: true},
	{name: "MQTT.js 5.16.0 in Chromium", version: 4, transport: "WebSocket", new: useChromium, toldPresent: true},
	{name: "MQTT.js 5.16.0 in Chromium", version: 5, transport: "WebSocket", new: useChromium, toldPresent: true, tellsReason: true, tellsPuback: true},
}

// versionNames are what versions are called.
var versionNames = map[int]string{3: "3.1", 4: "3.1.1", 5: "5"}

// has tells whether the client plays a scenario.
func (c *client) has(sc *scenario) bool { return c.version >= sc.since && c.lacks[sc.feature] == "" }

// TestClients plays all scenarios with all clients, each with a broker of its own.
func TestClients(t *testing.T) {
	for i := range clients {
		c := &clients[i]
		t.Run(fmt.Sprintf("%s/%s/%s", c.name, versionNames[c.version], c.transport), func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			newPeer := c.new(t, c, s)
			for n := range scenarios {
				sc := &scenarios[n]
				if !c.has(sc) {
					continue
				}
				t.Run(sc.feature, func(t *testing.T) {
					sc.play(&stage{T: t, server: s, client: c, newPeer: newPeer, topic: fmt.Sprintf("stage/%d", n)})
				})
			}
		})
	}
}

const tableFile = "../../docs/interop.md"

// TestTable holds docs/interop.md to what TestClients does.
func TestTable(t *testing.T) {
	want := table()
	if *update {
		must(t, os.WriteFile(tableFile, []byte(want), 0o644)) //nolint:gosec // a page of the documentation
	}
	got, err := os.ReadFile(tableFile)
	must(t, err)
	if string(got) != want {
		t.Errorf("%s is not what the tests do: go test ./internal/interop -run TestTable -update", tableFile)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString(tableHead)
	b.WriteString("| client | MQTT | transport |")
	for _, sc := range scenarios {
		fmt.Fprintf(&b, " %s |", sc.feature)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(scenarios)) + "\n")
	var notes []string
	for i := range clients {
		c := &clients[i]
		fmt.Fprintf(&b, "| %s | %s | %s |", c.name, versionNames[c.version], c.transport)
		for n := range scenarios {
			sc := &scenarios[n]
			switch {
			case c.has(sc):
				b.WriteString(" ✓ |")
			case c.version < sc.since:
				b.WriteString(" |")
			default:
				fmt.Fprintf(&b, " %s |", note(&notes, c.lacks[sc.feature]))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, text := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, text)
	}
	return b.String()
}

// note is the mark of a note, which is added to the list if it is new.
func note(notes *[]string, text string) string {
	for i, known := range *notes {
		if known == text {
			return fmt.Sprintf("(%d)", i+1)
		}
	}
	*notes = append(*notes, text)
	return fmt.Sprintf("(%d)", len(*notes))
}

const tableHead = `# Clients that Nightjar is tested with

None of these was written here. ` + "`make test`" + ` runs all of them against a broker of this tree; this page is made from
the tables of those tests (` + "`internal/interop`" + `), and a test fails when it is not up to date.

✓: tested on every run. Empty: this version of MQTT does not have it. A number: the client does not have it, see below.

- **QoS 0, 1, 2**: empty payload, 1 byte, UTF-8, 100 KiB; UTF-8 in the Topic Name.
- **burst**: 1,000 messages at QoS 2 at once, from one client and to another one, in order and once.
- **retained**: set, replaced, cleared.
- **will**: published when the connection breaks, not after DISCONNECT.
- **refusals**: Reason Code (before MQTT 5: return code) and Reason String of CONNACK, SUBACK and PUBACK, as far as the client tells them.
- **properties**: content type, response topic, correlation data, payload format, user properties, at each QoS.
- **topic aliases in** are the client's, **out** the broker's.
- **SIGTERM**, **kill -9**: messages that wait in a session at QoS 1 and 2, and retained ones, while the broker ends that way and
  starts again; the session is there, and all come once and in order.

`
