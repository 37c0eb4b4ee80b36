package transports_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/transports"
)

func TestEchoByteByByte(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		c := start(t, loops, kind, nil).dial()
		for i := range 50 {
			b := []byte{byte(i)}
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			expectBytes(t, c, b)
		}
	})
}

func TestEchoMebibyte(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		c := start(t, loops, kind, nil).dial()
		data := pattern(1 << 20)
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(data)
			wrote <- err
		}()
		expectBytes(t, c, data)
		must(t, receive(t, wrote, "end of writing"))
	})
}

// TestPacketsOverReads sends packets that come in pieces of all sizes: a length of three bytes
// and as many bytes, which the receiver takes whole only.
func TestPacketsOverReads(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, data []byte) (used, want int) {
				for {
					rest := data[used:]
					if len(rest) < 3 {
						return used, 0
					}
					size := 3 + (int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2]))
					if len(rest) < size {
						return used, size
					}
					p.Write(t, rest[3:size])
					used += size
				}
			}
		})
		c := b.dial()
		var sent, want []byte
		for _, n := range []int{0, 1, 5, 1000, 1021, 1024, 4093, 4096, 40_000, 300_000, 70_000, 2, 0, 9} {
			body := pattern(n)
			sent = append(append(sent, byte(n>>16), byte(n>>8), byte(n)), body...)
			want = append(want, body...)
		}
		wrote := make(chan error, 1)
		go func() {
			var err error
			for i, size := 0, 1; i < len(sent) && err == nil; size = size*7%9973 + 1 {
				n := min(size, len(sent)-i)
				_, err = c.Write(sent[i : i+n])
				i += n
			}
			wrote <- err
		}()
		expectBytes(t, c, want)
		must(t, receive(t, wrote, "end of writing"))
	})
}

func TestSlowReader(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		const piece, pieces = 64 << 10, 256
		data := pattern(piece)
		drained := make(chan int, 100)
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				for range pieces {
					p.Write(t, data)
				}
				return len(in), 0
			}
			p.drained = func(t *transports.Turn) {
				drained <- p.Buffered()
				p.Write(t, []byte("drained"))
			}
		})
		c := b.dial()
		_, err := c.Write([]byte("go"))
		must(t, err)
		p := receive(t, b.peers, "connection")
		eventually(t, "outbox waits for the peer", func() bool { return p.Buffered() > piece })
		if len(drained) != 0 {
			t.Fatal("drained before the peer has read")
		}
		for range pieces {
			expectBytes(t, c, data)
		}
		expectBytes(t, c, []byte("drained"))
		if n := receive(t, drained, "Drained"); n != 0 {
			t.Errorf("%d bytes are left when drained", n)
		}
	})
}

// TestLargeOutbox holds that Drained comes where a goroutine writes, even if the socket took all at once: who
// stopped at a limit within the turn could not know that it would. On a loop Press tells.
func TestLargeOutbox(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		onLoop := loops == owners["loop"] && (kind == "tcp" || kind == "unix" || kind == "proxy")
		data := pattern(70 << 10)
		drained := make(chan int, 10)
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				p.Write(t, data)
				return len(in), 0
			}
			p.drained = func(*transports.Turn) { drained <- p.Buffered() }
		})
		c := b.dial()
		_, err := c.Write([]byte("x"))
		must(t, err)
		expectBytes(t, c, data)
		if !onLoop {
			receive(t, drained, "Drained")
		}
	})
}

// TestPress holds that Press writes what the socket takes, within the turn.
func TestPress(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		onLoop := loops == owners["loop"] && (kind == "tcp" || kind == "unix" || kind == "proxy")
		data := pattern(4 << 10)
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				p.Write(t, data)
				if n := p.Press(t, len(data)+1); n != len(data) {
					p.test.Errorf("below the limit: %d bytes wait, want %d", n, len(data))
				}
				if n := p.Press(t, len(data)); onLoop && n != 0 {
					p.test.Errorf("at the limit: %d bytes wait, want 0", n)
				}
				p.Write(t, data)
				return len(in), 0
			}
		})
		c := b.dial()
		_, err := c.Write([]byte("x"))
		must(t, err)
		expectBytes(t, c, data)
		expectBytes(t, c, data)
	})
}

func TestFinishDeliversTheLastBytes(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		last := pattern(300_000)
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				p.Write(t, last)
				p.Finish(t)
				if p.Write(t, []byte("late")) {
					p.test.Error("a finished connection took output")
				}
				return len(in), 0
			}
		})
		c := b.dial()
		_, err := c.Write(pattern(500_000)) // more than is read in a turn
		must(t, err)
		expectBytes(t, c, last)
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last bytes: %d, %v", n, err)
		}
		must(t, c.Close())
		p := receive(t, b.peers, "connection")
		eventually(t, "connection ends", func() bool { return b.Connections() == 0 })
		if len(p.closed) != 0 {
			t.Errorf("Closed after Finish: %v", <-p.closed)
		}
	})
}

// TestFinishAfterHalfClose holds that a peer which has said all it wants still gets the answer.
func TestFinishAfterHalfClose(t *testing.T) {
	for owner, loops := range owners {
		t.Run(owner, func(t *testing.T) {
			last := pattern(8 << 20)
			b := start(t, loops, "tcp", func(_ *transports.Turn, p *peer) {
				p.receive = func(t *transports.Turn, in []byte) (int, int) {
					p.Write(t, last)
					p.Finish(t)
					return len(in), 0
				}
			})
			c := b.dial()
			_, err := c.Write([]byte("x"))
			must(t, err)
			must(t, c.(*net.TCPConn).CloseWrite())
			expectBytes(t, c, last)
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			eventually(t, "connection ends", func() bool { return b.Connections() == 0 })
		})
	}
}

// TestFinishDoesNotWaitForever holds the limits on peers that do not read, and that do not close.
func TestFinishDoesNotWaitForever(t *testing.T) {
	for owner, loops := range owners {
		for what, bytes := range map[string]int{"does not close": 1, "does not read": 16 << 20} {
			t.Run(owner+" "+what, func(t *testing.T) {
				b := start(t, loops, "tcp", func(_ *transports.Turn, p *peer) {
					p.receive = func(t *transports.Turn, in []byte) (int, int) {
						p.Write(t, make([]byte, bytes))
						p.Finish(t)
						return len(in), 0
					}
				})
				c := b.dial()
				_, err := c.Write([]byte("x"))
				must(t, err)
				receive(t, b.peers, "connection")
				eventually(t, "connection is cut", func() bool {
					b.ahead.Add(20) // some seconds pass in some hundred milliseconds
					return b.Connections() == 0
				})
			})
		}
	}
}

func TestPeerCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		c := b.dial()
		_, err := c.Write([]byte("x"))
		must(t, err)
		expectBytes(t, c, []byte("x"))
		must(t, c.Close())
		p := receive(t, b.peers, "connection")
		err = receive(t, p.closed, "Closed")
		if _, ws := c.(*wsClient); !ws && err != io.EOF {
			t.Errorf("cause is %v", err)
		}
		eventually(t, "connection ends", func() bool { return b.Connections() == 0 })
		if len(p.closed) != 0 {
			t.Error("Closed twice")
		}
	})
}

func TestRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		h := &handler{opened: func(*transports.Turn, *transports.Conn) transports.Receiver { return nil }}
		s, err := transports.New(transports.Config{Loops: loops, Clock: clock}, h)
		must(t, err)
		t.Cleanup(s.Close)
		b := &bench{Server: s, test: t, kind: kind, pki: testPKI(t)}
		b.listener, err = s.Listen(b.config())
		must(t, err)
		must(t, s.Start())
		if c, err := b.tryDial(); err == nil {
			if _, err := io.Copy(io.Discard, c); errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			c.Close()
		}
		eventually(t, "connection ends", func() bool { return b.Connections() == 0 })
	})
}

func TestPauseAndResume(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		var got atomic.Int32
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				if len(in) < 4 {
					return 0, 4
				}
				got.Add(1)
				p.Write(t, in[:4])
				p.Pause()
				return 4, 0
			}
		})
		c := b.dial()
		_, err := c.Write([]byte("one.two.thr"))
		must(t, err)
		p := receive(t, b.peers, "connection")
		for i, want := range []string{"one.", "two.", "thr.", "fou.", "fiv."} {
			if want == "thr." {
				_, err := c.Write([]byte(".fou.fiv."))
				must(t, err)
			}
			expectBytes(t, c, []byte(want))
			done := make(chan int32, 1)
			p.Post(func(*transports.Turn) { done <- got.Load() })
			if n := receive(t, done, "post"); n != int32(i+1) {
				t.Fatalf("%d packets received, and reading is off after %d", n, i+1)
			}
			p.Post(func(t *transports.Turn) { p.Resume(t) })
		}
	})
}

// TestPauseFromOutside pauses while the owner waits for input.
func TestPauseFromOutside(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		c := b.dial()
		p := receive(t, b.peers, "connection")
		paused := make(chan bool, 1)
		data := pattern(200_000)
		p.Post(func(*transports.Turn) { p.Pause(); paused <- p.Paused() })
		receive(t, paused, "post")
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(data)
			wrote <- err
		}()
		p.Post(func(t *transports.Turn) { paused <- p.Buffered() > 0; p.Resume(t) })
		if receive(t, paused, "post") {
			t.Error("something was received while reading is off")
		}
		expectBytes(t, c, data)
		must(t, receive(t, wrote, "end of writing"))
	})
}

func TestPostsKeepTheirOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		b.dial()
		p := receive(t, b.peers, "connection")
		const posters, posts = 4, 500
		last := [posters]int{}
		var done sync.WaitGroup
		done.Add(posters * posts)
		for who := range posters {
			go func() {
				for i := range posts {
					p.Post(func(*transports.Turn) {
						defer done.Done()
						defer p.enter()()
						if last[who]++; last[who] != i+1 {
							t.Errorf("post %d came as number %d", i+1, last[who])
						}
					})
				}
			}()
		}
		done.Wait()
	})
}

// TestAppendsFromEverywhere has all connections write to all, which crosses loops and goroutines.
func TestAppendsFromEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		const clients, messages = 6, 200
		var mu sync.Mutex
		var all []*peer
		b := start(t, loops, kind, func(_ *transports.Turn, p *peer) {
			p.receive = func(t *transports.Turn, in []byte) (int, int) {
				mu.Lock()
				defer mu.Unlock()
				n := len(in) / 4 * 4
				for _, to := range all {
					to.Write(t, in[:n])
				}
				return n, 4
			}
		})
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = b.dial()
			p := receive(t, b.peers, "connection")
			mu.Lock()
			all = append(all, p)
			mu.Unlock()
		}
		var done sync.WaitGroup
		for i, c := range conns {
			done.Go(func() {
				for m := range messages {
					if _, err := c.Write([]byte{byte(i), byte(m >> 8), byte(m), '\n'}); err != nil {
						t.Error(err)
						return
					}
				}
			})
			done.Go(func() {
				var next [clients]int
				buf := make([]byte, 4)
				for range clients * messages {
					if _, err := io.ReadFull(c, buf); err != nil {
						t.Error(err)
						return
					}
					from, m := buf[0], int(buf[1])<<8|int(buf[2])
					if m != next[from] {
						t.Errorf("message %d of %d came, not %d", m, from, next[from])
						return
					}
					next[from]++
				}
			})
		}
		done.Wait()
	})
}

// TestDeadline drips bytes, which must not put the deadline off.
func TestDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		var calls atomic.Int32
		b := start(t, loops, kind, func(turn *transports.Turn, p *peer) {
			p.SetDeadline(turn.Now + 10)
			p.receive = func(_ *transports.Turn, in []byte) (int, int) { return 0, 1 << 20 }
			p.expired = func(t *transports.Turn) int64 {
				if calls.Add(1) == 1 {
					return t.Now + 10
				}
				p.Write(t, []byte("too late"))
				p.Finish(t)
				return t.Now + 10
			}
		})
		c := b.dial()
		stop := make(chan struct{})
		dripped := make(chan struct{})
		go func() {
			defer close(dripped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					b.ahead.Add(200)
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
				}
			}
		}()
		got, _ := io.ReadAll(c)
		close(stop)
		<-dripped
		if !bytes.Equal(got, []byte("too late")) || calls.Load() != 2 {
			t.Errorf("got %q after %d calls", got, calls.Load())
		}
	})
}

func TestServerCloseTellsReceivers(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		c := b.dial()
		p := receive(t, b.peers, "connection")
		paused := b.dial()
		q := receive(t, b.peers, "connection")
		done := make(chan bool, 1)
		q.Post(func(*transports.Turn) { q.Pause(); done <- true })
		receive(t, done, "post")
		b.Close()
		for _, p := range []*peer{p, q} {
			if err := receive(t, p.closed, "Closed"); err != transports.ErrServerClosed || len(p.closed) > 0 {
				t.Errorf("cause is %v, and %d more", err, len(p.closed))
			}
			p.Post(func(*transports.Turn) { t.Error("a post after the end") })
		}
		c.Close()
		paused.Close()
		b.Close() // does nothing
	})
}

func TestEachAndFlushed(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		const clients = 5
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = b.dial()
			receive(t, b.peers, "connection")
		}
		b.Each(func(t *transports.Turn, c *transports.Conn) {
			c.Write(t, []byte("bye"))
			c.Finish(t)
		})
		for _, c := range conns {
			expectBytes(t, c, []byte("bye"))
		}
		eventually(t, "all is flushed", func() bool { return b.Flushed(t.Context()) })
	})
}

func TestThousandConnects(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		total := 1000
		if b.listener.Config.TLS != nil {
			total = 200
		}
		var done sync.WaitGroup
		var next atomic.Int32
		for range 8 {
			done.Go(func() {
				for int(next.Add(1)) <= total {
					c, err := b.tryDial()
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := c.Write([]byte("hello")); err != nil {
						t.Error(err)
					}
					expectBytes(t, c, []byte("hello"))
					c.Close()
				}
			})
		}
		done.Wait()
		eventually(t, "connections end", func() bool { return b.Connections() == 0 })
		close(b.peers)
		n := 0
		for p := range b.peers {
			receive(t, p.closed, "Closed")
			n++
		}
		if n != total {
			t.Errorf("%d connections, not %d", n, total)
		}
	})
}

// TestCloseUnderLoad closes the server while clients come, talk and go.
func TestCloseUnderLoad(t *testing.T) {
	everywhere(t, func(t *testing.T, loops int, kind string) {
		b := start(t, loops, kind, nil)
		var done sync.WaitGroup
		talked := make(chan struct{}, 1000)
		for range 6 {
			done.Go(func() {
				for {
					c, err := b.tryDial()
					if err != nil {
						return
					}
					_, err = c.Write([]byte("hello"))
					if err == nil {
						_, err = io.ReadFull(c, make([]byte, 5))
					}
					c.Close()
					if err != nil {
						return
					}
					select {
					case talked <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 20 {
			receive(t, talked, "echo")
		}
		b.Close()
		done.Wait()
	})
}

func TestNeverStarted(t *testing.T) {
	for owner, loops := range owners {
		t.Run(owner, func(t *testing.T) {
			files := openFiles()
			s, err := transports.New(transports.Config{Loops: loops, Clock: clock}, &handler{})
			must(t, err)
			_, err = s.Listen(transports.ListenerConfig{Name: "tcp", Network: "tcp", Address: "127.0.0.1:0"})
			must(t, err)
			s.Close()
			if n := openFiles(); n > files {
				t.Errorf("%d descriptors are left", n-files)
			}
		})
	}
}

func TestTurnIDs(t *testing.T) {
	var mu sync.Mutex
	var ids []int
	b := start(t, 2, "tls", func(turn *transports.Turn, _ *peer) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, turn.ID)
	})
	b.dial()
	receive(t, b.peers, "connection")
	mu.Lock()
	defer mu.Unlock()
	if slices.ContainsFunc(ids, func(id int) bool { return id < 0 || id >= b.Turns() }) {
		t.Errorf("turns %v of %d", ids, b.Turns())
	}
}
