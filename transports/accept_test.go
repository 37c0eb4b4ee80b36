//go:build linux

package transports_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/transports"
)

// TestWithoutDescriptors runs itself with a low limit: accepting rests without spinning, and
// goes on once connections have ended.
func TestWithoutDescriptors(t *testing.T) {
	if loops := os.Getenv("TEST_DESCRIPTORS_OWNER"); loops != "" {
		withoutDescriptors(t, owners[loops])
		return
	}
	for owner := range owners {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWithoutDescriptors$")
		cmd.Env = append(os.Environ(), "TEST_DESCRIPTORS_OWNER="+owner)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", owner, err, out)
		}
	}
}

func withoutDescriptors(t *testing.T, loops int) {
	var log lockedBuffer
	s, err := transports.New(transports.Config{Loops: loops, Clock: clock, Log: slog.New(slog.NewTextHandler(&log, nil))},
		&handler{opened: func(_ *transports.Turn, c *transports.Conn) transports.Receiver {
			return &peer{Conn: c, closed: make(chan error, 2), test: t}
		}})
	must(t, err)
	defer s.Close()
	ln, err := s.Listen(transports.ListenerConfig{Name: "tcp", Network: "tcp", Address: "127.0.0.1:0"})
	must(t, err)
	must(t, s.Start())
	// The clients' descriptors count too; those beyond the limit wait in the backlog.
	limit := openFiles() + 40
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}))
	var conns []net.Conn
	for {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break
		}
		conns = append(conns, c)
	}
	eventually(t, "accepting rests", func() bool { return bytes.Contains(log.bytes(), []byte("accept rests")) })
	before := cpuTime(t)
	<-time.After(time.Second)
	if used := cpuTime(t) - before; used > 300*time.Millisecond {
		t.Errorf("used %v of processor time in a second of rest", used)
	}
	last := conns[len(conns)-1]
	for _, c := range conns[:len(conns)-1] {
		c.Close()
	}
	_, err = io.WriteString(last, "hello")
	must(t, err)
	_ = last.SetDeadline(time.Now().Add(patience))
	expectBytes(t, last, []byte("hello"))
	last.Close()
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

// TestInheritedOptions looks at the sockets that the server has accepted: by their addresses,
// among all descriptors of this process.
func TestInheritedOptions(t *testing.T) {
	for owner, loops := range owners {
		for seconds, want := range map[int][4]int{0: {1, 60, 120_000, 1}, 30: {1, 30, 60_000, 1}, -1: {0, -1, 0, 1}} {
			t.Run(fmt.Sprint(owner, seconds), func(t *testing.T) {
				b := startWith(t, loops, "tcp", func(lc *transports.ListenerConfig) { lc.KeepAlive = seconds }, nil)
				c := b.dial()
				receive(t, b.peers, "connection")
				fd := acceptedSocket(t, c)
				option := func(level, name int) int {
					v, err := unix.GetsockoptInt(fd, level, name)
					must(t, err)
					return v
				}
				got := [4]int{
					option(unix.SOL_SOCKET, unix.SO_KEEPALIVE), option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
					option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT), option(unix.IPPROTO_TCP, unix.TCP_NODELAY),
				}
				if want[1] < 0 {
					got[1] = -1
				}
				if got != want {
					t.Errorf("keep alive, idle time, user timeout and no delay are %v, not %v", got, want)
				}
			})
		}
	}
}

// acceptedSocket is the descriptor of the other end of c.
func acceptedSocket(t *testing.T, c net.Conn) int {
	t.Helper()
	port := c.LocalAddr().(*net.TCPAddr).Port
	for fd := range 1000 {
		if sa, err := unix.Getpeername(fd); err == nil {
			if in, ok := sa.(*unix.SockaddrInet4); ok && in.Port == port {
				return fd
			}
		}
	}
	t.Fatal("socket is not found")
	return -1
}

func TestUnixSocketFiles(t *testing.T) {
	b := start(t, 1, "tcp", nil)
	path := filepath.Join(t.TempDir(), "s")
	listen := func(path string) error {
		_, err := b.Listen(transports.ListenerConfig{Name: "unix", Network: "unix", Address: path})
		return err
	}
	// As a crash leaves it: the file stays, and nobody listens.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	must(t, stale.Close())
	if err := listen(path); err != nil {
		t.Errorf("stale socket: %v", err)
	}
	if err := listen(path); err == nil {
		t.Error("socket in use: bound")
	}
	file := path + ".txt"
	must(t, os.WriteFile(file, nil, 0o600))
	if err := listen(file); err == nil {
		t.Error("a file that is no socket: bound")
	}
}

// TestStopListening holds that connections stay.
func TestStopListening(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		c := b.dial()
		receive(t, b.peers, "connection")
		b.StopListening()
		eventually(t, "listener is closed", func() bool {
			c, err := net.Dial(b.listener.Addr().Network(), b.listener.Addr().String())
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		_, err := c.Write([]byte("still here"))
		must(t, err)
		expectBytes(t, c, []byte("still here"))
	})
}
