package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"nightjar/packets"

	packets5 "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// receiveMaximum5 bounds the unacknowledged messages that a server may send. paho.golang allocates a slot for
// each at connect, and 65,535 of them without this property.
const receiveMaximum5 = 20

// session5 is an MQTT 5 session. It publishes through the library's session state instead of its client, which
// can only publish one message at a time without losing the server's answer.
type session5 struct {
	*loss
	client     *paho.Client
	conn       net.Conn // safe for concurrent writes of whole packets
	state      *acknowledger
	connack    *paho.ConnackProperties
	properties propertyFlags
}

// acknowledger is the library's session state; it acknowledges what the receiver took, and tells it so.
type acknowledger struct {
	*state.State
	receiver receiver
	taken    bool              // whether the message in hand was; used by the one delivering goroutine only
	aliases  map[uint16]string // Topic Alias → Topic Name; same goroutine
}

// connect5 connects over an open network connection, which it owns from then on.
func connect5(ctx context.Context, s *settings, conn net.Conn, r receiver) (session, error) {
	opened := &session5{
		loss:       newLoss(),
		conn:       packets5.NewThreadSafeConn(withWill(conn, s.will)),
		state:      &acknowledger{State: state.NewInMemory(), receiver: r, aliases: map[uint16]string{}},
		properties: s.properties,
	}
	opened.client = paho.NewClient(paho.ClientConfig{
		Conn:              opened.conn,
		Session:           opened.state,
		PingHandler:       latePinger{paho.NewDefaultPinger()},
		PacketTimeout:     2 * s.answerTimeout, // the callers' contexts end first, and know why
		AuthHandler:       &fixedAuth{s.properties[commandConnect]},
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){opened.state.deliver},
		OnClientError:     func(err error) { opened.end(connectionLost(err)) },
		OnServerDisconnect: func(d *paho.Disconnect) {
			opened.end(&refusal{what: "disconnected by the server", code: packets.ReasonCode(d.ReasonCode), version: packets.V5, text: d.Properties.ReasonString})
		},
	})
	connack, err := opened.client.Connect(ctx, connectPacket5(s))
	switch {
	case connack != nil && packets.ReasonCode(connack.ReasonCode).IsError():
		return nil, refused5(connack)
	case errors.Is(err, io.EOF):
		return nil, errNoConnack
	case err != nil:
		return nil, err
	}
	opened.connack = connack.Properties
	return opened, nil
}

// refused5 adds where to go instead, if the server says so.
func refused5(c *paho.Connack) error {
	text := c.Properties.ReasonString
	if server := c.Properties.ServerReference; server != "" {
		text = fmt.Sprintf("%s [the server points to %s]", text, server)
	}
	return &refusal{what: "connection refused", code: packets.ReasonCode(c.ReasonCode), version: packets.V5, text: text}
}

func connectPacket5(s *settings) *paho.Connect {
	p := s.properties[commandConnect]
	if p.receiveMaximum == nil {
		p.receiveMaximum = new(uint16(receiveMaximum5))
	}
	c := &paho.Connect{
		ClientID:     s.clientID,
		Username:     s.username,
		UsernameFlag: s.username != "",
		Password:     s.password,
		PasswordFlag: s.password != nil,
		KeepAlive:    s.keepAliveSeconds,
		CleanStart:   s.cleanStart,
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: p.sessionExpiry,
			ReceiveMaximum:        p.receiveMaximum,
			TopicAliasMaximum:     p.topicAliasMaximum,
			MaximumPacketSize:     p.maximumPacketSize,
			RequestProblemInfo:    p.requestProblem == nil || *p.requestProblem == 1,
			RequestResponseInfo:   p.requestResponse != nil && *p.requestResponse == 1,
			AuthMethod:            p.authMethod,
			AuthData:              p.authData,
			User:                  p.user,
		},
	}
	if w := s.will; w != nil {
		c.WillMessage = &paho.WillMessage{Topic: w.topic, Payload: w.payload, QoS: w.qos, Retain: w.retain}
		c.WillProperties = &paho.WillProperties{
			WillDelayInterval: w.properties.willDelay,
			User:              w.properties.user, // withWill adds the others
		}
	}
	return c
}

func (s *session5) subscribe(ctx context.Context, filters []subscription) ([]answer, error) {
	packet := &paho.Subscribe{Properties: &paho.SubscribeProperties{
		SubscriptionIdentifier: s.properties[commandSubscribe].subscriptionID,
		User:                   s.properties[commandSubscribe].user,
	}}
	names := make([]string, len(filters))
	for i, f := range filters {
		names[i] = f.filter
		packet.Subscriptions = append(packet.Subscriptions, paho.SubscribeOptions{Topic: f.filter, QoS: f.qos, RetainHandling: f.retainHandling})
	}
	ctx, cancel := s.bind(ctx)
	defer cancel()
	suback, err := s.client.Subscribe(ctx, packet)
	if suback == nil {
		return nil, s.reasonOf(ctx, err)
	}
	return answers5(names, suback.Reasons, suback.Properties.ReasonString)
}

func (s *session5) unsubscribe(ctx context.Context, filters []string) ([]answer, error) {
	ctx, cancel := s.bind(ctx)
	defer cancel()
	unsuback, err := s.client.Unsubscribe(ctx, &paho.Unsubscribe{
		Topics:     filters,
		Properties: &paho.UnsubscribeProperties{User: s.properties[commandUnsubscribe].user},
	})
	if unsuback == nil {
		return nil, s.reasonOf(ctx, err)
	}
	return answers5(filters, unsuback.Reasons, unsuback.Properties.ReasonString)
}

func answers5(filters []string, codes []byte, text string) ([]answer, error) {
	if len(codes) != len(filters) {
		return nil, fmt.Errorf("the server answered %d topic filters with %d reason codes", len(filters), len(codes))
	}
	answers := make([]answer, len(filters))
	for i, filter := range filters {
		answers[i] = answer{filter: filter, code: packets.ReasonCode(codes[i]), text: text}
	}
	return answers, nil
}

func (s *session5) publish(ctx context.Context, m *message) (delivery, error) {
	if err := s.check(m); err != nil {
		return nil, err
	}
	p := m.properties
	packet := (&paho.Publish{
		Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retain,
		Properties: &paho.PublishProperties{
			PayloadFormat:   p.payloadFormat,
			MessageExpiry:   p.messageExpiry,
			ContentType:     p.contentType,
			ResponseTopic:   p.responseTopic,
			CorrelationData: p.correlationData,
			TopicAlias:      p.topicAlias,
			User:            p.user,
		},
	}).Packet()
	acknowledged := make(chan packets5.ControlPacket, 1)
	if m.qos > 0 {
		// Waits while the server's Receive Maximum is used up.
		if err := s.state.AddToSession(ctx, packet, acknowledged); err != nil {
			return nil, s.reasonOf(ctx, err)
		}
	}
	if _, err := packet.WriteTo(s.conn); err != nil {
		return nil, s.reasonOf(ctx, err)
	}
	return func(ctx context.Context) error {
		if m.qos == 0 {
			return nil
		}
		ctx, cancel := s.bind(ctx)
		defer cancel()
		select {
		case response := <-acknowledged:
			return s.acknowledgement(ctx, &response)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, nil
}

// check refuses what the server said in CONNACK that it would not take.
func (s *session5) check(m *message) error {
	c := s.connack
	switch {
	case c.MaximumQoS != nil && m.qos > *c.MaximumQoS:
		return fmt.Errorf("publish refused: the server takes QoS %d at most, use -q %[1]d", *c.MaximumQoS)
	case m.retain && !c.RetainAvailable:
		return errors.New("publish refused: the server keeps no retained messages, leave -r out")
	case m.properties.topicAlias != nil && (c.TopicAliasMaximum == nil || *m.properties.topicAlias > *c.TopicAliasMaximum):
		return errors.New("publish refused: the topic-alias is over the server's Topic Alias Maximum")
	}
	return nil
}

// acknowledgement reads the last packet of a QoS 1 or QoS 2 flow.
func (s *session5) acknowledgement(ctx context.Context, response *packets5.ControlPacket) error {
	var code byte
	var properties *packets5.Properties
	switch ack := response.Content.(type) {
	case *packets5.Puback:
		code, properties = ack.ReasonCode, ack.Properties
	case *packets5.Pubrec:
		code, properties = ack.ReasonCode, ack.Properties
	case *packets5.Pubcomp:
		code, properties = ack.ReasonCode, ack.Properties
	default: // The session state ended the flow: the connection is gone, and the reason is about to be known.
		return s.reasonOf(ctx, errors.New("connection lost before the message was acknowledged"))
	}
	refused := &refusal{what: "publish refused", code: packets.ReasonCode(code), version: packets.V5}
	if !refused.code.IsError() {
		return nil
	}
	if properties != nil {
		refused.text = properties.ReasonString
	}
	return refused
}

// reasonOf prefers why the connection or the context ended over the error that their end gave rise to.
func (s *session5) reasonOf(ctx context.Context, err error) error {
	if errors.Is(err, paho.ErrInvalidArguments) {
		return err
	}
	// Every other error of the library means one of the two, and it reports every loss.
	ctx, cancel := s.bind(ctx)
	defer cancel()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *session5) disconnect() {
	p := s.properties[commandDisconnect]
	// The connection is closed whether or not the server hears the goodbye.
	_ = s.client.Disconnect(&paho.Disconnect{Properties: &paho.DisconnectProperties{
		SessionExpiryInterval: p.sessionExpiry,
		User:                  p.user,
	}})
	_ = s.state.Close()
}

// deliver hands a received message to the receiver; Ack follows on the same goroutine.
func (a *acknowledger) deliver(received paho.PublishReceived) (bool, error) {
	p := received.Packet
	m := &message{topic: p.Topic, payload: p.Payload, qos: p.QoS, retain: p.Retain, packetID: p.PacketID, properties: properties{
		payloadFormat:   p.Properties.PayloadFormat,
		messageExpiry:   p.Properties.MessageExpiry,
		contentType:     p.Properties.ContentType,
		responseTopic:   p.Properties.ResponseTopic,
		correlationData: p.Properties.CorrelationData,
		topicAlias:      p.Properties.TopicAlias,
		subscriptionID:  p.Properties.SubscriptionIdentifier,
		user:            p.Properties.User,
	}}
	if alias := p.Properties.TopicAlias; alias != nil {
		if m.topic == "" {
			m.topic = a.aliases[*alias]
		}
		a.aliases[*alias] = m.topic
	}
	a.taken = a.receiver.take(m)
	return true, nil
}

// Ack is called by the library after deliver, for every QoS.
func (a *acknowledger) Ack(p *packets5.Publish) error {
	if !a.taken {
		return nil
	}
	err := a.State.Ack(p)
	a.receiver.settled()
	return err
}

// latePinger does not send the library's PINGREQ right after CONNACK, which nobody needs and which could follow
// the DISCONNECT of a short run.
type latePinger struct{ *paho.DefaultPinger }

func (p latePinger) Run(ctx context.Context, conn net.Conn, keepAliveSeconds uint16) error {
	if keepAliveSeconds == 0 {
		return nil
	}
	select {
	case <-time.After(time.Duration(keepAliveSeconds) * time.Second * 3 / 4):
		return p.DefaultPinger.Run(ctx, conn, keepAliveSeconds)
	case <-ctx.Done():
		return nil
	}
}

// fixedAuth answers every AUTH with the data given on the command line: enough for methods of one step.
type fixedAuth struct{ connect properties }

func (f *fixedAuth) Authenticate(*paho.Auth) *paho.Auth {
	return &paho.Auth{ReasonCode: packets5.AuthContinueAuthentication, Properties: &paho.AuthProperties{
		AuthMethod: f.connect.authMethod, AuthData: f.connect.authData,
	}}
}

func (f *fixedAuth) Authenticated() {}
