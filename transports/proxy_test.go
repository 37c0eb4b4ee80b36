package transports_test

import (
	"encoding/hex"
	"io"
	"net/netip"
	"testing"

	"nightjar/transports"
)

func TestProxyHeaders(t *testing.T) {
	const v2 = "0d0a0d0a000d0a515549540a"
	unhex := func(s string) string {
		b, err := hex.DecodeString(s)
		must(t, err)
		return string(b)
	}
	for owner, loops := range owners {
		b := start(t, loops, "proxy", nil)
		for _, tt := range []struct{ name, header, remote string }{
			{"v1", "PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n", "192.0.2.7:4711"},
			{"v1 IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 1883\r\n", "[2001:db8::7]:4711"},
			{"v1 unknown", "PROXY UNKNOWN\r\n", "own"},
			{"v2", unhex(v2 + "2111000c" + "c0000207c0000201" + "1267075b"), "192.0.2.7:4711"},
			{"v2 with more", unhex(v2 + "21110010" + "c0000207c0000201" + "1267075b" + "04000100"), "192.0.2.7:4711"},
			{"v2 local", unhex(v2 + "20000000"), "own"},
			{"v2 unspecified", unhex(v2 + "21000000"), ""},
			{"v2 UDP", unhex(v2 + "2112000c" + "c0000207c0000201" + "1267075b"), ""},
			{"v2 cut", unhex(v2 + "2111000400000000"), ""},
			{"v2 huge", unhex(v2 + "2111ffff"), ""},
			{"none", "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test", ""},
			{"v1 garbage", "PROXY TCP4 x y z\r\n", ""},
			{"v1 endless", "PROXY TCP4 " + string(make([]byte, 200)), ""},
			{"end", "", ""},
		} {
			t.Run(owner+" "+tt.name, func(t *testing.T) {
				c := b.rawDial()
				_, err := io.WriteString(c, tt.header+"hello")
				must(t, err)
				if tt.remote == "" {
					must(t, closeWrite(c))
					if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
						t.Errorf("%q, %v", got, err)
					}
					return
				}
				expectBytes(t, c, []byte("hello"))
				want := tt.remote
				if want == "own" {
					want = c.LocalAddr().String()
				}
				got := make(chan string, 1)
				p := receive(t, b.peers, "connection")
				p.Post(func(*transports.Turn) { got <- p.RemoteAddr().String() })
				if got := receive(t, got, "post"); got != want {
					t.Errorf("remote address is %s, not %s", got, want)
				}
				c.Close()
			})
		}
		if n := b.listener.Refused(); n != 8 {
			t.Errorf("%d are refused", n)
		}
	}
}

func TestProxyMustBeTrusted(t *testing.T) {
	b := startWith(t, 2, "proxy", func(lc *transports.ListenerConfig) {
		lc.Proxy.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}, nil)
	c := b.rawDial()
	_, err := io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\nhello")
	must(t, err)
	must(t, closeWrite(c))
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if b.listener.Refused() != 1 {
		t.Errorf("%d are refused", b.listener.Refused())
	}
}

// TestProxyHeaderInTime holds that the header is part of the handshake.
func TestProxyHeaderInTime(t *testing.T) {
	b := startWith(t, 2, "proxy", func(lc *transports.ListenerConfig) { lc.HandshakeTimeout = 100 }, nil)
	c := b.rawDial()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
}

func TestRemoteAddr(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		c := b.dial()
		p := receive(t, b.peers, "connection")
		got := make(chan netip.AddrPort, 1)
		p.Post(func(*transports.Turn) { got <- p.RemoteAddr() })
		want := netip.AddrPort{}
		switch kind {
		case "unix":
		case "proxy", "proxy-wss":
			want = netip.MustParseAddrPort("192.0.2.7:4711")
		default:
			want = netip.MustParseAddrPort(c.LocalAddr().String())
		}
		if got := receive(t, got, "post"); got != want {
			t.Errorf("%v, not %v", got, want)
		}
		if p.Listener() != b.listener {
			t.Error("listener is another")
		}
	})
}
