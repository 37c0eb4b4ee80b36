package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"nightjar/packets"
	"nightjar/topics"
)

// printer writes each message at once, with one write.
type printer struct {
	out    io.Writer
	render render
	line   []byte // reused
}

func (p *printer) print(m *message) error {
	line, err := p.render.append(p.line[:0], m, time.Now())
	if err != nil {
		return err
	}
	p.line = line
	if _, err := p.out.Write(line); err != nil {
		return &printError{err}
	}
	return nil
}

// printError says that nothing can be printed any more.
type printError struct{ err error }

func (e *printError) Error() string { return "print message: " + e.err.Error() }

// subscriber takes messages until it has had enough.
type subscriber struct {
	flags   *subscribeFlags
	version packets.Version
	printer *printer
	notes   io.Writer // standard error
	palette palette

	finished chan struct{} // closed when enough was printed, and acknowledged

	mu     sync.Mutex
	count  uint64 // messages printed; guarded by mu
	enough bool   // no more will be taken; guarded by mu
	err    error  // why nothing can be printed any more; guarded by mu
}

func newSubscriber(f *subscribeFlags, version packets.Version, p *printer, notes io.Writer) *subscriber {
	return &subscriber{flags: f, version: version, printer: p, notes: notes, palette: paletteFor(notes), finished: make(chan struct{})}
}

// take prints a message. What comes after the last message asked for is left with the server.
func (s *subscriber) take(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flags
	switch {
	case s.enough:
		return false
	case f.retainedOnly && !m.retain:
		s.enough = true
		close(s.finished)
		return false
	case f.noStale && m.retain, slices.ContainsFunc(f.filteredOut, func(filter string) bool { return topics.Match(filter, m.topic) }):
		return true
	}
	if err := s.printer.print(m); err != nil {
		if _, broken := errors.AsType[*printError](err); broken {
			s.err, s.enough = err, true
			close(s.finished)
			return false
		}
		s.note(err)
	}
	s.count++
	s.enough = f.count > 0 && s.count == f.count
	return true
}

// settled ends the run once the acknowledgement of the last message is on its way.
func (s *subscriber) settled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enough {
		close(s.finished)
	}
}

func (s *subscriber) printed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// run subscribes, and returns when there is nothing more to wait for.
func (s *subscriber) run(ctx context.Context, opened session, answerTimeout time.Duration) error {
	ctx, cancel := opened.bind(ctx)
	defer cancel()
	if err := s.subscribe(ctx, opened, answerTimeout); err != nil {
		return err
	}
	if s.flags.exitAfterSubscribe {
		return nil
	}
	select {
	case <-s.finished:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *subscriber) subscribe(ctx context.Context, opened session, answerTimeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("the server did not answer the subscription within %v", answerTimeout))
	defer cancel()
	if len(s.flags.filters) > 0 {
		wanted := make([]subscription, len(s.flags.filters))
		for i, filter := range s.flags.filters {
			wanted[i] = subscription{filter: filter, qos: s.flags.qos}
			if s.flags.noStale {
				wanted[i].retainHandling = 2
			}
		}
		answers, err := opened.subscribe(ctx, wanted)
		if err != nil {
			return err
		}
		if s.refused("subscription", answers) == len(wanted) {
			return errors.New("the server refused every topic filter")
		}
	}
	if len(s.flags.unsubscribe) > 0 {
		answers, err := opened.unsubscribe(ctx, s.flags.unsubscribe)
		if err != nil {
			return err
		}
		s.refused("unsubscription", answers)
	}
	return nil
}

// refused names the filters that were refused and counts them.
func (s *subscriber) refused(what string, answers []answer) (refused int) {
	for _, a := range answers {
		if a.code.IsError() {
			refused++
			s.note(&refusal{what: fmt.Sprintf("%s to %q refused", what, a.filter), code: a.code, version: s.version, text: a.text})
		}
	}
	return refused
}

// note tells something that does not end the run.
func (s *subscriber) note(err error) {
	if !s.flags.quiet {
		fmt.Fprintf(s.notes, "%s %v\n", s.palette.fault("nightjar sub:"), err)
	}
}
