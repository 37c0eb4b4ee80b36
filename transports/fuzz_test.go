package transports_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/transports"
)

// webSocketSeeds are requests and frames of every kind, good and bad.
var webSocketSeeds = map[string][]string{
	"request": {
		request, replaced("GET", "POST"), replaced("HTTP/1.1", "HTTP/1.0"), replaced("Version: 13", "Version: 12"),
		replaced("Protocol: mqtt", "Protocol: chat,  mqtt"), replaced("/mqtt", "http://[::1/%zz?x=y"), replaced("Upgrade\r\n", "Upgrade\n"),
		replaced("\r\n\r\n", "\r\nOrigin: null\r\n\r\n"), replaced("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x10\x10\x00\x04MQTT\r\n\r\n",
	},
	"frames": { // in hexadecimal digits
		"828200000000c000", "828211223344d122", "8202c000", "818200000000c000", "82ff800000000000000000000000", "82fe000200000000c000",
		"028100000000c0" + "008000000000" + "80810000000000", "028100000000c0" + "828100000000c0", "80810000000000",
		"898000000000" + "8a8000000000" + "828000000000", "89fe007e00000000", "098000000000", "c2810000000000", "8b810000000000",
		"88820000000003e8", "888000000000", "88810000000003", "88820000000003ed",
	},
}

// fuzzedServer is one server for all inputs of a target, whose connections are echoed. It is at a Unix socket: there are not ports
// enough for thousands of connections in a second.
func fuzzedServer(f *testing.F, seeds string) *bench {
	if len(webSocketSeeds[seeds]) == 0 {
		f.Fatalf("no seeds of %s", seeds)
	}
	return startWith(f, 1, "ws", func(lc *transports.ListenerConfig) {
		lc.HandshakeTimeout = 60_000
		lc.Network, lc.Address = "unix", filepath.Join(f.TempDir(), "s")
	}, nil)
}

// send connects, sends all, and ends its side. It returns what reads the answer.
func (b *bench) send(t *testing.T, list ...[]byte) (*bufio.Reader, net.Conn) {
	t.Helper()
	for len(b.peers) > 0 {
		<-b.peers // nobody looks at them
	}
	c, err := net.Dial("unix", b.listener.Addr().String())
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	for _, x := range list {
		_, _ = c.Write(x) // the server may have closed
	}
	return bufio.NewReader(c), c
}

// FuzzWebSocketRequest holds that whatever comes in place of the handshake is answered as HTTP or closed, and never let in
// unless it is a handshake; and that the server then still serves.
func FuzzWebSocketRequest(f *testing.F) {
	b := fuzzedServer(f, "request")
	for _, seed := range webSocketSeeds["request"] {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		br, c := b.send(t, text)
		defer c.Close()
		_ = c.(*net.UnixConn).CloseWrite() // fails where the server has closed
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			return // closed without a word: the request was not whole
		}
		defer r.Body.Close()
		lower := strings.ToLower(string(text))
		switch {
		case r.StatusCode == http.StatusSwitchingProtocols:
			for _, must := range []string{"get ", "/mqtt", "upgrade", "websocket", "13", "sec-websocket-key", "mqtt"} {
				if !strings.Contains(lower, must) {
					t.Fatalf("let in without %q", must)
				}
			}
		case r.StatusCode < 400 || r.StatusCode >= 500:
			t.Fatalf("status %s", r.Status)
		}
	})
}

// FuzzWebSocketFrames holds that whatever comes after the handshake is echoed as the naive reader of frames has it, up to the
// first fault, and that the connection then ends.
func FuzzWebSocketFrames(f *testing.F) {
	b := fuzzedServer(f, "frames")
	for _, seed := range webSocketSeeds["frames"] {
		frames, err := hex.DecodeString(seed)
		must(f, err)
		f.Add(frames)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		br, c := b.send(t, []byte(request))
		defer c.Close()
		r, err := http.ReadResponse(br, nil)
		must(t, err)
		defer r.Body.Close()
		if r.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("handshake: %s", r.Status)
		}
		_, _ = c.Write(frames)
		want, whole := naiveFrames(frames)
		if whole {
			if got := echoed(t, br, len(want)); string(got) != string(want) {
				t.Fatalf("echo of %x\n is %x\nnot %x", frames, got, want)
			}
		}
		// What came before a fault may be lost with it, and nothing after it is ever taken.
		_ = c.(*net.UnixConn).CloseWrite() // fails where the server has closed
		if got := echoed(t, br, -1); !whole && !strings.HasPrefix(string(want), string(got)) || whole && len(got) > 0 {
			t.Fatalf("echo of %x\n is %x\nnot %x", frames, got, want)
		}
	})
}

// echoed reads the payloads of the binary frames that the server sends: so many bytes, or, where want is less than 0, to the
// end, which may be a reset.
func echoed(t *testing.T, br *bufio.Reader, want int) (payload []byte) {
	for want < 0 || len(payload) < want {
		head := make([]byte, 2)
		_, err := io.ReadFull(br, head)
		n := int(head[1])
		if err == nil && n >= 126 {
			head = make([]byte, 2)
			if _, err = io.ReadFull(br, head); n == 127 {
				t.Fatal("a frame of more than 64 KiB")
			}
			n, head = int(head[0])<<8|int(head[1]), []byte{0x82, 126}
		}
		data := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(br, data)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatal("the connection does not end")
		case err != nil && want < 0:
			return payload
		case err != nil:
			t.Fatalf("%d bytes of %d have come: %v", len(payload), want, err)
		case head[0] == 0x82:
			payload = append(payload, data...)
		}
	}
	return payload
}

// naiveFrames is the payload of the binary frames of a client [RFC 6455, 5.2], up to the first fault or the end; whole is
// true where there is no fault, and nothing is left over.
func naiveFrames(b []byte) (payload []byte, whole bool) {
	within := false // of a message of several frames
	idle := 0
	for len(b) > 0 {
		if len(b) < 2 {
			return payload, false
		}
		fin, opcode, n, head := b[0]&0x80 != 0, b[0]&0x0f, int(b[1]&0x7f), 2
		control := opcode >= 8
		switch {
		case b[0]&0x70 != 0 || b[1]&0x80 == 0 || control && (!fin || n > 125):
			return payload, false
		case opcode != 0 && opcode != 2 && opcode != 9 && opcode != 10, opcode == 0 && !within, opcode == 2 && within:
			return payload, false // text, close and what is reserved too
		case n == 126:
			if len(b) < 4 {
				return payload, false
			}
			n, head = int(b[2])<<8|int(b[3]), 4
		case n == 127:
			if len(b) < 10 || slices.ContainsFunc(b[2:6], func(x byte) bool { return x != 0 }) {
				return payload, false
			}
			n, head = int(b[6])<<24|int(b[7])<<16|int(b[8])<<8|int(b[9]), 10
		}
		if len(b) < head+4 {
			return payload, false
		}
		mask, data := b[head:head+4], b[head+4:]
		for i := range min(n, len(data)) {
			if !control {
				payload = append(payload, data[i]^mask[i%4])
			}
		}
		if control || n == 0 {
			idle++
		}
		if len(data) < n || idle > 100 { // too many in a row end the connection
			return payload, false
		}
		if !control {
			within = !fin
		}
		b = data[n:]
	}
	return payload, true
}
