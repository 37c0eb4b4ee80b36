package client

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nightjar/packets"

	"github.com/eclipse/paho.golang/paho"

	packets5 "github.com/eclipse/paho.golang/packets"
)

// peer is a server that says what a test wants, for the refusals that Mosquitto never gives.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// serve accepts one connection, reads its CONNECT and runs script. It returns the flags that lead to it.
func serve(t *testing.T, script func(p *peer)) []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := &peer{t, conn}
		p.expect(packets.CONNECT)
		script(p)
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return []string{"-h", "127.0.0.1", "-p", port}
}

// expect reads one packet and returns its body.
func (p *peer) expect(want packets.Type) []byte {
	header := make([]byte, 2)
	if _, err := io.ReadFull(p.conn, header); err != nil {
		p.t.Errorf("read %v: %v", want, err)
		return nil
	}
	if got := packets.Type(header[0] >> 4); got != want {
		p.t.Errorf("got %v, want %v", got, want)
	}
	body := make([]byte, header[1]) // every packet here is shorter than 128 bytes
	_, _ = io.ReadFull(p.conn, body)
	return body
}

func (p *peer) send(bytes ...byte) { _, _ = p.conn.Write(bytes) }

func (p *peer) write(w io.WriterTo) { _, _ = w.WriteTo(p.conn) }

func (p *peer) drain() { _, _ = io.Copy(io.Discard, p.conn) }

var accepted5 = &packets5.Connack{Properties: &packets5.Properties{}}

func reason(text string) *packets5.Properties { return &packets5.Properties{ReasonString: text} }

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		script func(p *peer)
		want   string
	}{
		{"connack 3", "pub -V 311 -t a -m x", func(p *peer) { p.send(0x20, 2, 0, 2) }, "connection refused: client identifier rejected (0x02)"},
		{"connack 3, unknown", "pub -V 311 -t a -m x", func(p *peer) { p.send(0x20, 2, 0, 0x63) }, "connection refused: reason code 0x63 (0x63)"},
		{"connack 5", "pub -V 5 -t a -m x", func(p *peer) {
			p.write(&packets5.Connack{ReasonCode: 0x9D, Properties: &packets5.Properties{ReasonString: "gone north", ServerReference: "north:1883"}})
		}, "connection refused: server moved (0x9D): gone north [the server points to north:1883]"},
		{"not authorized", "sub -V 5 -t a", func(p *peer) {
			p.write(&packets5.Connack{ReasonCode: 0x87, Properties: reason("not on Sundays")})
		}, "connection refused: not authorized (0x87): not on Sundays"},
		{"no answer", "pub -V 311 -t a -m x --answer-timeout 50ms", (*peer).drain, "no answer within 50ms"},
		{"no answer 5", "pub -V 5 -t a -m x --answer-timeout 50ms", (*peer).drain, "no answer within 50ms"},
		{"hang up", "pub -V 311 -t a -m x", func(*peer) {}, "closed the connection instead of answering"},
		{"hang up 5", "pub -V 5 -t a -m x", func(*peer) {}, "closed the connection instead of answering"},
		{"puback", "pub -V 5 -t a -m x -q 1", func(p *peer) {
			p.write(accepted5)
			p.expect(packets.PUBLISH)
			p.write(&packets5.Puback{PacketID: 1, ReasonCode: 0x97, Properties: reason("1 per day")})
			p.drain()
		}, "publish refused: quota exceeded (0x97): 1 per day"},
		{"pubrec", "pub -V 5 -t a -m x -q 2", func(p *peer) {
			p.write(accepted5)
			p.expect(packets.PUBLISH)
			p.write(&packets5.Pubrec{PacketID: 1, ReasonCode: 0x87, Properties: reason("")})
			p.drain()
		}, "publish refused: not authorized (0x87)"},
		{"no puback", "pub -V 5 -t a -m x -q 1 --answer-timeout 100ms", func(p *peer) { p.write(accepted5); p.drain() }, "did not acknowledge within 100ms"},
		{"no puback 3", "pub -V 311 -t a -m x -q 1 --answer-timeout 100ms", func(p *peer) { p.send(0x20, 2, 0, 0); p.drain() }, "did not acknowledge within 100ms"},
		{"lost before puback", "pub -V 5 -t a -m x -q 1", func(p *peer) { p.write(accepted5); p.expect(packets.PUBLISH) }, "connection lost"},
		{"lost before puback 3", "pub -V 311 -t a -m x -q 1", func(p *peer) { p.send(0x20, 2, 0, 0); p.expect(packets.PUBLISH) }, "connection lost"},
		{"maximum qos", "pub -V 5 -t a -m x -q 2", func(p *peer) {
			p.write(&packets5.Connack{Properties: &packets5.Properties{MaximumQOS: paho.Byte(1)}})
			p.drain()
		}, "the server takes QoS 1 at most, use -q 1"},
		{"no retain", "pub -V 5 -t a -m x -r", func(p *peer) {
			p.write(&packets5.Connack{Properties: &packets5.Properties{RetainAvailable: paho.Byte(0)}})
			p.drain()
		}, "keeps no retained messages"},
		{"suback", "sub -V 5 -t a -t b", func(p *peer) {
			p.write(accepted5)
			p.expect(packets.SUBSCRIBE)
			p.write(&packets5.Suback{PacketID: 1, Reasons: []byte{0x87, 0x8F}, Properties: reason("see the rules")})
			p.drain()
		}, `subscription to "b" refused: topic filter invalid (0x8F): see the rules`},
		{"suback 3", "sub -V 311 -t a", func(p *peer) {
			p.send(0x20, 2, 0, 0)
			p.expect(packets.SUBSCRIBE)
			p.send(0x90, 3, 0, 1, 0x80)
			p.drain()
		}, `subscription to "a" refused: failure (0x80)`},
		{"no suback", "sub -V 5 -t a --answer-timeout 100ms", func(p *peer) { p.write(accepted5); p.drain() }, "did not answer the subscription within 100ms"},
		{"no suback 3", "sub -V 311 -t a --answer-timeout 100ms", func(p *peer) { p.send(0x20, 2, 0, 0); p.drain() }, "did not answer the subscription within 100ms"},
		{"lost before suback", "sub -V 5 -t a", func(p *peer) { p.write(accepted5); p.expect(packets.SUBSCRIBE) }, "connection lost"},
		{"lost before suback 3", "sub -V 311 -t a", func(p *peer) { p.send(0x20, 2, 0, 0); p.expect(packets.SUBSCRIBE) }, "connection lost"},
		{"taken over", "sub -V 5 -t a", func(p *peer) {
			p.write(accepted5)
			p.expect(packets.SUBSCRIBE)
			p.write(&packets5.Suback{PacketID: 1, Reasons: []byte{0}, Properties: reason("")})
			p.write(&packets5.Disconnect{ReasonCode: 0x8E, Properties: reason("another me")})
		}, "disconnected by the server: session taken over (0x8E): another me"},
		{"lost", "sub -V 311 -t a", func(p *peer) {
			p.send(0x20, 2, 0, 0)
			p.expect(packets.SUBSCRIBE)
			p.send(0x90, 3, 0, 1, 0)
		}, "connection lost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr := run(t, exitFailure, append(strings.Fields(tt.args), serve(t, tt.script)...)...)
			contains(t, stderr, tt.want)
		})
	}
}

// One refused filter of two is told, and the other one works.
func TestPartlyRefused(t *testing.T) {
	server := serve(t, func(p *peer) {
		p.write(accepted5)
		p.expect(packets.SUBSCRIBE)
		p.write(&packets5.Suback{PacketID: 1, Reasons: []byte{0x87, 0}, Properties: reason("")})
		p.send(0x30, 5, 0, 1, 'b', 0, '!')
		p.drain()
	})
	stdout, stderr := run(t, 0, append(server, "sub", "-V", "5", "-t", "a", "-t", "b", "-C", "1")...)
	contains(t, stderr, `subscription to "a" refused: not authorized (0x87)`)
	if stdout != "!\n" {
		t.Errorf("got %q", stdout)
	}
}

// A server that asks for more gets the authentication data once more, and the reply decides.
func TestAuthenticationMethod(t *testing.T) {
	server := serve(t, func(p *peer) {
		p.write(&packets5.Auth{ReasonCode: 0x18, Properties: &packets5.Properties{AuthMethod: "M"}})
		if body := string(p.expect(packets.AUTH)); !strings.Contains(body, "token") {
			t.Errorf("AUTH holds %q", body)
		}
		p.write(&packets5.Connack{Properties: &packets5.Properties{AuthMethod: "M"}})
		p.drain()
	})
	args := []string{"pub", "-t", "a", "-m", "x", "-D", "connect", "authentication-method", "M", "-D", "connect", "authentication-data", "token"}
	run(t, 0, append(args, server...)...)
}

// A server may shorten topics with aliases once the client has allowed it.
func TestIncomingTopicAlias(t *testing.T) {
	server := serve(t, func(p *peer) {
		p.write(accepted5)
		p.expect(packets.SUBSCRIBE)
		p.write(&packets5.Suback{PacketID: 1, Reasons: []byte{0}, Properties: reason("")})
		p.send(0x30, 8, 0, 1, 'b', 3, 0x23, 0, 1, '1')
		p.send(0x30, 7, 0, 0, 3, 0x23, 0, 1, '2')
		p.drain()
	})
	args := append([]string{"sub", "-t", "b", "-C", "2", "-F", "%t %A %p", "-D", "connect", "topic-alias-maximum", "1"}, server...)
	if stdout, _ := run(t, 0, args...); stdout != "b 1 1\nb 1 2\n" {
		t.Errorf("got %q", stdout)
	}
}

// A writer that breaks ends the run.
func TestBrokenOutput(t *testing.T) {
	m := broker(t)
	for _, version := range versions {
		p := &program{t: t, code: make(chan int, 1)}
		p.err.changed = make(chan struct{}, 1)
		cmd := root()
		cmd.SetArgs([]string{"sub", "-d", "-p", m.tcp, "-V", version, "-t", "TestBrokenOutput"})
		cmd.SetOut(brokenWriter{})
		cmd.SetErr(&p.err)
		go func() { p.code <- exitCode(cmd.ExecuteContext(t.Context())) }()
		p.err.await(t, "received SUBACK")
		run(t, 0, "pub", "-p", m.tcp, "-t", "TestBrokenOutput", "-m", "x")
		_, stderr := p.ends(exitFailure)
		contains(t, stderr, "print message: disk full")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errDiskFull }

const errDiskFull = fault("disk full")

type fault string

func (f fault) Error() string { return string(f) }

func TestWebSocketRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, stderr := run(t, exitFailure, "pub", "--url", "ws"+strings.TrimPrefix(server.URL, "http")+"/wrong", "-t", "a", "-m", "x")
	contains(t, stderr, "/wrong", "404 Not Found")
}

// An interrupt waits for what was sent, and says that there was more.
func TestInterruptedWhileWaitingForALine(t *testing.T) {
	m := broker(t)
	each(t, func(t *testing.T, version, topic string) {
		stdin, writer := io.Pipe()
		defer writer.Close()
		p := start(t, stdin, "pub", "-d", "-p", m.tcp, "-V", version, "-t", topic, "-l", "-q", "1")
		if _, err := io.WriteString(writer, "one\n"); err != nil {
			t.Fatal(err)
		}
		p.err.await(t, "received PUBACK")
		p.cancel()
		_, stderr := p.ends(exitFailure)
		contains(t, stderr, "interrupted before everything was sent", "sending DISCONNECT")
	})
}

// Standard input that never ends does not keep a publisher that has lost its connection.
func TestLostWhileWaitingForALine(t *testing.T) {
	for version, accept := range map[string]func(p *peer){
		"311": func(p *peer) { p.send(0x20, 2, 0, 0) },
		"5":   func(p *peer) { p.write(accepted5) },
	} {
		stdin, writer := io.Pipe()
		server := serve(t, accept)
		p := start(t, stdin, append([]string{"pub", "-V", version, "-t", "a", "-l"}, server...)...)
		_, stderr := p.ends(exitFailure)
		contains(t, stderr, "connection lost")
		writer.Close()
	}
}
