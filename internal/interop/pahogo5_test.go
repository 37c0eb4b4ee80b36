package interop

import (
	"context"
	"net"
	"net/url"
	"strconv"

	"github.com/eclipse/paho.golang/paho"
)

// pahoGo5 is a client of github.com/eclipse/paho.golang.
type pahoGo5 struct {
	url      string
	client   *paho.Client
	conn     net.Conn
	aliases  map[uint16]string // of the broker: the library leaves them to its user
	received chan message
}

func newPahoGo5(url string) *pahoGo5 {
	return &pahoGo5{url: url, received: make(chan message, receivedMax)}
}

func (p *pahoGo5) connect(o options) (answer, error) {
	u, err := url.Parse(p.url)
	if err != nil {
		return answer{}, err
	}
	if u.Scheme == "unix" {
		p.conn, err = net.Dial("unix", u.Path)
	} else {
		p.conn, err = net.Dial("tcp", u.Host)
	}
	if err != nil {
		return answer{}, err
	}
	p.aliases = map[uint16]string{}
	p.client = paho.NewClient(paho.ClientConfig{
		ClientID: o.ClientID, Conn: p.conn, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){p.receive},
	})
	c := &paho.Connect{ClientID: o.ClientID, CleanStart: o.Clean, KeepAlive: 60, Properties: &paho.ConnectProperties{
		SessionExpiryInterval: paho.Uint32(o.SessionExpiry), RequestProblemInfo: true,
		ReceiveMaximum: paho.Uint16(max(o.ReceiveMaximum, 20)),
	}}
	if o.TopicAliasMaximum > 0 {
		c.Properties.TopicAliasMaximum = paho.Uint16(o.TopicAliasMaximum)
	}
	if o.Will != nil {
		c.WillMessage = &paho.WillMessage{Topic: o.Will.Topic, Payload: o.Will.Payload, QoS: o.Will.QoS, Retain: o.Will.Retain}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := p.client.Connect(ctx, c)
	if ack == nil {
		return answer{}, err
	}
	return answer{Code: int(ack.ReasonCode), Reason: ack.Properties.ReasonString, SessionPresent: &ack.SessionPresent}, nil
}

// receive takes a message; the library calls it in one goroutine.
func (p *pahoGo5) receive(r paho.PublishReceived) (bool, error) {
	in := r.Packet
	topic := in.Topic
	if alias := in.Properties.TopicAlias; alias != nil {
		if topic == "" {
			topic = p.aliases[*alias]
		}
		p.aliases[*alias] = topic
	}
	m := message{Topic: topic, Payload: in.Payload, QoS: in.QoS, Retain: in.Retain, Properties: properties{
		ContentType: in.Properties.ContentType, ResponseTopic: in.Properties.ResponseTopic,
		CorrelationData: in.Properties.CorrelationData,
	}}
	if in.Properties.MessageExpiry != nil {
		m.Properties.MessageExpiry = *in.Properties.MessageExpiry
	}
	if in.Properties.PayloadFormat != nil {
		m.Properties.PayloadFormat = *in.Properties.PayloadFormat
	}
	if in.Properties.SubscriptionIdentifier != nil {
		m.Properties.SubscriptionIDs = []int{*in.Properties.SubscriptionIdentifier}
	}
	for _, user := range in.Properties.User {
		m.Properties.UserProperties = append(m.Properties.UserProperties, [2]string{user.Key, user.Value})
	}
	p.received <- m
	return true, nil
}

func (p *pahoGo5) subscribe(s subscription) (answer, error) {
	c := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: s.filter, QoS: s.qos}}}
	if s.id > 0 {
		c.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &s.id}
	}
	ack, err := p.client.Subscribe(context.Background(), c)
	if ack == nil {
		return answer{}, err
	}
	return answer{Code: int(ack.Reasons[0]), Reason: ack.Properties.ReasonString}, nil
}

// packetOf is the library's form of a message.
func packetOf(m message) *paho.Publish {
	c := &paho.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: &paho.PublishProperties{
		ContentType: m.Properties.ContentType, ResponseTopic: m.Properties.ResponseTopic,
		CorrelationData: m.Properties.CorrelationData,
	}}
	if m.Properties.MessageExpiry > 0 {
		c.Properties.MessageExpiry = &m.Properties.MessageExpiry
	}
	if m.Properties.PayloadFormat > 0 {
		c.Properties.PayloadFormat = &m.Properties.PayloadFormat
	}
	if m.Properties.TopicAlias > 0 {
		c.Properties.TopicAlias = &m.Properties.TopicAlias
	}
	for _, user := range m.Properties.UserProperties {
		c.Properties.User.Add(user[0], user[1])
	}
	return c
}

func (p *pahoGo5) publish(m message) (answer, error) {
	ack, err := p.client.Publish(context.Background(), packetOf(m))
	if ack == nil || m.QoS == 0 {
		return answer{}, err
	}
	return answer{Code: int(ack.ReasonCode), Reason: ack.Properties.ReasonString}, nil
}

// burst leaves it to the library to mind the broker's Receive Maximum.
func (p *pahoGo5) burst(m message, count int) error {
	for i := range count {
		m.Payload = []byte(strconv.Itoa(i))
		_, err := p.client.PublishWithOptions(context.Background(), packetOf(m), paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
		if err != nil {
			return err
		}
		if m.Properties.TopicAlias > 0 {
			m.Topic = ""
		}
	}
	return nil
}

func (p *pahoGo5) disconnect() error { return p.client.Disconnect(&paho.Disconnect{}) }

func (p *pahoGo5) abort() error { return p.conn.Close() }

func (p *pahoGo5) messages() <-chan message { return p.received }
