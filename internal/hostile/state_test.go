package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// others is table E.
var others = []row{
	{id: "E01", what: "packets of a server", in: []string{"20 0000 {}", "90 0001 {} 00", "b0 0001 {}", "d0"}, v3: "close", v5: "D:82"},
	{id: "E02", what: "type 0", in: []string{"=0ac0", "00", "01"}, v3: "close", v5: "D:81 or D:82"},
	{id: "E03", what: "PINGREQ with flags or a body", in: []string{"=c00100", "c1"}, v3: "close", v5: "D:81"},
	{id: "E04", what: "DISCONNECT with flags or a body", moves: wills, script: func(x *run) {
		for _, in := range []string{"=e100", "=e10100", "=e20100", "=e00100"} {
			if in == "=e00100" && x.v >= packets.V5 {
				continue // legal there
			}
			topic := x.id("e04")
			w := x.watch(topic)
			c := x.connect(x.id("c"), mt.Will(topic, "gone", 1))
			x.ask(c, in, "close", "D:81 or D:82")
			w.Take(topic, "gone", 1)
		}
	}},
	{id: "E05", what: "DISCONNECT that raises Session Expiry", in: []string{"e0 00 {1100000001}"}, v5: "D:82"},
	{id: "E06", what: "wills", script: willScript, moves: wills},
	{id: "E07", what: "bytes after DISCONNECT", script: func(x *run) {
		topic := x.id("e07")
		w := x.watch(topic)
		c := x.connect(x.id("c"))
		_ = c.TryRaw(append([]byte{0xE0, 0}, c.Encode(&packets.Publish{TopicName: []byte(topic)})...))
		c.ExpectClose()
		w.ExpectNothing()
	}, moves: closed},
	{id: "E08", what: "AUTH without a method", in: []string{"f0 18", "f0", "f0 18 {}"}, v3: "close", v5: "D:82"},
	{id: "E10", what: "silence past Keep Alive", whole: true, moves: wills, script: func(x *run) {
		topic := x.id("e10")
		w := x.watch(topic)
		c := x.connect(x.id("c"), mt.KeepAlive(10), mt.Will(topic, "gone", 1))
		x.Clock.Advance(14 * time.Second)
		c.Ping() // not yet
		x.Clock.Advance(16 * time.Second)
		c.ExpectDisconnect(packets.KeepAliveTimeout)
		w.Take(topic, "gone", 1)
	}},
	{id: "E11", what: "random bytes", whole: true, large: true, script: func(x *run) {
		for seed := range uint64(50) {
			rnd := rand.New(rand.NewPCG(seed, uint64(x.n)))
			c := x.e.dial(x.t, false)
			client := mt.NewClient(x.t, x.v, c)
			x.greet(client, x.id("random"))
			b := make([]byte, 4<<10)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			_ = c.write(b)
			c.finish()
			if _, err := io.Copy(io.Discard, c); err != nil {
				x.t.Fatalf("seed %d: %v", seed, err)
			}
			c.Close()
		}
	}},
	{id: "E12", what: "valid stream, cut everywhere", whole: true, script: cutEverywhere},
	{id: "E13", what: "half a connection, and a reset", moves: wills, script: func(x *run) {
		for _, end := range []func(*conn){(*conn).finish, (*conn).reset} {
			topic := x.id("e13")
			w := x.watch(topic)
			raw := x.e.dial(x.t, x.one)
			x.t.Cleanup(func() { raw.Close() })
			c := mt.NewClient(x.t, x.v, raw)
			x.greet(c, x.id("c"), mt.Will(topic, "gone", 1))
			c.Raw(encode("=307f 't'", x.v)) // the rest does not come
			end(raw)
			w.Take(topic, "gone", 1)
		}
	}},
	{id: "E14", what: "all first bytes", whole: true, script: firstBytes},
}

// willScript is E06.
func willScript(x *run) {
	topic := x.id("e06")
	w := x.watch(topic)
	id := x.id("c")
	will := mt.Will(topic, "gone", 1)
	c := x.connect(id, will)
	c.Disconnect()
	w.ExpectNothing()
	c = x.connect(id, will)
	c.Close()
	w.Take(topic, "gone", 1)
	c = x.connect(id, will)
	taker := x.connect(id)
	c.ExpectDisconnect(packets.SessionTakenOver)
	w.Take(topic, "gone", 1)
	taker.Disconnect()
	if x.v < packets.V5 {
		return
	}
	c = x.connect(id, will)
	c.Send(&packets.Disconnect{ReasonCode: packets.DisconnectWithWill})
	c.ExpectClose()
	w.Take(topic, "gone", 1)
	c = x.connect(id, mt.Resume(600), mt.Will(topic, "late", 1, mt.WillDelay(60)))
	c.Close()
	w.ExpectNothing()
	x.connect(id, mt.Resume(600)).Close() // in time: the will is not published
	x.Clock.Advance(61 * time.Second)
	w.ExpectNothing()
	x.connect(id, mt.Resume(600), mt.Will(topic, "late", 1, mt.WillDelay(60))).Close()
	x.quiet(3)
	x.Clock.Advance(61 * time.Second)
	w.Take(topic, "late", 1)
	x.connect(id).Disconnect()
}

// cutEverywhere is E12: the answers to a stream do not depend on how it is cut.
func cutEverywhere(x *run) {
	topic := x.id("e12")
	text := []string{"10 'MQTT' @ 02 003c {} '" + x.id("cut") + "'", "82 0001 {} '" + topic + "' 02"}
	for i := range 3 {
		text = append(text, fmt.Sprintf(`3%d '%s' %s {} "%s"`, 2*i, topic, []string{"", "0002", "0003"}[i], strings.Repeat("x", 10)))
	}
	text = append(text, "62 0003", "a2 0004 {} '"+topic+"'")
	var stream []byte
	for _, s := range text {
		stream = append(stream, encode(s, x.v)...)
	}
	stream = append(stream, pingreq...)
	want := "C:00 S:02 M:" + topic + " A:00 M:" + topic + " R:00 M:" + topic + " P:00 U:"
	if x.v >= packets.V5 {
		want += "00"
	}
	try := func(how string, write func(c *conn)) {
		c := x.e.dial(x.t, false)
		defer c.Close()
		write(c)
		if got := sorted(x.answers(mt.NewClient(x.t, x.v, c))); got != sorted(want) {
			x.t.Fatalf("%s: got %s, want %s", how, got, want)
		}
	}
	try("whole", func(c *conn) { _, _ = c.Write(stream) })
	try("byte by byte", func(c *conn) { c.one = true; _, _ = c.Write(stream) })
	for at := 1; at < len(stream); at++ {
		try(fmt.Sprint("cut at ", at), func(c *conn) { _, _ = c.Write(stream[:at]); _, _ = c.Write(stream[at:]) })
	}
	c := x.e.dial(x.t, false)
	defer c.Close()
	client := mt.NewClient(x.t, x.v, c)
	x.greet(client, x.id("many"))
	var many []byte
	for i := range 1000 {
		many = append(many, encode(fmt.Sprintf("32 '%s' %04x {}", topic, i+1), x.v)...)
	}
	client.Raw(many)
	for i := range 1000 {
		client.ExpectAck(packets.PUBACK, uint16(i+1))
	}
}

// sorted puts the answers in an order that does not depend on whether a message to a client comes before or after the
// answer to what it has published itself.
func sorted(answers string) string {
	var messages, rest []string
	for _, s := range strings.Fields(answers) {
		if strings.HasPrefix(s, "M:") {
			messages = append(messages, s)
		} else {
			rest = append(rest, s)
		}
	}
	return strings.Join(append(rest, messages...), " ")
}

// firstBytes is E14. What is legal, and the answers, internal/vectors holds in the same way; here each transport must
// say the same.
func firstBytes(x *run) {
	body := append([]byte{0, 1, 'a', 0, 7, 0}, strings.Repeat("a", 121)...)
	open := map[[2]byte]bool{{0x40, 2}: true, {0x50, 2}: true, {0x62, 2}: true, {0x70, 2}: true, {0xC0, 0}: true}
	for _, first := range []byte{0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B, 0x34, 0x35, 0x3C, 0x3D} {
		open[[2]byte{first, 127}] = true
	}
	for first := range 256 {
		for i, length := range []byte{0, 1, 2, 127} {
			if x.e.kind != "tcp" && first%4 != i {
				continue // a quarter of them
			}
			frame := append([]byte{byte(first), length}, body[:length]...)
			for _, greet := range []bool{false, true} {
				c := x.e.dial(x.t, false)
				client := mt.NewClient(x.t, x.v, c)
				if greet {
					x.greet(client, x.id("first"))
				}
				_ = c.write(append(frame, pingreq...))
				got := x.answers(client)
				closes := strings.HasSuffix(got, "close") || strings.HasPrefix(got, "D:")
				if legal := greet && open[[2]byte{byte(first), length}]; closes == legal {
					x.t.Errorf("%x, after CONNECT %v: %s", frame, greet, got)
				}
				c.Close()
			}
		}
	}
}
