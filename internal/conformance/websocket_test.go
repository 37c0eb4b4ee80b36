package conformance

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"nightjar/auth"
	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
	"nightjar/transports"
)

// webBroker runs a broker behind WebSocket and returns its URL.
func webBroker(t *testing.T) string {
	t.Helper()
	log, clock := slog.New(slog.DiscardHandler), broker.Clock()
	a, err := auth.Open(auth.DefaultConfig())
	must(t, err)
	b, err := broker.New(broker.DefaultConfig(), a, nil, map[string]broker.Listener{"ws": {AllowAnonymous: true}}, clock, log)
	must(t, err)
	s, err := transports.New(transports.Config{Loops: 1, Clock: clock, Log: log}, b)
	must(t, err)
	b.Attach(s)
	ln, err := s.Listen(transports.ListenerConfig{Name: "ws", Network: "tcp", Address: "127.0.0.1:0", WebSocket: &transports.WebSocketConfig{Path: "/mqtt"}})
	must(t, err)
	must(t, s.Start())
	b.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), mt.Patience)
		defer cancel()
		b.Shutdown(ctx)
	})
	return "ws://" + ln.Addr().String() + "/mqtt"
}

// webDial opens a WebSocket that offers subprotocols.
func webDial(t *testing.T, url string, offers ...string) (*websocket.Conn, error) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: offers, HandshakeTimeout: mt.Patience}
	conn, answer, err := dialer.Dial(url, nil)
	if answer != nil {
		answer.Body.Close()
	}
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		must(t, conn.SetReadDeadline(time.Now().Add(mt.Patience)))
	}
	return conn, err
}

// read reads binary messages until there are so many bytes.
func read(t *testing.T, conn *websocket.Conn, n int) []byte {
	t.Helper()
	var got []byte
	for len(got) < n {
		kind, b, err := conn.ReadMessage()
		must(t, err)
		want(t, "kind of frame", kind, websocket.BinaryMessage)
		got = append(got, b...)
	}
	return got
}

// Packets in binary frames, cut anywhere, and several in one.
func TestWebSocket_frames(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-6.0.0-1", "v5 MQTT-6.0.0-2", "v3.1.1 MQTT-6.0.0-1", "v3.1.1 MQTT-6.0.0-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		url := webBroker(t)
		all := packet(0x10, connectBody(v, 2, text("c")))
		all = append(all, both(v, 0x82, "\x00\x01%"+text("t")+"\x00")...)
		message := both(v, 0x30, text("t")+"%x")
		all = append(append(append(all, message...), message...), 0xc0, 0)
		var whole []byte
		for size := len(all); size > 0; size-- {
			conn, err := webDial(t, url, "mqtt")
			must(t, err)
			for at := 0; at < len(all); at += size {
				must(t, conn.WriteMessage(websocket.BinaryMessage, all[at:min(at+size, len(all))]))
			}
			if whole == nil {
				whole = append(whole, read(t, conn, 1)...)
				for string(whole[len(whole)-2:]) != "\xd0\x00" {
					whole = append(whole, read(t, conn, 1)...)
				}
			} else {
				want(t, "answers", string(read(t, conn, len(whole))), string(whole))
			}
			// Any other frame than a binary one ends the connection, with a packet in it or not.
			must(t, conn.WriteMessage(websocket.TextMessage, []byte("\xc0\x00")))
			if kind, b, err := conn.ReadMessage(); err == nil {
				t.Fatalf("a text frame is answered with %d %x", kind, b)
			}
			conn.Close()
		}
	})
}

// The subprotocol is mqtt, and nothing goes without it.
func TestWebSocket_subprotocol(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-6.0.0-3", "v5 MQTT-6.0.0-4", "v3.1.1 MQTT-6.0.0-3", "v3.1.1 MQTT-6.0.0-4")
	url := webBroker(t)
	for _, offers := range [][]string{{"mqtt"}, {"other", "mqtt"}, {"mqtt", "mqttv3.1"}} {
		conn, err := webDial(t, url, offers...)
		must(t, err)
		want(t, "subprotocol", conn.Subprotocol(), "mqtt")
	}
	for _, offers := range [][]string{nil, {"other"}, {"mqtt5"}} {
		if _, err := webDial(t, url, offers...); !errors.Is(err, websocket.ErrBadHandshake) {
			t.Errorf("offer of %v: %v, want a refusal", offers, err)
		}
	}
}
