package faultlab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// Start runs the broker with the arguments, and returns once it says that it is ready. (That something accepts
// connections at its address would not do: it may be another broker, which has kept this one from starting.)
func Start(args ...string) (*Broker, error) {
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
	if err := b.waitReady(); err != nil {
		_ = b.Kill()
		return nil, fmt.Errorf("start the broker: %w\n%s", err, b.Log())
	}
	return b, nil
}

// readyLine is in the broker's log, which is JSON where it is no terminal's, once its listeners are open.
const readyLine = `"msg":"ready"`

func (b *Broker) waitReady() error {
	timeout := time.After(startTimeout)
	for !strings.Contains(b.Log(), readyLine) {
		select {
		case <-b.exited:
			return errors.Join(errors.New("it has ended at once"), b.err)
		case <-timeout:
			return fmt.Errorf("it is not ready after %v", startTimeout)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
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

// Ports of FreeAddress lie below those that systems give out for outgoing connections, and each process begins at
// a place of its own.
const (
	portFirst       = 10_000
	portCount       = 20_000
	portsPerProcess = 128
)

// portsGiven counts the ports that FreeAddress has tried.
var portsGiven atomic.Int64

// FreeAddress is an address on this machine that nobody listens at, and that it gives to nobody else: a broker that
// is started again has to find the same one.
func FreeAddress() (string, error) {
	var err error
	for range portsPerProcess {
		port := portFirst + (int64(os.Getpid())*portsPerProcess+portsGiven.Add(1))%portCount
		var ln net.Listener
		if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return ln.Addr().String(), ln.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
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
