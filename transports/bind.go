package transports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// bind opens the listening socket.
func bind(cfg ListenerConfig) (net.Listener, error) {
	if cfg.Network == "unix" {
		if cfg.Proxy != nil {
			return nil, errors.New("the PROXY protocol needs a TCP listener: the peers of a Unix socket have no address to trust")
		}
		return bindUnix(cfg.Address)
	}
	lc := net.ListenConfig{Control: listenControl(cfg), KeepAlive: -1}
	if idle := cfg.keepAlive(); idle > 0 {
		lc.KeepAliveConfig = net.KeepAliveConfig{
			Enable: true, Idle: idle, Interval: max(idle/6, time.Second), Count: 6,
		}
	}
	// Go listens for Multipath TCP by default. Such sockets are larger and slower, and lack options.
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), "tcp", cfg.Address)
}

// keepAlive is the silence before the first TCP keep alive probe, or 0 for never.
func (cfg *ListenerConfig) keepAlive() time.Duration {
	seconds := cfg.KeepAlive
	if seconds == 0 {
		seconds = keepAliveSeconds
	}
	return time.Duration(max(seconds, 0)) * time.Second
}

// bindUnix opens a Unix socket. A socket file that nobody listens on any more, as a crash
// leaves it, is removed first; one in use, or a file that is no socket, is an error.
func bindUnix(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s is in use by another process", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove stale socket: %w", err)
		}
	}
	return net.Listen("unix", path)
}
