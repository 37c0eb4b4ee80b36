// Package logs writes log lines without ever holding up who logs: a pipe that nobody reads, or a full disk, must not
// stop the broker.
package logs

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// waitingBytes is how much may wait to be written; more is left out, in whole lines, and counted.
const waitingBytes = 1 << 20

// Writer hands what is written to another writer, in order, in a goroutine of its own.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	buf     []byte
	leftOut uint64     // lines since the last that was written
	idle    *sync.Cond // of mu: buf or writing or closed has changed
	writing bool
	closed  bool
}

// New returns a Writer. Close ends it.
func New(out io.Writer) *Writer {
	w := &Writer{out: out}
	w.idle = sync.NewCond(&w.mu)
	w.start()
	return w
}

// Write takes one line, or leaves it out. It never blocks on the other writer, and never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.buf)+len(line) > waitingBytes {
		w.leftOut++
		return len(line), nil
	}
	if w.leftOut > 0 {
		w.buf = fmt.Appendf(w.buf, "%d log lines were left out: they were not taken fast enough\n", w.leftOut)
		w.leftOut = 0
	}
	w.buf = append(w.buf, line...)
	w.idle.Broadcast()
	return len(line), nil
}

// Close writes what waits, for at most the given time, and ends the Writer.
func (w *Writer) Close(patience time.Duration) {
	timer := time.AfterFunc(patience, func() {
		w.mu.Lock()
		w.buf, w.writing = nil, false
		w.mu.Unlock()
		w.idle.Broadcast()
	})
	defer timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.idle.Broadcast()
	for len(w.buf) > 0 || w.writing {
		w.idle.Wait()
	}
}

// run writes until the Writer is closed.
func (w *Writer) run() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.buf) == 0 {
			if w.closed {
				return
			}
			w.idle.Wait()
		}
		lines := w.buf
		w.buf, w.writing = nil, true
		w.mu.Unlock()
		_, _ = w.out.Write(lines) // where the log cannot be written, there is nowhere to say so
		w.mu.Lock()
		w.writing = false
		w.idle.Broadcast()
	}
}
