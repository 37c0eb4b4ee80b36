package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

// asProgram makes the test binary behave as the real program, for tests that need a process to signal or kill.
const asProgram = "NIGHTJAR_CLIENT_TEST_PROGRAM"

// patience is the longest wait for anything; a test that waits this long has failed.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(exitCode(root().Execute()))
	}
	code := m.Run()
	stopMosquitto()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

func root() *cobra.Command {
	root := &cobra.Command{Use: "nightjar"}
	root.AddCommand(PubCommand(), SubCommand())
	return root
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code
	}
	return -1
}

// program is a command that runs inside this test.
type program struct {
	t        *testing.T
	out, err buffer
	cancel   context.CancelFunc
	code     chan int
}

// start runs `nightjar args...` with stdin.
func start(t *testing.T, stdin io.Reader, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{t: t, cancel: cancel, code: make(chan int, 1)}
	p.out.changed, p.err.changed = make(chan struct{}, 1), make(chan struct{}, 1)
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(&p.out)
	cmd.SetErr(&p.err)
	go func() { p.code <- exitCode(cmd.ExecuteContext(ctx)) }()
	t.Cleanup(cancel)
	return p
}

// subscribed starts a sub and waits until the server has answered it.
func subscribed(t *testing.T, args ...string) *program {
	t.Helper()
	p := start(t, nil, append([]string{"sub", "-d"}, args...)...)
	p.err.await(t, "received SUBACK")
	return p
}

// wait returns the exit status.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		p.t.Fatalf("still running after %v\nstdout: %s\nstderr: %s", patience, &p.out, &p.err)
		return 0
	}
}

// ends holds the exit status and returns standard output and standard error.
func (p *program) ends(want int) (stdout, stderr string) {
	p.t.Helper()
	if code := p.wait(); code != want {
		p.t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", code, want, &p.out, &p.err)
	}
	return p.out.String(), p.err.String()
}

// run runs a command to its end with the status that is wanted.
func run(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	return start(t, nil, args...).ends(want)
}

// buffer is output that a test can wait on.
type buffer struct {
	mu      sync.Mutex
	data    bytes.Buffer
	changed chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

func (b *buffer) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(b.String(), text) {
		select {
		case <-b.changed:
		case <-deadline:
			t.Fatalf("no %q within %v in: %s", text, patience, b)
		}
	}
}

// process runs the command as a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	errs := &buffer{changed: make(chan struct{}, 1)}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, errs
}

func contains(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in: %s", want, got)
		}
	}
}
