package hostile

import (
	"bytes"
	"io"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
	"nightjar/transports"
)

// limits are the defaults, but for what the cases assume.
func limits(c *broker.Config) {
	c.Limits.TopicAliases = 10
	c.CheckPayloadFormat = true
	c.SysInterval = 100 * time.Millisecond
}

// rules are those of tables without users: everybody may do everything but what is here.
const rules = `
topic readwrite #
topic deny never
topic deny secret/#
`

// userRules are those of tables with users.
const userRules = `
user control
topic read never
topic readwrite control
topic readwrite t/#
topic readwrite will/#
user ann
topic readwrite a/#
topic readwrite t/#
topic readwrite will/#
user bob
topic read a/#
topic read t/#
topic deny a/secret/#
pattern readwrite dev/%c/#
`

var (
	users  = map[string]string{"control": canary, "ann": canary + "-ann", "bob": canary + "-bob", "adm": canary + "-adm"}
	admins = []string{"adm"}

	ann = mt.Login("ann", canary+"-ann")
	bob = mt.Login("bob", canary+"-bob")
	adm = mt.Login("adm", canary+"-adm")
)

// framing is table A. Its broker wants passwords, so that a plain CONNECT of the list is followed by a refusal.
var framing = []row{
	{id: "A01", what: "nothing is sent", whole: true, moves: refused, script: func(x *run) {
		c := x.dial()
		x.accepted()
		x.Clock.Advance(9 * time.Second)
		x.Clock.Advance(2 * time.Second)
		c.ExpectClose()
	}},
	{id: "A02", what: "CONNECT in drops", whole: true, moves: refused, script: func(x *run) {
		c := x.dial()
		x.accepted()
		b := encode("10 'MQTT' @ 02 003c {} 'p'", x.v)
		for at := 0; at < 11; at++ { // one each second: the deadline is never put off
			_ = c.TryRaw(b[at : at+1])
			x.Clock.Advance(time.Second)
		}
		c.ExpectClose()
	}},
	{id: "A03", what: "CONNECT of 256 MiB, from many", whole: true, large: true, moves: refused, script: func(x *run) {
		var list []*conn
		for range 250 {
			c := x.e.dial(x.t, false)
			defer c.Close()
			must(x.t, c.write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}))
			list = append(list, c)
		}
		for _, c := range list {
			x.gone(c)
		}
	}},
	{id: "A04", what: "huge packet of another type first", whole: true, large: true, moves: refused, script: func(x *run) {
		for kind := byte(0x20); kind != 0; kind += 0x10 {
			c := x.e.dial(x.t, false)
			junk := bytes.Repeat([]byte{1}, 64<<10)
			err := c.write([]byte{kind, 0x80, 0x80, 0x80, 0x74})
			for range 64 { // 4 MB
				if err != nil {
					break
				}
				err = c.write(junk)
			}
			x.gone(c)
			c.Close()
		}
	}},
	{id: "A05", what: "PINGREQ first", first: true, in: []string{"c0"}, v3: "close", v5: "close"},
	{id: "A06", what: "acknowledgement first", first: true, in: []string{"40 0001", "50 0001", "62 0001", "70 0001"}, v3: "close", v5: "close"},
	{id: "A07", what: "PUBLISH, SUBSCRIBE, UNSUBSCRIBE first", first: true, v3: "close", v5: "close", in: []string{
		`30 'never' {} "x"`, "82 0001 {} 'a' 00", "a2 0001 {} 'a'",
	}},
	{id: "A08", what: "DISCONNECT first", first: true, in: []string{"e0"}, v3: "close", v5: "close"},
	{id: "A09", what: "AUTH first", first: true, in: []string{"f0"}, v3: "close", v5: "close"},
	{id: "A10", what: "type 0 first", first: true, in: []string{"00", "01", "02", "04", "08"}, v3: "close", v5: "close"},
	{id: "A11", what: "remaining length of five bytes", first: true, in: []string{"=10ffffffff7f"}, v3: "close", v5: "close"},
	{id: "A12", what: "remaining length that is not minimal", first: true, in: []string{"=108d00 'MQTT' @ 02 003c 'p'", "=108e00 'MQTT' @ 02 003c {} 'p'"}, v3: "close", v5: "close or C:81"},
	{id: "A13", what: "CONNECT cut short", first: true, v3: "close", v5: "C:81", in: []string{
		"=1007 'MQTT' @ c2 003c 00 01 70 00 05 61646d696e 00 02 7077",
	}},
	{id: "A14", what: "end within CONNECT", moves: closed, script: func(x *run) {
		raw := x.e.dial(x.t, x.one)
		defer raw.Close()
		_, err := raw.Write(encode("=1040 'MQTT' @ 02 003c {} 'p'", x.v))
		must(x.t, err)
		raw.finish()
		x.gone(raw)
	}},
	{id: "A15", what: "CONNECT with a byte too many", first: true, in: []string{"10 'MQTT' @ 02 003c {} 'p' 00"}, v3: "close", v5: "C:81"},
	{id: "A16", what: "second CONNECT", moves: wills, script: func(x *run) {
		topic := "will/" + x.id("a16")
		w := x.watch(topic)
		c := x.connect(x.id("twice"), ann, mt.Will(topic, "gone", 1))
		x.ask(c, "10 'MQTT' @ 02 003c {} 'p'", "close", "D:82")
		w.Take(topic, "gone", 1)
	}},
	{id: "A17", what: "HTTP", first: true, kinds: []string{"tcp", "tls"}, in: []string{`="GET / HTTP/1.1` + "\r\n\r\n\""}, v3: "close", v5: "close"},
	{id: "A18", what: "TLS ClientHello in place of CONNECT", first: true, in: []string{"=1603010200"}, v3: "close", v5: "close"},
	{id: "A19", what: "no TLS where there is to be", whole: true, kinds: []string{"tls", "wss"}, moves: handshakes, script: func(x *run) {
		c := x.e.socket(x.t)
		defer c.Close()
		_, err := c.Write(encode("10 'MQTT' @ 02 003c {} 'p'", x.v))
		must(x.t, err)
		_, err = io.ReadAll(&conn{Conn: c, raw: c}) // an alert, and the end
		must(x.t, err)
	}},
	{id: "A20", what: "silence within the TLS handshake, of many", whole: true, large: true, kinds: []string{"tls", "wss"}, script: slowHandshakes},
	{id: "A21", what: "PROXY header where none is expected", first: true, kinds: []string{"tcp", "tls"}, v3: "close", v5: "close", in: []string{
		"=\"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\"", "=0d0a0d0a000d0a515549540a2111000c01020304050607080001075b",
	}},
	{id: "A22", what: "CONNECT with a bad password and more", script: func(x *run) {
		w := x.watch("t/" + x.id("a22"))
		c := x.dial()
		p := &packets.Connect{Version: x.v, CleanStart: true, ClientID: []byte(x.id("bad"))}
		mt.Login("ann", canary+"-wrong")(p)
		topic := []byte("t/" + x.id("a22"))
		c.Send(p, &packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: topic}}}, &packets.Publish{TopicName: topic, Retain: true})
		x.want(x.answers(c), "C:04 or C:05", "C:86")
		w.ExpectNothing()
		if x.Stats().RetainedMessages > 0 {
			x.t.Error("the message is retained")
		}
	}, moves: refused},
	{id: "A23", what: "CONNECT with a good password and more", script: func(x *run) {
		c := x.dial()
		p := &packets.Connect{Version: x.v, CleanStart: true, ClientID: []byte(x.id("good"))}
		ann(p)
		topic := []byte("t/" + x.id("a23"))
		c.Send(p, &packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: topic}}}, &packets.Publish{TopicName: topic, Payload: []byte("x"), QoS: 1, PacketID: 2})
		mt.Expect[*packets.Connack](c)
		mt.Expect[*packets.Suback](c)
		c.ExpectAck(packets.PUBACK, 2)
		c.Receive(string(topic), "x", 0)
	}},
	{id: "A24", what: "flags of CONNECT", first: true, v3: "close", v5: "C:81 or close", in: []string{
		"11 'MQTT' @ 02 003c {} 'p'", "12 'MQTT' @ 02 003c {} 'p'", "14 'MQTT' @ 02 003c {} 'p'", "18 'MQTT' @ 02 003c {} 'p'", "1f 'MQTT' @ 02 003c {} 'p'",
	}},
}

// accepted waits until the broker has the connection that was just opened.
func (x *run) accepted() {
	x.t.Helper()
	eventually(x.t, "the connection", func() bool { return x.Stats().Connections > 2 })
}

// quiet waits until only so many connections are left; the control pair has two.
func (x *run) quiet(left int) {
	x.t.Helper()
	eventually(x.t, "the end of other connections", func() bool { return x.Stats().Connections == left })
}

// gone wants that the broker closes the connection, and says nothing before.
func (x *run) gone(c *conn) {
	x.t.Helper()
	must(x.t, c.raw.SetReadDeadline(time.Now().Add(mt.Patience)))
	b, err := io.ReadAll(c)
	if err != nil || len(b) > 0 {
		x.t.Fatalf("got %x, %v in place of the end", b, err)
	}
}

// slowHandshakes is A20. The handshake's deadline is one of real time, and so a short one.
func slowHandshakes(x *run) {
	e := listen(x.t, x.Broker, x.e.kind, func(cfg *transports.ListenerConfig) { cfg.HandshakeTimeout = 300 })
	var list []*conn
	for range 250 {
		raw := e.socket(x.t)
		defer raw.Close()
		_, err := raw.Write([]byte{0x16, 3, 1, 2, 0})
		must(x.t, err)
		list = append(list, &conn{Conn: raw, raw: raw})
	}
	// Meanwhile others come in.
	good := mt.NewClient(x.t, x.v, e.dial(x.t, false))
	defer good.Close()
	x.greet(good, x.id("good"))
	for _, c := range list {
		_, err := io.ReadAll(c)
		must(x.t, err)
	}
	if n := e.listener.Refused(); n != 250 {
		x.t.Errorf("%d handshakes are counted as refused", n)
	}
}
