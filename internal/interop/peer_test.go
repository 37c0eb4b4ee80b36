package interop

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// peer is one client of a library or program.
type peer interface {
	// connect connects, with the peer's subscriptions of before where its program cannot do without.
	connect(options) (answer, error)
	subscribe(subscription) (answer, error)
	// publish returns when the broker has answered, at QoS 0 when the message is sent.
	publish(message) (answer, error)
	// burst publishes the numbers 0 to count-1 to one topic, in order. With a Topic Alias all but the first have no
	// other topic than that.
	burst(m message, count int) error
	disconnect() error
	abort() error // ends the network connection without DISCONNECT
	messages() <-chan message
}

// options are those of a connection. The JSON names are those of the scripts.
type options struct {
	ClientID          string   `json:"clientId"`
	Clean             bool     `json:"clean,omitempty"`
	SessionExpiry     uint32   `json:"sessionExpiry,omitempty"` // seconds; version 5 only
	ReceiveMaximum    uint16   `json:"receiveMaximum,omitempty"`
	TopicAliasMaximum uint16   `json:"topicAliasMaximum,omitempty"`
	Will              *message `json:"will,omitempty"`
}

// subscription is one SUBSCRIBE; id is the Subscription Identifier, 0: none.
type subscription struct {
	filter string
	qos    byte
	id     int
}

// message is one Application Message, sent or received.
type message struct {
	Topic      string     `json:"topic"`
	Payload    []byte     `json:"payload"`
	QoS        byte       `json:"qos,omitempty"`
	Retain     bool       `json:"retain,omitempty"`
	Properties properties `json:"properties,omitzero"`
}

// properties are those of a PUBLISH.
type properties struct {
	ContentType     string      `json:"contentType,omitempty"`
	ResponseTopic   string      `json:"responseTopic,omitempty"`
	CorrelationData []byte      `json:"correlationData,omitempty"`
	MessageExpiry   uint32      `json:"messageExpiry,omitempty"` // seconds
	PayloadFormat   byte        `json:"payloadFormat,omitempty"`
	TopicAlias      uint16      `json:"topicAlias,omitempty"`
	SubscriptionIDs []int       `json:"subscriptionIds,omitempty"`
	UserProperties  [][2]string `json:"userProperties,omitempty"`
}

// answer is what the broker has answered, as far as the client tells.
type answer struct {
	Code           int    `json:"code,omitempty"`
	Reason         string `json:"reason,omitempty"`
	SessionPresent *bool  `json:"sessionPresent,omitempty"` // nil: not told
}

// actor is a peer in the hands of a test, which any fault ends.
type actor struct {
	peer
	test *testing.T
	id   string // Client Identifier
}

func (a *actor) must(err error) {
	a.test.Helper()
	if err != nil {
		a.test.Fatalf("%s: %v", a.id, err)
	}
}

// accepted is an answer that must not be a refusal.
func (a *actor) accepted(ans answer, err error) answer {
	a.test.Helper()
	a.must(err)
	if ans.Code >= 0x80 {
		a.test.Fatalf("%s: refused with 0x%02x %s", a.id, ans.Code, ans.Reason)
	}
	return ans
}

// open connects. The session is clean, but for what is set in o.
func (a *actor) open(o options) answer {
	a.test.Helper()
	o.ClientID = a.id
	ans := a.accepted(a.connect(o))
	if ans.Code != 0 {
		a.test.Fatalf("%s: CONNACK with %d", a.id, ans.Code)
	}
	return ans
}

func (a *actor) listen(filter string, qos byte) {
	a.test.Helper()
	if ans := a.accepted(a.subscribe(subscription{filter: filter, qos: qos})); ans.Code != int(qos) {
		a.test.Fatalf("%s: SUBACK with %d, want %d", a.id, ans.Code, qos)
	}
}

func (a *actor) send(m message) {
	a.test.Helper()
	a.accepted(a.publish(m))
}

func (a *actor) close() {
	a.test.Helper()
	a.must(a.disconnect())
}

// receive is the next message.
func (a *actor) receive() message {
	a.test.Helper()
	select {
	case m := <-a.messages():
		return m
	case <-time.After(patience):
		a.test.Fatalf("%s: no message has come in %v", a.id, patience)
		return message{}
	}
}

// want takes the next messages, which must be these.
func (a *actor) want(list ...message) {
	a.test.Helper()
	for _, want := range list {
		if got := a.receive(); !same(got, want) {
			a.test.Fatalf("%s: got %v, want %v", a.id, got, want)
		}
	}
}

// same compares two messages; an empty list is one that is not there.
func same(a, b message) bool {
	return a.Topic == b.Topic && string(a.Payload) == string(b.Payload) && a.QoS == b.QoS && a.Retain == b.Retain &&
		a.Properties.equal(b.Properties)
}

func (p properties) equal(q properties) bool {
	return string(p.CorrelationData) == string(q.CorrelationData) && slices.Equal(p.SubscriptionIDs, q.SubscriptionIDs) &&
		slices.Equal(p.UserProperties, q.UserProperties) && reflect.DeepEqual(p.plain(), q.plain())
}

// plain is without the lists.
func (p properties) plain() properties {
	p.CorrelationData, p.SubscriptionIDs, p.UserProperties = nil, nil, nil
	return p
}

// String is for failures: long payloads are cut.
func (m message) String() string {
	payload := fmt.Sprintf("%q", m.Payload)
	if len(m.Payload) > 40 {
		payload = fmt.Sprintf("%d bytes %q…", len(m.Payload), m.Payload[:40])
	}
	flags := fmt.Sprintf("QoS %d", m.QoS)
	if m.Retain {
		flags += ", retain"
	}
	return strings.TrimSpace(fmt.Sprintf("{%s: %s, %s, %+v}", m.Topic, payload, flags, m.Properties))
}
