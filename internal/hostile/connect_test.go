package hostile

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/xdg-go/scram"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
	"nightjar/transports"
)

// connecting is the part of table B where everybody may connect.
var connecting = []row{
	{id: "B01", what: "protocol name", first: true, v3: "close", v5: "close or C:84", in: []string{
		"10 'MQTU' @ 02 003c {} 'p'", "10 'MQT' @ 02 003c {} 'p'", "10 '' @ 02 003c {} 'p'", "10 'MQTTT' @ 02 003c {} 'p'",
	}},
	{id: "B02", what: "protocol level that is older", first: true, v3: "C:01 or close", in: []string{"10 'MQTT' 02 02 003c 'p'", "10 'MQTT' 03 02 003c 'p'"}},
	{id: "B02", what: "protocol level that is newer", first: true, v5: "C:84", in: []string{"10 'MQTT' 06 02 003c 'p'", "10 'MQTT' ff 02 003c 'p'"}},
	{id: "B03", what: "reserved connect flag", first: true, in: []string{"10 'MQTT' @ 03 003c {} 'p'"}, v3: "close", v5: "C:81"},
	{id: "B04", what: "will QoS without a will", first: true, in: []string{"10 'MQTT' @ 0a 003c {} 'p'"}, v3: "close", v5: "C:81 or C:82"},
	{id: "B05", what: "will retain without a will", first: true, in: []string{"10 'MQTT' @ 22 003c {} 'p'"}, v3: "close", v5: "C:81 or C:82"},
	{id: "B06", what: "will QoS 3", first: true, in: []string{"10 'MQTT' @ 1e 003c {} 'p' {} 't' 'm'"}, v3: "close", v5: "C:81"},
	{id: "B07", what: "will that is not there", first: true, v3: "close", v5: "C:81", in: []string{
		"10 'MQTT' @ 06 003c {} 'p'", "10 'MQTT' @ 06 003c {} 'p' {} 't'",
	}},
	{id: "B08", what: "user name that is not there", first: true, in: []string{"10 'MQTT' @ 82 003c {} 'p'"}, v3: "close", v5: "C:81"},
	{id: "B09", what: "password without user name", first: true, in: []string{"10 'MQTT' @ 42 003c {} 'p' '" + canary + "'"}, v3: "close", v5: "C:00"},
	{id: "B10", what: "will topic with a wildcard or empty", first: true, v3: "close", v5: "C:90 or C:81", in: []string{
		"10 'MQTT' @ 06 003c {} 'p' {} 'a/#' 'm'", "10 'MQTT' @ 06 003c {} 'p' {} 'a/+' 'm'", "10 'MQTT' @ 06 003c {} 'p' {} '' 'm'",
	}},
	{id: "B11", what: "will topic that is nobody's", first: true, v3: "C:05", v5: "C:87 or C:90", in: []string{
		"10 'MQTT' @ 06 003c {} 'p' {} '$SYS/x' 'm'", "10 'MQTT' @ 06 003c {} 'p' {} '$CONTROL/x/v1' 'm'", "10 'MQTT' @ 06 003c {} 'p' {} '$share/g/t' 'm'",
	}, lines: 2}, // who may not publish where, and that the connection is refused
	{id: "B12", what: "will topic that is denied", first: true, in: []string{"10 'MQTT' @ 06 003c {} 'p' {} 'secret/x' 'm'"}, v3: "C:05", v5: "C:87", lines: 2},
	{id: "B13", what: "will payload over the limit", first: true, large: true, v3: "close", v5: "close", in: []string{ // departure
		"10 'MQTT' @ 06 003c {} 'p' {} 't' '" + strings.Repeat("m", 65535) + "'",
	}},
	{id: "B14", what: "will QoS or retain above the server's", missing: "Maximum QoS and Retain Available cannot be configured: all is served"},
	{id: "B15", what: "empty client identifier with a session", first: true, v3: "C:02", v5: "C:00", in: []string{"10 'MQTT' @ 00 003c {} ''"}},
	{id: "B16", what: "empty client identifiers, many", whole: true, script: func(x *run) {
		const many = 250
		x.quiet(2)
		have := x.Stats().Sessions
		for range many {
			c := x.dial()
			x.greet(c, "")
			if id := c.Connack.Properties.AssignedClientIdentifier; x.v >= packets.V5 && len(id) < 10 {
				x.t.Fatalf("assigned %q", id)
			}
		}
		if n := x.Stats().Sessions; n != have+many {
			x.t.Errorf("%d sessions, want %d", n, have+many)
		}
	}},
	bad17("B17a", "NUL", "a\x00b"), bad17("B17b", "surrogate", "a\xed\xa0\x80"), bad17("B17c", "overlong C0 80", "a\xc0\x80"),
	bad17("B17d", "overlong E0 80 AF", "a\xe0\x80\xaf"), bad17("B17e", "above U+10FFFF", "a\xf4\x90\x80\x80"),
	bad17("B17f", "five bytes", "a\xf8\x88\x80\x80\x80"), bad17("B17g", "cut short", "a\xe2\x82"), bad17("B17h", "lone continuation", "a\x80"),
	{id: "B18", what: "client identifier with control characters", first: true, v3: "C:02", v5: "C:85", in: []string{
		"10 'MQTT' @ 02 003c {} 'a\x01b'", "10 'MQTT' @ 02 003c {} 'a\x1f'", "10 'MQTT' @ 02 003c {} 'a\x7f'", "10 'MQTT' @ 02 003c {} 'a\u0080'",
		"10 'MQTT' @ 02 003c {} 'a\u009f'", "10 'MQTT' @ 02 003c {} 'a\ufffe'", "10 'MQTT' @ 02 003c {} 'a\uffff'",
	}},
	{id: "B19", what: "client identifier with a byte order mark", script: func(x *run) {
		plain := x.connect(x.id("p"))
		marked := x.connect("\ufeff" + x.id("p"))
		marked.Ping()
		plain.Ping() // it is another session
	}},
	{id: "B20", what: "client identifier of 64 KiB", first: true, large: true, v3: "close", v5: "close", in: []string{ // departure
		"10 'MQTT' @ 02 003c {} '" + strings.Repeat("p", 65535) + "'",
	}},
	{id: "B20", what: "client identifier of 60,000 bytes", first: true, large: true, v3: "C:02", v5: "C:85", in: []string{
		"10 'MQTT' @ 02 003c {} '" + strings.Repeat("p", 60000) + "'",
	}},
	{id: "B21", what: "keep alive over the server's", script: func(x *run) {
		for _, seconds := range []uint16{0, 65535} {
			c := x.connect(x.id("k"), mt.KeepAlive(seconds))
			if got := c.Connack.Properties.ServerKeepAlive; x.v >= packets.V5 && got != 64800 {
				x.t.Errorf("keep alive %d: server keep alive %d", seconds, got)
			}
			c.Disconnect()
		}
	}},
	{id: "B22", what: "property length over the packet", first: true, v5: "C:81", in: []string{"10 'MQTT' 05 02 003c 7f 'p'"}},
	{id: "B23", what: "property twice", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 02 003c {1100000001 1100000001} 'p'"}},
	{id: "B24", what: "Receive Maximum 0", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 02 003c {210000} 'p'"}},
	{id: "B25", what: "Maximum Packet Size 0", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 02 003c {2700000000} 'p'"}},
	{id: "B26", what: "Request Information 2", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 02 003c {1702} 'p'", "10 'MQTT' 05 02 003c {1902} 'p'"}},
	{id: "B27", what: "unknown property", first: true, v5: "C:81", in: []string{"10 'MQTT' 05 02 003c {7f01} 'p'", "10 'MQTT' 05 02 003c {0001} 'p'"}},
	{id: "B28", what: "property of another packet", first: true, v5: "C:81 or C:82", in: []string{"10 'MQTT' 05 02 003c {230001} 'p'"}},
	{id: "B29", what: "property length of five bytes", first: true, v5: "C:81", in: []string{"10 'MQTT' 05 02 003c 8080808001 'p'"}},
	{id: "B30", what: "Authentication Data alone", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 02 003c {16 'd'} 'p'"}},
	{id: "B31", what: "unknown Authentication Method", first: true, v5: "C:8C", in: []string{"10 'MQTT' 05 02 003c {15 'nope'} 'p'"}},
	{id: "B32", what: "60,000 User Properties", first: true, large: true, v5: "close", in: []string{ // departure
		"10 'MQTT' 05 02 003c {" + strings.Repeat("26 'a' 'b' ", 60000) + "} 'p'",
	}},
	{id: "B32", what: "User Properties over the limit, within the size", first: true, large: true, v5: "C:97 or C:95", in: []string{
		"10 'MQTT' 05 02 003c {" + strings.Repeat("26 'a' 'b' ", 9000) + "} 'p'",
	}},
	{id: "B33", what: "will property of another packet", first: true, v5: "C:81", in: []string{"10 'MQTT' 05 06 003c {} 'p' {230001} 't' 'm'"}},
	{id: "B33", what: "will property twice", first: true, v5: "C:82", in: []string{"10 'MQTT' 05 06 003c {} 'p' {1800000001 1800000001} 't' 'm'"}},
	{id: "B34", what: "expiry and delay without end", only: packets.V5, script: func(x *run) {
		c := x.connect(x.id("long"), mt.Resume(0xFFFFFFFF), mt.Will("will/x", "m", 0, mt.WillDelay(0xFFFFFFFF)))
		if got := c.Connack.Properties.SessionExpiryInterval; got != 7*24*3600 {
			x.t.Errorf("session expiry interval %d", got)
		}
		c.Disconnect()
		x.connect(x.id("long")).Disconnect() // ends the session
	}},
	{id: "B35", what: "client that takes two bytes", first: true, v5: "close", in: []string{"10 'MQTT' 05 02 003c {2700000002} 'p'"}},
	{id: "B38", what: "banned", missing: "there is no list of the banned yet"},
	{id: "B39", what: "quota of connections and sessions", whole: true, only: packets.V311, script: func(x *run) {
		x.quota("C:03", "C:97", func(c *broker.Config) { c.Limits.Sessions = 1 })
		x.quota("C:03", "C:89", func(c *broker.Config) { c.Limits.Connections = 1 })
	}},
	{id: "B40", what: "connect rate", whole: true, script: connectRate},
	{id: "B41", what: "short of memory", whole: true, moves: refused, script: func(x *run) {
		x.SetMemory(broker.PressureSoft)
		defer x.SetMemory(broker.PressureNone)
		x.ask(x.dial(), "10 'MQTT' @ 02 003c {} 'p'", "C:03", "C:89")
	}},
	{id: "B41", what: "store has failed", whole: true, only: packets.V311, script: func(x *run) {
		b := small(x, nil)
		b.Durable(0, errors.New("disk is gone"))
		for _, v := range versions {
			x.v = v
			x.ask(b.dialAs(x), "10 'MQTT' @ 02 003c {} 'p'", "C:03", "C:88")
		}
	}},
	{id: "B42", what: "JWT", missing: "there is no authentication by token yet"},
	{id: "B44", what: "passwords equal in 72 bytes", missing: "bcrypt is no password hash here: argon2id and PBKDF2 are, and they take all bytes"},
	{id: "B46", what: "line breaks and quotes in the identifier", first: true, v3: "C:02", v5: "C:85", in: []string{
		"10 'MQTT' @ 02 003c {} 'a\nlevel=info'", "10 'MQTT' @ 02 003c {} 'a\r\n\x1b[31m'",
	}},
	{id: "B46", what: "quotes in the identifier", first: true, v3: "C:00", v5: "C:00", in: []string{`10 'MQTT' @ 02 003c {} 'a","level":"INFO'`}},
}

// bad17 is a Client Identifier that is not UTF-8.
func bad17(id, what, name string) row {
	return row{id: id, what: "client identifier: " + what, first: true, in: []string{"10 'MQTT' @ 02 003c {} '" + name + "'"}, v3: "close or C:02", v5: "C:81 or C:85"}
}

// logins is the part of table B where passwords are asked for.
var logins = []row{
	{id: "B36", what: "wrong password and unknown user", moves: refused, script: func(x *run) {
		var said []string
		for _, user := range []string{"ann", "nobody"} {
			c := x.dial()
			c.SendConnect(x.id("b36"), mt.Login(user, canary+"-wrong"))
			a := mt.Expect[*packets.Connack](c)
			said = append(said, fmt.Sprint(token(a, x.v), " ", string(a.Properties.ReasonString)))
			c.ExpectClose()
		}
		if said[0] != said[1] {
			x.t.Errorf("%q and %q", said[0], said[1])
		}
		x.want(strings.Fields(said[0])[0], "C:04 or C:05", "C:86")
	}},
	{id: "B37", what: "no user name", first: true, v3: "C:05", v5: "C:87 or C:86", in: []string{
		"10 'MQTT' @ 02 003c {} 'p'", "10 'MQTT' @ 82 003c {} 'p' 'ann'",
	}},
	{id: "B37", what: "password alone", first: true, v5: "C:87 or C:86", in: []string{"10 'MQTT' 05 42 003c {} 'p' '" + canary + "'"}},
	{id: "E09", what: "AUTH with another method", only: packets.V5, moves: refused, script: func(x *run) {
		x.ask(x.exchange(), "f0 18 {15 'SCRAM-SHA-512'}", "", "C:82")
	}},
	{id: "E09", what: "AUTH with a wrong proof", only: packets.V5, moves: refused, script: func(x *run) {
		c := x.exchange()
		x.ask(c, "f0 18 {15 'SCRAM-SHA-256' 16 'c=biws,r=x,p="+canary+"'}", "", "C:87")
	}},
	{id: "E09", what: "AUTH that does not come", whole: true, only: packets.V5, moves: refused, script: func(x *run) {
		c := x.exchange()
		x.Clock.Advance(11 * time.Second)
		x.want(x.answers(c), "", "C:87")
	}},
	{id: "E09", what: "re-authentication that fails", only: packets.V5, moves: disconnects, script: func(x *run) {
		for _, data := range []string{"n,,n=bob,r=x", canary} {
			x.ask(x.proved(), "f0 19 {15 'SCRAM-SHA-256' 16 '"+data+"'}", "", "D:87")
		}
		x.ask(x.proved(), "f0 19 {15 'SCRAM-SHA-512'}", "", "D:82 or D:8C")
	}},
	{id: "B43", what: "session of another user", moves: refused, script: func(x *run) {
		for _, online := range []bool{true, false} {
			id := x.id(fmt.Sprint("victim", online))
			victim := x.connect(id, ann, mt.Resume(60))
			victim.Subscribe("t/"+id, 1)
			if !online {
				victim.Close()
				x.quiet(2)
			}
			for _, clean := range []bool{false, true} {
				c := x.dial()
				c.SendConnect(id, bob, mt.Resume(60), func(p *packets.Connect) { p.CleanStart = clean })
				x.want(x.answers(c), "C:05", "C:87")
			}
			if !online {
				victim = x.connect(id, ann, mt.Resume(60))
				if !victim.Connack.SessionPresent {
					x.t.Error("the victim's session is gone")
				}
			}
			victim.Publish("t/"+id, "x", 1)
			victim.Take("t/"+id, "x", 1)
			victim.Disconnect()
			x.connect(id, ann).Disconnect() // ends the session
		}
	}},
	{id: "B45", what: "flood of bad logins", whole: true, only: packets.V5, kinds: []string{"tcp", "wss"}, moves: refused, script: func(x *run) {
		x.connect(x.id("good"), ann).Disconnect() // is remembered from now on
		var wg sync.WaitGroup
		for i := range 40 {
			c := x.dial()
			c.SendConnect(x.id(fmt.Sprint("bad", i)), mt.Login("ann", fmt.Sprint(canary, i)))
			wg.Go(func() { _, _ = c.Next() })
		}
		began := time.Now()
		x.connect(x.id("good"), ann).Disconnect()
		if d := time.Since(began); d > 2*time.Second {
			x.t.Errorf("a good client took %v", d)
		}
		wg.Wait()
	}},
}

// small is a broker of a script's own.
func small(x *run, change func(*broker.Config)) *bench {
	x.t.Helper()
	return newBench(x.t, mt.Options{Config: change})
}

// dialAs opens a connection to b over the transport of the run.
func (b *bench) dialAs(x *run) *mt.Client {
	x.t.Helper()
	for _, e := range b.endpoints {
		if e.kind == x.e.kind {
			raw := e.dial(x.t, x.one)
			x.t.Cleanup(func() { raw.Close() })
			return mt.NewClient(x.t, x.v, raw)
		}
	}
	x.t.Fatal("no such endpoint")
	return nil
}

// quota connects one client too many, in both versions.
func (x *run) quota(v3, v5 string, change func(*broker.Config)) {
	x.t.Helper()
	b := small(x, change)
	for _, v := range versions {
		x.v = v
		first := b.dialAs(x)
		x.ask(first, "10 'MQTT' @ 02 003c {} 'first'", "C:00", "C:00")
		before := b.seen()
		second := b.dialAs(x)
		x.ask(second, "10 'MQTT' @ 02 003c {} 'second'", v3, v5)
		second.Close()
		if after := b.seen(); after.ConnectionsRefused != before.ConnectionsRefused+1 {
			x.t.Error("it is not counted")
		}
		first.Disconnect()
		b.WaitOffline(0)
	}
}

// connectRate is B40. Loopback is exempt from the rate, and so a PROXY header gives another address.
func connectRate(x *run) {
	b := small(x, func(c *broker.Config) { c.Limits.ConnectRate, c.Limits.ConnectBurst = 1, 1 })
	e := listen(x.t, b.Broker, x.e.kind, func(cfg *transports.ListenerConfig) {
		cfg.Proxy = &transports.ProxyConfig{Trusted: loopback}
	})
	e.header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n"
	got := map[string]int{}
	for range 4 {
		raw := e.dial(x.t, false)
		defer raw.Close()
		c := mt.NewClient(x.t, x.v, raw)
		_ = c.TryRaw(packets.AppendPingreq(encode("10 'MQTT' @ 02 003c {} 'p'", x.v)))
		got[x.answers(c)]++
	}
	want := "C:03"
	if x.v >= packets.V5 {
		want = "C:9F"
	}
	if got["C:00"] == 0 || got[want] == 0 || got["C:00"]+got[want] != 4 {
		x.t.Errorf("got %v, want some of C:00 and of %s", got, want)
	}
}

// exchange sends a CONNECT that names SCRAM-SHA-256, and takes the AUTH that answers it.
func (x *run) exchange() *mt.Client {
	x.t.Helper()
	c := x.dial()
	c.SendConnect(x.id("e09"), scramData("n,,n=ann,r=x"))
	mt.Expect[*packets.Auth](c)
	return c
}

func scramData(data string) func(*packets.Connect) {
	return mt.Properties(func(p *packets.Properties) {
		p.AuthenticationMethod, p.AuthenticationData = []byte("SCRAM-SHA-256"), []byte(data)
	}, packets.PropAuthenticationMethod, packets.PropAuthenticationData)
}

// proved connects by SCRAM.
func (x *run) proved() *mt.Client {
	x.t.Helper()
	known, err := scram.SHA256.NewClient("ann", canary+"-ann", "")
	must(x.t, err)
	talk := known.NewConversation()
	first, err := talk.Step("")
	must(x.t, err)
	c := x.dial()
	c.SendConnect(x.id("e09"), scramData(first))
	proof, err := talk.Step(string(mt.Expect[*packets.Auth](c).Properties.AuthenticationData))
	must(x.t, err)
	a := &packets.Auth{ReasonCode: packets.ContinueAuthentication}
	a.Properties.AuthenticationMethod, a.Properties.AuthenticationData = []byte("SCRAM-SHA-256"), []byte(proof)
	a.Properties.Present.Add(packets.PropAuthenticationMethod, packets.PropAuthenticationData)
	c.Send(a)
	if got := token(mt.Expect[*packets.Connack](c), x.v); got != "C:00" {
		x.t.Fatalf("CONNACK %s", got)
	}
	return c
}
