package mqtttest

import (
	"net"
	"testing"

	"nightjar/packets"
	"nightjar/transports"
)

// Listen adds a listener, until the broker stops. Whom it lets in is decided as on the first one.
func (b *Broker) Listen(cfg transports.ListenerConfig) *transports.Listener {
	b.t.Helper()
	cfg.Name, cfg.Network, cfg.Address = "tcp", "tcp", "127.0.0.1:0"
	ln, err := b.server.Listen(cfg)
	b.must(err)
	return ln
}

// NewClient makes a Client of a connection that the test has opened, and that the test closes.
func NewClient(t testing.TB, v packets.Version, conn net.Conn) *Client {
	return &Client{Version: v, t: t, conn: conn}
}
