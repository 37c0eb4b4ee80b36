package faultlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// binaryVariable names an environment variable with the path of a broker to test instead of this tree's.
const binaryVariable = "NIGHTJAR_BINARY"

// Binary is the path of the nightjar command: that in NIGHTJAR_BINARY, or one that is built from this
// tree when it is first asked for. RemoveBinary takes it away again.
var Binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return path, nil
	}
	if err := noteSources(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "nightjar-built-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	path := filepath.Join(dir, "nightjar")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-o", path, "nightjar/cmd/nightjar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	return path, nil
})

// noteSources looks at all folders of the module. The go command sees that, and so runs tests anew when a file has
// changed there: it knows what a test was built from, but not what the test builds.
func noteSources() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return errors.New("build the broker: not in a folder of its module")
		}
		root = filepath.Dir(root)
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if name := entry.Name(); err == nil && entry.IsDir() && path != root && (name[0] == '.' || name == "node_modules") {
			return fs.SkipDir
		}
		return err
	})
}

// builtIn is the folder that Binary has made; empty: none.
var builtIn string

// RemoveBinary removes what Binary has built, after the last test.
func RemoveBinary() {
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
}

// Broker is a broker in a process of its own.
type Broker struct {
	cmd    *exec.Cmd
	log    lockedBuffer
	exited chan struct{} // closed when the process has ended
	err    error         // of the process; valid after exited
}

// startTimeout and stopTimeout are how long the broker may take for its start and for its end in good order.
const (
	startTimeout = 15 * time.Second
	stopTimeout  = 15 * time.Second
)

// Start runs the broker with the arguments, and returns once it accepts connections at all addresses: each is
// host:port, or the path of a Unix socket.
func Start(addresses []string, args ...string) (*Broker, error) {
	path, err := Binary()
	if err != nil {
		return nil, err
	}
	b := &Broker{cmd: exec.Command(path, args...), exited: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.exited)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, address := range addresses {
		if err := b.waitReady(ctx, address); err != nil {
			_ = b.Kill()
			return nil, fmt.Errorf("start the broker: %w\n%s", err, b.Log())
		}
	}
	return b, nil
}

// waitReady waits until the broker accepts connections at an address.
func (b *Broker) waitReady(ctx context.Context, address string) error {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	for {
		c, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-b.exited:
			return errors.Join(errors.New("it ended at once"), b.err)
		case <-ctx.Done():
			return fmt.Errorf("nothing at %s: %w", address, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Kill ends the process with SIGKILL.
func (b *Broker) Kill() error {
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-b.exited
	return nil
}

// Stop ends the process with SIGTERM, and reports where that is not in good order: another exit status than 0.
func (b *Broker) Stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the broker: %w\n%s", err, b.Log())
	}
	select {
	case <-b.exited:
	case <-time.After(stopTimeout):
		_ = b.Kill()
		return fmt.Errorf("stop the broker: SIGTERM has not ended it in %v\n%s", stopTimeout, b.Log())
	}
	if b.err != nil {
		return fmt.Errorf("stop the broker: %w\n%s", b.err, b.Log())
	}
	return nil
}

// Exited is closed when the process has ended.
func (b *Broker) Exited() <-chan struct{} { return b.exited }

// Log is what the broker has written so far.
func (b *Broker) Log() string { return b.log.String() }

// FreeAddress is an address on this machine that nobody listens at: a broker that is started again has
// to find the same one.
func FreeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
