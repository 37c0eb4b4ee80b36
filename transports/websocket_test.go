package transports_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"nightjar/transports"
)

// request is a good WebSocket request, for tests to break.
const request = "GET /mqtt HTTP/1.1\r\nHost: broker.example:8083\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// rawDial connects without any handshake.
func (b *bench) rawDial() net.Conn {
	b.test.Helper()
	c, err := net.Dial("tcp", b.listener.Addr().String())
	must(b.test, err)
	_ = c.SetDeadline(time.Now().Add(patience))
	b.test.Cleanup(func() { c.Close() })
	return c
}

// ask sends a request and returns the answer.
func ask(t *testing.T, c net.Conn, request string) (*http.Response, *bufio.Reader) {
	t.Helper()
	go io.WriteString(c, request) // the answer may come before all is sent
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, nil)
	must(t, err)
	return r, br
}

func replaced(old, replacement string) string {
	if !strings.Contains(request, old) {
		panic(old)
	}
	return strings.Replace(request, old, replacement, 1)
}

func TestWebSocketRequests(t *testing.T) {
	b := startWith(t, 2, "ws", func(lc *transports.ListenerConfig) {
		lc.WebSocket.AllowedOrigins = []string{"https://app.example", "other.example", "http://port.example:3000"}
	}, nil)
	origin := func(o string) string { return replaced("\r\n\r\n", "\r\nOrigin: "+o+"\r\n\r\n") }
	many := strings.Repeat("X: y\r\n", 10_000)
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"good", request, 101},
		{"W01 no subprotocol", replaced("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400},
		{"W01 other subprotocol", replaced("Protocol: mqtt", "Protocol: chat, soap"), 400},
		{"W01 one of several", replaced("Protocol: mqtt", "Protocol: chat,  mqtt"), 101},
		{"W01 MQTT 3.1", replaced("Protocol: mqtt", "Protocol: mqttv3.1"), 101},
		{"W02 own host", origin("http://broker.example:8083"), 101},
		{"W02 own host at another port", origin("https://BROKER.example"), 101},
		{"W02 foreign", origin("https://evil.example"), 403},
		{"W02 like ours", origin("https://broker.example.evil.example"), 403},
		{"W02 null", origin("null"), 403},
		{"W02 not a URL", origin("http://[::1"), 403},
		{"W02 two", origin("https://app.example\r\nOrigin: https://evil.example"), 403},
		{"W02 allowed", origin("https://app.example"), 101},
		{"W02 allowed with another scheme", origin("http://app.example"), 403},
		{"W02 allowed host", origin("http://other.example:99"), 101},
		{"W02 allowed port", origin("http://port.example:3000"), 101},
		{"W02 other port", origin("http://port.example:3001"), 403},
		{"W03 version", replaced("Version: 13", "Version: 12"), 426},
		{"W03 no version", replaced("Sec-WebSocket-Version: 13\r\n", ""), 426},
		{"W03 no upgrade", replaced("Upgrade: websocket\r\n", ""), 426},
		{"W03 key", replaced("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400},
		{"W03 no key", replaced("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400},
		{"W03 method", replaced("GET", "POST"), 400},
		{"W03 HTTP/1.0", replaced("HTTP/1.1", "HTTP/1.0"), 400},
		{"W03 HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"W03 no host", replaced("Host: broker.example:8083\r\n", ""), 400},
		{"W10 deflate", replaced("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), 101},
		{"W15 other path", replaced("/mqtt", "/"), 404},
		{"W15 longer path", replaced("/mqtt", "/mqtt/"), 404},
		{"W15 query", replaced("/mqtt", "/mqtt?x=y"), 101},
		{"W16 large header", replaced("\r\n\r\n", "\r\nBaggage: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"), 431},
		{"W16 many headers", replaced("\r\n\r\n", "\r\n"+many+"\r\n"), 431},
		{"W16 just small enough", replaced("\r\n\r\n", "\r\nX: "+strings.Repeat("x", 8192-len(request)-5)+"\r\n\r\n"), 101},
		{"W17 lengths", replaced("\r\n\r\n", "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
		{"W17 chunked", replaced("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
		{"W17 body", replaced("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"), 400},
		{"W17 bare LF", replaced("Upgrade\r\n", "Upgrade\n"), 400},
		{"W17 data before the answer", request + "\x82\x80aaaa", 400},
		{"not HTTP", "\x10\x10\x00\x04MQTT\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := ask(t, b.rawDial(), tt.request)
			if r.StatusCode != tt.status {
				t.Fatalf("status is %s, not %d", r.Status, tt.status)
			}
			if r.StatusCode == 101 && (!strings.HasPrefix(r.Header.Get("Sec-Websocket-Protocol"), "mqtt") || r.Header.Get("Sec-Websocket-Extensions") != "") {
				t.Errorf("answer is %v", r.Header)
			}
			if r.StatusCode == 426 && r.Header.Get("Sec-Websocket-Version") != "13" {
				t.Errorf("answer is %v", r.Header)
			}
			if r.StatusCode != 101 {
				if text, err := io.ReadAll(r.Body); err != nil || len(text) == 0 {
					t.Errorf("reason is %q, %v", text, err)
				}
			}
		})
	}
	if b.listener.Refused() < 20 {
		t.Errorf("%d refusals are counted", b.listener.Refused())
	}
}

func TestWebSocketEveryOrigin(t *testing.T) {
	b := startWith(t, 2, "ws", func(lc *transports.ListenerConfig) { lc.WebSocket.AllowedOrigins = []string{"*"} }, nil)
	if r, _ := ask(t, b.rawDial(), replaced("\r\n\r\n", "\r\nOrigin: null\r\n\r\n")); r.StatusCode != 101 {
		t.Error(r.Status)
	}
}

// TestWebSocketSlowRequest is W16 with a peer that does not come to an end.
func TestWebSocketSlowRequest(t *testing.T) {
	b := startWith(t, 2, "ws", func(lc *transports.ListenerConfig) { lc.HandshakeTimeout = 100 }, nil)
	if r, _ := ask(t, b.rawDial(), "GET /mqtt HTTP/1.1\r\nHost: "); r.StatusCode != 408 {
		t.Error(r.Status)
	}
}

// TestWebSocketFrames sends frames as hexadecimal digits; the mask is 00000000. It expects the
// echo of the payloads, and then a close code, or none for 0.
func TestWebSocketFrames(t *testing.T) {
	b := start(t, 2, "ws", nil)
	ping := "898000000000"
	for _, tt := range []struct {
		name, frames, echo string
		code               int
	}{
		{"binary", "828200000000c000", "c000", 0},
		{"W04 unmasked", "8202c000", "", 1002},
		{"W05 text", "818200000000c000", "", 1003},
		{"W05 text after binary", "828200000000c000" + "818200000000c000", "c000", 1003},
		{"W06 2^63", "82ff800000000000000000000000", "", 1009},
		{"W06 2^63-1", "82ff7fffffffffffffff00000000", "", 1009},
		{"W06 2^32", "82ff000000010000000000000000", "", 1009},
		{"W06 fragment after fragment", "028100000000c0" + "80ff7fffffffffffffff00000000", "c0", 1009},
		{"W06 the largest", "82ff000000001000000000000000c0", "c0", 0},
		{"W06 larger than that", "82ff0000000010000045" + "00000000", "", 1009},
		{"W07 fragments", "028100000000c0" + "008000000000" + "80810000000000", "c000", 0},
		{"W08 long ping", "89fe007e00000000", "", 1002},
		{"W08 fragmented ping", "098000000000", "", 1002},
		{"W08 RSV1", "c2810000000000", "", 1002},
		{"W08 RSV2", "a2810000000000", "", 1002},
		{"W08 opcode 3", "83810000000000", "", 1002},
		{"W08 opcode b", "8b810000000000", "", 1002},
		{"W09 continuation first", "80810000000000", "", 1002},
		{"W09 data within fragments", "028100000000c0" + "828100000000c0", "c0", 1002},
		{"W11 pings", strings.Repeat(ping, 90) + "828100000000c0" + strings.Repeat(ping, 90) + "828100000000c0", "c0c0", 0},
		{"W11 ping flood", strings.Repeat(ping, 150), "", 1008},
		{"W11 pong flood", strings.Repeat("8a8000000000", 150), "", 1008},
		{"W11 empty messages", strings.Repeat("828000000000", 150), "", 1008},
		{"peer closes", "88820000000003e8", "", 1000},
		{"peer closes without code", "888000000000", "", 1005},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := b.rawDial()
			_, br := ask(t, c, request)
			frames, err := hex.DecodeString(tt.frames)
			must(t, err)
			_, err = c.Write(frames)
			must(t, err)
			want, err := hex.DecodeString(tt.echo)
			must(t, err)
			if tt.code == 0 {
				if got, _ := readFrames(t, br, len(want)); string(got) != string(want) {
					t.Errorf("echo is %x, not %x", got, want)
				}
				c.Close()
				return
			}
			got, code := readFrames(t, br, -1)
			if code != tt.code {
				t.Errorf("close code is %d, not %d", code, tt.code)
			}
			// The answer to what came before a fault may be lost with it.
			if !strings.HasPrefix(string(want), string(got)) {
				t.Errorf("echo is %x, not %x", got, want)
			}
			if n, err := br.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the close frame: %d, %v", n, err)
			}
			c.Close()
			p := receive(t, b.peers, "connection")
			err = receive(t, p.closed, "Closed")
			if (tt.code == 1000 || tt.code == 1005) != errors.Is(err, io.EOF) {
				t.Errorf("cause is %v", err)
			}
		})
		for len(b.peers) > 0 {
			<-b.peers
		}
	}
}

// readFrames reads a server's frames until it has so many bytes of data, or a close frame.
func readFrames(t *testing.T, br *bufio.Reader, want int) (data []byte, code int) {
	t.Helper()
	for want < 0 || len(data) < want {
		var head [2]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			t.Fatalf("read frame: %v", err)
		}
		payload := make([]byte, head[1])
		if _, err := io.ReadFull(br, payload); err != nil {
			t.Fatalf("read frame: %v", err)
		}
		switch head[0] {
		case 0x82:
			data = append(data, payload...)
		case 0x88:
			if len(payload) < 2 {
				return data, 1005
			}
			return data, int(payload[0])<<8 | int(payload[1])
		case 0x8a: // the answer to a ping
		default:
			t.Fatalf("frame begins with %x", head)
		}
	}
	return data, 0
}

// TestWebSocketDeclaredLength is W06 again: what is only announced takes no memory.
func TestWebSocketDeclaredLength(t *testing.T) {
	b := start(t, 2, "ws", nil)
	c := b.rawDial()
	_, br := ask(t, c, request)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Write([]byte("\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00x"))
	must(t, err)
	readFrames(t, br, 1)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated for a frame of 256 MiB that has not come", n)
	}
}

// TestWebSocketOrder is W07: a packet over a thousand fragments, and a hundred in one frame.
func TestWebSocketOrder(t *testing.T) {
	b := start(t, 2, "ws", nil)
	c := b.dial().(*wsClient)
	data := pattern(1000)
	for i := range data {
		head := []byte{0, 0x81, 0, 0, 0, 0, data[i]}
		if i == 0 {
			head[0] = 0x02
		}
		if i == len(data)-1 {
			head[0] |= 0x80
		}
		_, err := c.NetConn().Write(head)
		must(t, err)
	}
	expectBytes(t, c, data)
	_, err := c.Write(data)
	must(t, err)
	expectBytes(t, c, data)
}

// TestWebSocketFinish holds the close code and that a message is one frame.
func TestWebSocketFinish(t *testing.T) {
	for _, kind := range []string{"ws", "wss"} {
		t.Run(kind, func(t *testing.T) {
			b := start(t, 2, kind, func(_ *transports.Turn, p *peer) {
				p.receive = func(t *transports.Turn, in []byte) (int, int) {
					for i := range 10 {
						p.Write(t, fmt.Append(nil, i))
					}
					p.Finish(t)
					return len(in), 0
				}
			})
			c := b.dial().(*wsClient)
			if c.Subprotocol() != "mqtt" {
				t.Errorf("subprotocol is %q", c.Subprotocol())
			}
			_, err := c.Write([]byte("x"))
			must(t, err)
			kind, data, err := c.ReadMessage()
			must(t, err)
			if kind != websocket.BinaryMessage || string(data) != "0123456789" {
				t.Errorf("got %q", data)
			}
			if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("got %v", err)
			}
			eventually(t, "connection ends", func() bool { return b.Connections() == 0 })
		})
	}
}
