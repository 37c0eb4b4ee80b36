package client

import (
	"context"
	"errors"
	"fmt"
	"net"

	"nightjar/packets"
)

// session is one MQTT connection, whatever the protocol version and the library behind it. Its methods are
// called from one goroutine.
type session interface {
	// subscribe sends one SUBSCRIBE and returns the server's answer to each filter, in their order.
	subscribe(ctx context.Context, filters []subscription) ([]answer, error)
	// unsubscribe sends one UNSUBSCRIBE. Before MQTT 5 a server cannot refuse it.
	unsubscribe(ctx context.Context, filters []string) ([]answer, error)
	// publish sends a PUBLISH and returns without waiting for its acknowledgement.
	publish(ctx context.Context, m *message) (delivery, error)
	// disconnect says goodbye and closes the network connection.
	disconnect()
	// bind returns a context that ends with ctx or with the connection, whichever is first; its cause says why.
	bind(ctx context.Context) (context.Context, context.CancelFunc)
}

// delivery waits until the server has taken the message over, or says why it has not.
type delivery func(ctx context.Context) error

// message is an Application Message, sent or received.
type message struct {
	topic      string
	payload    []byte
	qos        byte
	retain     bool
	packetID   uint16     // of a received message; 0 where QoS is 0
	properties properties // MQTT 5 only
}

// subscription is one Topic Filter of a SUBSCRIBE.
type subscription struct {
	filter         string
	qos            byte
	retainHandling byte // MQTT 5: 0 send retained messages, 2 do not
}

// answer is the server's answer to one Topic Filter.
type answer struct {
	filter string
	code   packets.ReasonCode
	text   string // Reason String; MQTT 5 has one for the whole packet
}

// receiver is who takes the messages of a session. Both functions are called from one goroutine of the session.
type receiver struct {
	// take handles a message and says whether it did. A message that was not taken is not acknowledged, so the
	// server keeps it for the next connection of a lasting session.
	take func(*message) bool
	// settled is called after the acknowledgement of a taken message is on its way, ahead of any DISCONNECT.
	settled func()
}

// open dials the server and connects. An answer that does not come within the answer timeout is an error.
func open(ctx context.Context, s *settings, r receiver) (session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.answerTimeout,
		fmt.Errorf("connect to %s: no answer within %v", s.endpoint, s.answerTimeout))
	defer cancel()
	conn, err := s.endpoint.dial(ctx, s.dialer(), s.tls)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.endpoint, causeOf(ctx, err))
	}
	if s.trace != nil {
		conn = newTracedConn(conn, s.trace, s.clientID)
	}
	connect := connect3
	if s.version == packets.V5 {
		connect = connect5
	}
	// The libraries do not watch the context while they wait for CONNACK; a closed connection wakes them.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	opened, err := connect(ctx, s, conn, r)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		if _, refused := errors.AsType[*refusal](err); refused {
			return nil, err
		}
		return nil, fmt.Errorf("connect to %s: %w", s.endpoint, causeOf(ctx, err))
	}
	return opened, nil
}

// causeOf prefers why a context ended over the error that its end gave rise to.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// errNoConnack is what a server that is no MQTT server, or does not speak this version, often gives.
var errNoConnack = errors.New("the server closed the connection instead of answering (is it an MQTT server that speaks this version? see -V)")

// loss remembers the first reason why a connection ended.
type loss struct {
	connected context.Context // ends with the connection; its cause is why
	end       context.CancelCauseFunc
}

func newLoss() *loss {
	connected, end := context.WithCancelCause(context.Background())
	return &loss{connected, end}
}

// err is nil while the connection stands.
func (l *loss) err() error { return context.Cause(l.connected) }

func (l *loss) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.connected, func() { end(l.err()) })
	return bound, func() { stop(); end(nil) }
}

// connectionLost puts a read error in words.
func connectionLost(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return errors.New("connection lost")
	}
	return fmt.Errorf("connection lost: %w", err)
}
