package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is the longest wait for anything; a test that waits this long has failed.
const patience = 30 * time.Second

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"nightjar": main}) }

// TestScripts runs the real program as its users do. See commands for what scripts know beside testscript's own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveScript, "signal": signalScript, "ended": endedScript, "logged": loggedScript,
			"exits": exitsScript, "get": getScript,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[brokers{}] = map[string]*process{}
			return nil
		},
	})
}

// brokers is the key of the running brokers of a script.
type brokers struct{}

// process is a broker that runs beside a script.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	cond *sync.Cond
	log  []string // lines so far; guarded by mu
	done bool     // guarded by mu
}

func running(ts *testscript.TestScript, name string) *process {
	p := ts.Value(brokers{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("no broker %q", name)
	}
	return p
}

// serveScript is `serve NAME args...`: it starts `nightjar serve args...` and waits until it is ready. $NAME_1, $NAME_2...
// are the URLs that it listens on, and $NAME_admin that of the admin server. `! serve` wants it to end before.
// A first argument `limit=N` runs it under ulimit -f.
func serveScript(ts *testscript.TestScript, neg bool, args []string) {
	name, args := args[0], args[1:]
	cmd := exec.Command("nightjar", append([]string{"serve"}, args...)...)
	if limit, found := strings.CutPrefix(args[0], "limit="); found {
		script := "ulimit -f " + limit + `; exec nightjar serve "$@"`
		cmd = exec.Command("sh", append([]string{"-c", script, "sh"}, args[1:]...)...)
	}
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"NIGHTJAR_AUTH__PASSWORD_FILE", "NIGHTJAR_LOG__LEVEL"} {
		cmd.Env = append(cmd.Environ(), key+"="+ts.Getenv(key))
	}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, ended: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	go p.read(stderr)
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	ts.Value(brokers{}).(map[string]*process)[name] = p
	line, ok := p.await(`"msg":"ready"`)
	if ok == neg {
		ts.Fatalf("ready is %v:\n%s", ok, p.text())
	}
	if neg {
		return
	}
	var ready struct {
		Listeners []string
		Admin     string
	}
	ts.Check(json.Unmarshal([]byte(line), &ready))
	for i, url := range ready.Listeners {
		ts.Setenv(fmt.Sprintf("%s_%d", name, i+1), url)
	}
	ts.Setenv(name+"_admin", ready.Admin)
}

// read keeps what the process says, and notes its end.
func (p *process) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.mu.Unlock()
		p.cond.Broadcast()
	}
	_ = p.cmd.Wait() // its state tells
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	p.cond.Broadcast()
	close(p.ended)
}

// await waits for a line that holds text; false: the process ended without.
func (p *process) await(text string) (string, bool) {
	stop := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer stop.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; ; i++ {
		for i == len(p.log) {
			if p.done {
				return "", false
			}
			p.cond.Wait()
		}
		if strings.Contains(p.log[i], text) {
			return p.log[i], true
		}
	}
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// signalScript is `signal NAME TERM|INT|HUP|KILL`.
func signalScript(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "HUP": syscall.SIGHUP, "KILL": os.Kill}
	ts.Check(running(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

// endedScript is `ended NAME CODE`: it waits until the broker has ended, and wants the exit code.
func endedScript(ts *testscript.TestScript, _ bool, args []string) {
	p := running(ts, args[0])
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], p.text())
	}
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("exit code %s, want %s:\n%s", got, args[1], p.text())
	}
}

// loggedScript is `logged NAME TEXT`: it waits until a line of the log holds the text. `! logged` looks at once.
func loggedScript(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, args[0])
	if neg {
		if strings.Contains(p.text(), args[1]) {
			ts.Fatalf("there is %q in:\n%s", args[1], p.text())
		}
		return
	}
	if _, ok := p.await(args[1]); !ok {
		ts.Fatalf("no %q in:\n%s", args[1], p.text())
	}
}

// exitsScript is `exits CODE args...`: it runs nightjar, wants the exit code, and leaves what it says in the files out and err.
func exitsScript(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("nightjar", args[1:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("."), strings.TrimPrefix(name, "std")), []byte(ts.ReadFile(name)), 0o600))
	}
	if got := strconv.Itoa(code); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// getScript is `get STATUS URL`: it asks by HTTP, and leaves the answer in the file body.
func getScript(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: patience}
	answer, err := client.Get(args[1])
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
	if got := strconv.Itoa(answer.StatusCode); got != args[0] {
		ts.Fatalf("status %s, want %s: %s", got, args[0], body)
	}
}
