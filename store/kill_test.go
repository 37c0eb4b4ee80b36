package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"nightjar/sessions"
)

const childDir = "NIGHTJAR_STORE_CHILD"

// TestMain is the broker that is killed, where the environment names a data folder.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	// kept is how many rows the child leaves in the queue: row n is done once row n+kept is appended.
	kept = 300
	// pendingMax is below kept, so that no row is gone before it is durable: such a row would rightly be missing.
	pendingMax = 200
)

// child appends rows for ever, and prints the last Seq of each batch once it is durable.
func child(dir string) error {
	cfg := DefaultConfig()
	cfg.Dir = dir
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	m := newModel()
	if err := s.Load(m); err != nil {
		return err
	}
	var queue []*sessions.Row
	seq := uint64(0)
	for _, r := range m.order() {
		queue, seq = append(queue, r.Row), r.Seq
	}
	var mu sync.Mutex
	var printed uint64
	lastSeq := make(map[uint64]uint64) // by ticket
	durable := sync.NewCond(&mu)
	s.Start(nil, func(ticket uint64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			panic(err)
		}
		printed = max(printed, lastSeq[ticket]) // a batch may hold nothing but a Done
		fmt.Println(printed)
		delete(lastSeq, ticket)
		durable.Broadcast()
	})
	s.Append(session(1))
	for {
		seq++
		op := message(1, seq, 2000)
		queue = append(queue, op.Rows[0])
		mu.Lock()
		for s.Pending() > pendingMax {
			durable.Wait()
		}
		if len(queue) > kept {
			s.Append(sessions.Op{Kind: sessions.Done, Row: queue[0]})
			queue = queue[1:]
		}
		ticket := s.Append(op)
		lastSeq[ticket] = seq
		mu.Unlock()
		s.Kick(0)
	}
}

// TestKill kills a broker 20 times, and finds all that it said was durable: a queue without gaps, from which nothing
// has gone but what was done.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, printed := 0, uint64(0)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if printed, err = strconv.ParseUint(scan.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if lines++; lines == 10+3*round {
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil || lines < 10+3*round {
			t.Fatalf("the child ended by itself after %d lines: %v", lines, err)
		}
		checkQueue(t, dir, printed)
	}
}

// checkQueue looks that the queue reaches to at least the Seq printed, and begins where it should.
func checkQueue(t *testing.T, dir string, printed uint64) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir = dir
	s := mustOpen(t, cfg)
	defer mustClose(t, s)
	m := newModel()
	if err := s.Load(m); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, s)
	order := m.order()
	first, last := order[0].Seq, order[len(order)-1].Seq
	if last < printed || last-first+1 != uint64(len(order)) || len(order) > kept+1 {
		t.Fatalf("printed %d, and found %d rows, %d to %d", printed, len(order), first, last)
	}
}
