//go:build linux

package transports_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"nightjar/transports"
)

const idleClients = 500

// TestIdleMemory holds what an idle connection costs: heap and stacks. The clients are another process.
func TestIdleMemory(t *testing.T) {
	if where := os.Getenv("TEST_IDLE_CLIENTS"); where != "" {
		idle(t, where)
		return
	}
	most := map[string]int{
		"tcp/loop": 640, "unix/loop": 640, "proxy/loop": 768,
		"tcp/goroutine": 7 << 10, "unix/goroutine": 7 << 10, "proxy/goroutine": 7 << 10,
		"ws/goroutine": 9 << 10, "tls/goroutine": 20 << 10, "wss/goroutine": 22 << 10, "proxy-wss/goroutine": 22 << 10,
	}
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		before := memoryInUse()
		cmd := exec.Command(os.Args[0], "-test.run=^TestIdleMemory$")
		addr := b.listener.Addr()
		cmd.Env = append(os.Environ(), "TEST_IDLE_CLIENTS="+kind+" "+addr.Network()+" "+addr.String())
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		must(t, err)
		if line != "ready\n" {
			t.Fatal(line)
		}
		for range idleClients {
			receive(t, b.peers, "connection")
		}
		each := (memoryInUse() - before) / idleClients
		t.Logf("%d bytes for each connection", each)
		if name := strings.TrimPrefix(t.Name(), "TestIdleMemory/"); each > most[name] && !raceEnabled {
			t.Errorf("%d bytes for each idle connection, more than %d", each, most[name])
		}
		must(t, in.Close())
		must(t, cmd.Wait())
		eventually(t, "connections end", func() bool { return b.Connections() == 0 })
	})
}

func memoryInUse() int {
	runtime.GC()
	runtime.GC() // the first empties pools into a second chance, and shrinks stacks once
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// idle connects, has each connection echo a little, and waits.
func idle(t *testing.T, where string) {
	kind, addr, _ := strings.Cut(where, " ")
	network, addr, _ := strings.Cut(addr, " ")
	b := &bench{test: t, kind: kind, pki: testPKI(t)}
	cfg := b.config()
	b.listener = &transports.Listener{Config: cfg}
	for range idleClients {
		raw, err := net.Dial(network, addr)
		must(t, err)
		t.Cleanup(func() { raw.Close() })
		c, err := b.handshake(raw, true)
		must(t, err)
		_, err = c.Write([]byte("hello"))
		must(t, err)
		_, err = io.ReadFull(c, make([]byte, 5))
		must(t, err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
