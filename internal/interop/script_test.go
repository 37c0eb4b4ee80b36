package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// command is what a script is told, a line of JSON.
type command struct {
	Peer           int      `json:"peer"` // a client of the script's, by number
	Op             string   `json:"op"`   // a method of peer
	URL            string   `json:"url,omitempty"`
	Version        int      `json:"version,omitempty"` // 3, 4 or 5, as in CONNECT
	Options        *options `json:"options,omitempty"`
	Filter         string   `json:"filter,omitempty"`
	QoS            byte     `json:"qos,omitempty"`
	SubscriptionID int      `json:"subscriptionId,omitempty"`
	Message        *message `json:"message,omitempty"`
	Count          int      `json:"count,omitempty"`
}

// report is what a script says: the answer to its last command for a peer, or a message that has come.
type report struct {
	Peer   int `json:"peer"`
	Answer *struct {
		answer
		Error string `json:"error"`
	} `json:"answer"`
	Message *message `json:"message"`
}

// host is a script that plays any number of clients.
type host struct {
	tell func(line []byte) error
	over chan struct{} // closed when nothing more is reported; nil: never

	mu    sync.Mutex
	peers []*scripted // guarded by mu
}

// scripted is one client of a host.
type scripted struct {
	host     *host
	number   int
	url      string
	version  int
	answers  chan report
	received chan message
}

// receivedMax is how many messages may wait for a test to look at them.
const receivedMax = 5000

func (h *host) newPeer(url string, version int) *scripted {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &scripted{
		host: h, number: len(h.peers), url: url, version: version,
		answers: make(chan report, 1), received: make(chan message, receivedMax),
	}
	h.peers = append(h.peers, p)
	return p
}

// handle takes one report.
func (h *host) handle(line []byte) error {
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("report %q: %w", line, err)
	}
	h.mu.Lock()
	p := h.peers[r.Peer]
	h.mu.Unlock()
	if r.Message != nil {
		p.received <- *r.Message
	} else {
		p.answers <- r
	}
	return nil
}

// startScript runs a script that reads commands from its input and writes reports to its output.
func startScript(t *testing.T, name string, args ...string) *host {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run .ci/deps to install it", err)
	}
	h := &host{over: make(chan struct{}), tell: func(line []byte) error {
		_, err := in.Write(append(line, '\n'))
		return err
	}}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(h.over)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err == nil {
				err = h.handle(line)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		reading.Wait()
		_ = cmd.Wait()
		if stderr.Len() > 0 {
			t.Errorf("%s %v says: %s", name, args, &stderr)
		}
	})
	return h
}

// call gives a command and waits for its answer.
func (p *scripted) call(c command) (answer, error) {
	c.Peer = p.number
	line, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	if err := p.host.tell(line); err != nil {
		return answer{}, fmt.Errorf("%s: %w", c.Op, err)
	}
	select {
	case r := <-p.answers:
		if r.Answer.Error != "" {
			return answer{}, fmt.Errorf("%s: %s", c.Op, r.Answer.Error)
		}
		return r.Answer.answer, nil
	case <-p.host.over:
		return answer{}, fmt.Errorf("%s: the script has ended; what it needs is installed by .ci/deps", c.Op)
	case <-time.After(patience):
		return answer{}, fmt.Errorf("%s: no answer from the script in %v", c.Op, patience)
	}
}

func (p *scripted) connect(o options) (answer, error) {
	return p.call(command{Op: "connect", URL: p.url, Version: p.version, Options: &o})
}

func (p *scripted) subscribe(s subscription) (answer, error) {
	return p.call(command{Op: "subscribe", Filter: s.filter, QoS: s.qos, SubscriptionID: s.id})
}

func (p *scripted) publish(m message) (answer, error) {
	return p.call(command{Op: "publish", Message: &m})
}

func (p *scripted) burst(m message, count int) error {
	_, err := p.call(command{Op: "burst", Message: &m, Count: count})
	return err
}

func (p *scripted) disconnect() error {
	_, err := p.call(command{Op: "disconnect"})
	return err
}

func (p *scripted) abort() error {
	_, err := p.call(command{Op: "abort"})
	return err
}

func (p *scripted) messages() <-chan message { return p.received }
