package logs

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate is a writer that blocks until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(b)
}

func TestWriterKeepsOrder(t *testing.T) {
	var want strings.Builder
	g := &gate{open: make(chan struct{})}
	close(g.open)
	w := New(g)
	for i := range 1000 {
		fmt.Fprintf(w, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
	}
	w.Close(time.Minute)
	if got := g.got.String(); got != want.String() {
		t.Errorf("got %d bytes, want %d", len(got), want.Len())
	}
}

// TestWriterNeverBlocks holds that a writer which takes nothing holds nobody up, that memory is bounded, and that what
// was left out is told.
func TestWriterNeverBlocks(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	w := New(g)
	line := bytes.Repeat([]byte("x"), 1023)
	line = append(line, '\n')
	const lines = 3 * waitingBytes / 1024
	for range lines {
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	w.mu.Lock()
	waiting, leftOut := len(w.buf), w.leftOut
	w.mu.Unlock()
	if waiting > waitingBytes || leftOut == 0 {
		t.Errorf("%d bytes wait, %d lines are left out", waiting, leftOut)
	}
	close(g.open)
	w.mu.Lock()
	for len(w.buf) > 0 || w.writing {
		w.idle.Wait()
	}
	w.mu.Unlock()
	if _, err := w.Write([]byte("last\n")); err != nil {
		t.Fatal(err)
	}
	w.Close(time.Minute)
	if got, want := g.got.String(), fmt.Sprintf("%d log lines were left out", leftOut); !strings.Contains(got, want) || !strings.HasSuffix(got, "last\n") {
		t.Errorf("%q is not in the log, or the last line is not", want)
	}
}

// TestCloseIsPatientForSoLong holds that a writer which never returns does not keep the process.
func TestCloseIsPatientForSoLong(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	w := New(g)
	fmt.Fprintln(w, "lost")
	w.Close(time.Millisecond)
	close(g.open)
}
