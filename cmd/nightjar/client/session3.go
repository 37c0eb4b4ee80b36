package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"time"

	"nightjar/packets"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// disconnectMilliseconds is how long MQTT 3 may take to send DISCONNECT and stop its goroutines.
const disconnectMilliseconds = 1000

// session3 is an MQTT 3.1 or 3.1.1 session.
type session3 struct {
	*loss
	client mqtt.Client
}

// connect3 connects over an open network connection, which it owns from then on.
func connect3(ctx context.Context, s *settings, conn net.Conn, r receiver) (session, error) {
	opened := &session3{loss: newLoss()}
	recorder := &connackRecorder{Conn: conn}
	opened.client = mqtt.NewClient(options3(s, recorder, r, opened.loss))
	token := opened.client.Connect()
	err := opened.wait(ctx, token)
	switch {
	case ctx.Err() != nil:
		return nil, err
	case recorder.returnCode() != packets.Success:
		if err == nil {
			opened.disconnect() // the library believes that it is connected
		}
		return nil, &refusal{what: "connection refused", code: recorder.returnCode(), version: s.version}
	case errors.Is(err, io.EOF):
		return nil, errNoConnack
	case err != nil:
		return nil, err
	}
	return opened, nil
}

// connackRecorder keeps the return code of CONNACK: the library takes one that it does not know for success.
type connackRecorder struct {
	net.Conn
	head []byte // at least the CONNACK, once it has come
}

// connackBytes is the size of every CONNACK before MQTT 5; the return code is its last byte.
const connackBytes = 4

func (c *connackRecorder) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if len(c.head) < connackBytes {
		c.head = append(c.head, p[:n]...)
	}
	return n, err
}

// returnCode may be called once the library has read CONNACK, or given up.
func (c *connackRecorder) returnCode() packets.ReasonCode {
	if len(c.head) < connackBytes {
		return packets.Success
	}
	return packets.ReasonCode(c.head[connackBytes-1])
}

// options3 turns the library's own dialling, reconnecting and acknowledging off.
func options3(s *settings, conn net.Conn, r receiver, l *loss) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().
		AddBroker("tcp://" + s.endpoint.address).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return conn, nil }).
		SetProtocolVersion(uint(s.version)).
		SetClientID(s.clientID).
		SetUsername(s.username).
		SetPassword(string(s.password)).
		SetCleanSession(s.cleanStart).
		SetKeepAlive(time.Duration(s.keepAliveSeconds) * time.Second).
		SetConnectTimeout(2 * s.answerTimeout). // the context ends first, and knows why
		SetAutoReconnect(false).
		SetOrderMatters(true).
		SetAutoAckDisabled(true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.end(connectionLost(err)) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			received := &message{topic: m.Topic(), payload: m.Payload(), qos: m.Qos(), retain: m.Retained(), packetID: m.MessageID()}
			if r.take(received) {
				m.Ack()
				r.settled()
			}
		})
	if w := s.will; w != nil {
		o.SetBinaryWill(w.topic, w.payload, w.qos, w.retain)
	}
	return o
}

func (s *session3) subscribe(ctx context.Context, filters []subscription) ([]answer, error) {
	wanted := make(map[string]byte, len(filters))
	for _, f := range filters {
		wanted[f.filter] = f.qos
	}
	token := s.client.SubscribeMultiple(wanted, nil).(*mqtt.SubscribeToken)
	if err := s.wait(ctx, token); err != nil {
		return nil, err
	}
	answers := make([]answer, len(filters))
	for i, f := range filters {
		answers[i] = answer{filter: f.filter, code: packets.ReasonCode(token.Result()[f.filter])}
	}
	return answers, nil
}

func (s *session3) unsubscribe(ctx context.Context, filters []string) ([]answer, error) {
	return nil, s.wait(ctx, s.client.Unsubscribe(filters...))
}

func (s *session3) publish(_ context.Context, m *message) (delivery, error) {
	token := s.client.Publish(m.topic, m.qos, m.retain, m.payload)
	return func(ctx context.Context) error { return s.wait(ctx, token) }, nil
}

func (s *session3) disconnect() { s.client.Disconnect(disconnectMilliseconds) }

// wait waits for the end of a flow, or for what makes it impossible.
func (s *session3) wait(ctx context.Context, token mqtt.Token) error {
	ctx, cancel := s.bind(ctx)
	defer cancel()
	select {
	case <-token.Done():
		return cmp.Or(s.err(), token.Error())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
