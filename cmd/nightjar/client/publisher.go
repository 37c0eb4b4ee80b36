package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// publisher sends messages in order, and keeps up to inflightMax of them waiting for acknowledgement.
type publisher struct {
	session       session
	template      message // what all messages have in common
	answerTimeout time.Duration
	pause         time.Duration // between two messages
	inflightMax   int
	waiting       []delivery // oldest first
}

// run publishes all payloads. When it is interrupted it still waits for what was sent.
func (p *publisher) run(ctx context.Context, next payloads) error {
	bound, cancel := p.session.bind(ctx)
	defer cancel()
	err := p.send(bound, next)
	if err != nil && ctx.Err() == nil {
		return err
	}
	settling, cancel := p.session.bind(context.WithoutCancel(ctx))
	defer cancel()
	if err := p.settle(settling, 0); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before everything was sent")
	}
	return nil
}

func (p *publisher) send(ctx context.Context, next payloads) error {
	for {
		payload, more, err := next(ctx)
		if errors.Is(err, errNoMore) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.publish(ctx, payload); err != nil {
			return err
		}
		// With nothing at hand to send, hear what the server says to what was sent.
		if !more || p.pause > 0 {
			if err := p.settle(ctx, 0); err != nil {
				return err
			}
		}
		if more && p.pause > 0 {
			select {
			case <-time.After(p.pause):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

func (p *publisher) publish(ctx context.Context, payload []byte) error {
	if err := p.settle(ctx, p.inflightMax-1); err != nil {
		return err
	}
	m := p.template
	m.payload = payload
	ctx, cancel := p.answerWithin(ctx)
	defer cancel()
	sent, err := p.session.publish(ctx, &m)
	if err != nil {
		return err
	}
	p.waiting = append(p.waiting, sent)
	return nil
}

// settle waits until no more than left messages wait for acknowledgement.
func (p *publisher) settle(ctx context.Context, left int) error {
	for len(p.waiting) > left {
		ctx, cancel := p.answerWithin(ctx)
		err := p.waiting[0](ctx)
		cancel()
		if err != nil {
			return err
		}
		p.waiting = p.waiting[1:]
	}
	return nil
}

func (p *publisher) answerWithin(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.answerTimeout, fmt.Errorf("the server did not acknowledge within %v", p.answerTimeout))
}

// errNoMore says that everything has been sent. It is not io.EOF, which a lost connection may be as well.
var errNoMore = errors.New("nothing left to send")

// payloads returns one payload after the other, and errNoMore after the last. It waits no longer than the context.
// More says that another one is at hand already.
type payloads func(ctx context.Context) (payload []byte, more bool, err error)

// repeated gives the same payload a number of times.
func repeated(payload []byte, times uint32) payloads {
	return func(context.Context) ([]byte, bool, error) {
		if times == 0 {
			return nil, false, errNoMore
		}
		times--
		return payload, times > 0, nil
	}
}

// line is a line of standard input without its end, or why there is none.
type line struct {
	text []byte
	more bool
	err  error
}

// lineBufferBytes is how far lines reads ahead.
const lineBufferBytes = 64 << 10

// lines gives the lines of in. They are read in a goroutine of their own, so that the end of the context ends a
// wait for the next one; that goroutine lives until its read returns, since nothing can interrupt it.
func lines(in io.Reader) payloads {
	read := make(chan line)
	started := false
	return func(ctx context.Context) ([]byte, bool, error) {
		if !started {
			started = true
			new(sync.WaitGroup).Go(func() { readLines(ctx, in, read) })
		}
		select {
		case l := <-read:
			return l.text, l.more, l.err
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

func readLines(ctx context.Context, in io.Reader, read chan<- line) {
	reader := bufio.NewReaderSize(in, lineBufferBytes)
	for {
		text, err := reader.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) > 0:
			err = nil // a last line without an end; the next read says io.EOF again
		case errors.Is(err, io.EOF):
			err = errNoMore
		case err != nil:
			err = fmt.Errorf("read message: %w", err)
		}
		select {
		case read <- line{bytes.TrimSuffix(text, []byte("\n")), reader.Buffered() > 0, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
