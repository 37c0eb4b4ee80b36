package interop

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// pahoGo3 is a client of github.com/eclipse/paho.mqtt.golang.
type pahoGo3 struct {
	url      string
	version  int
	client   mqtt.Client
	conn     net.Conn
	received chan message
}

func newPahoGo3(url string, version int) *pahoGo3 {
	return &pahoGo3{url: url, version: version, received: make(chan message, receivedMax)}
}

func (p *pahoGo3) connect(o options) (answer, error) {
	co := mqtt.NewClientOptions().AddBroker(p.url).SetProtocolVersion(uint(p.version)).
		SetClientID(o.ClientID).SetCleanSession(o.Clean).SetAutoReconnect(false)
	if o.Will != nil {
		co.SetBinaryWill(o.Will.Topic, o.Will.Payload, o.Will.QoS, o.Will.Retain)
	}
	co.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		p.received <- message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retain: m.Retained()}
	})
	co.SetCustomOpenConnectionFn(func(u *url.URL, co mqtt.ClientOptions) (net.Conn, error) {
		var err error
		switch u.Scheme {
		case "ws":
			p.conn, err = mqtt.NewWebsocket(u.String(), nil, patience, http.Header{}, co.WebsocketOptions)
		case "unix":
			p.conn, err = net.Dial("unix", u.Path)
		default:
			p.conn, err = net.Dial("tcp", u.Host)
		}
		return p.conn, err
	})
	p.client = mqtt.NewClient(co)
	token := p.client.Connect().(*mqtt.ConnectToken)
	if err := finished(token); err != nil && token.ReturnCode() == 0 {
		return answer{}, err
	}
	present := token.SessionPresent()
	return answer{Code: int(token.ReturnCode()), SessionPresent: &present}, nil
}

// finished waits for a token.
func finished(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return errors.New("no answer")
	}
	return token.Error()
}

func (p *pahoGo3) subscribe(s subscription) (answer, error) {
	token := p.client.Subscribe(s.filter, s.qos, nil).(*mqtt.SubscribeToken)
	err := finished(token)
	code, told := token.Result()[s.filter]
	if told {
		err = nil // a refusal is an error too
	}
	return answer{Code: int(code)}, err
}

func (p *pahoGo3) publish(m message) (answer, error) {
	return answer{}, finished(p.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload))
}

// burstWindow is how many messages of a burst are in flight, where the client does not mind that itself.
const burstWindow = 50

func (p *pahoGo3) burst(m message, count int) error {
	var flight []mqtt.Token
	for i := range count {
		if len(flight) == burstWindow {
			if err := finished(flight[0]); err != nil {
				return err
			}
			flight = flight[1:]
		}
		flight = append(flight, p.client.Publish(m.Topic, m.QoS, false, strconv.Itoa(i)))
	}
	for _, token := range flight {
		if err := finished(token); err != nil {
			return err
		}
	}
	return nil
}

func (p *pahoGo3) disconnect() error {
	p.client.Disconnect(250)
	return nil
}

func (p *pahoGo3) abort() error { return p.conn.Close() }

func (p *pahoGo3) messages() <-chan message { return p.received }
