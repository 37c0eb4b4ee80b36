package faultlab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"nightjar/packets"
)

// Message names one Application Message of a run. Its Topic Name and payload follow from that, so that a
// receiver can tell whether it is whole.
type Message struct {
	Publisher string
	QoS       packets.QoS
	Seq       uint32 // counts the messages of Publisher and QoS from 1
}

// String is what a report calls the message.
func (m Message) String() string { return fmt.Sprintf("%s/q%d/%d", m.Publisher, m.QoS, m.Seq) }

// TopicName is the topic that the message is published to.
func (m Message) TopicName() string { return fmt.Sprintf("lab/%s/q%d", m.Publisher, m.QoS) }

// Payload is the message's text, of 20 bytes to about 1 KiB.
func (m Message) Payload() []byte {
	text := fmt.Sprintf("%s %d %d ", m.Publisher, m.QoS, m.Seq)
	size := 20 + (m.Seq*m.Seq*37)%1000
	return []byte(text + strings.Repeat(string(rune('a'+m.Seq%26)), int(size)))
}

// ParseMessage tells which message a PUBLISH carries. ok is false where it is none that a publisher has made.
func ParseMessage(topicName, payload string) (m Message, ok bool) {
	parts := strings.SplitN(payload, " ", 4)
	if len(parts) != 4 {
		return Message{}, false
	}
	qos, err := strconv.Atoi(parts[1])
	if err != nil {
		return Message{}, false
	}
	seq, err := strconv.ParseUint(parts[2], 10, 32)
	m = Message{Publisher: parts[0], QoS: packets.QoS(qos), Seq: uint32(seq)}
	return m, err == nil && m.TopicName() == topicName && string(m.Payload()) == payload
}

// Kind is what an Event tells.
type Kind byte

// The kinds of events.
const (
	Sent       Kind = iota // a publisher has sent Message for the first time; written before it does
	Acked                  // the broker has taken Message over: PUBACK, or PUBREC
	Refused                // the broker has said no: to Message or to a connection; Note is its Reason Code
	Subscribed             // SUBACK: all topics of the run, at QoS 2
	Received               // a subscriber has got Message; a PUBLISH under a QoS 2 identifier that it holds does not count
	Phantom                // a subscriber has got what nobody sent; Note is its Topic Name
	Lie                    // CONNACK had a wrong Session Present; Note says which
)

// Event is one line of a journal.
type Event struct {
	Kind    Kind
	Client  string // Client Identifier of who writes it
	Message Message
	Note    string
}

// Journal is what the clients of a run have seen, in one order for all. It is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex
	events []Event // guarded by mu
}

// Add appends an event.
func (j *Journal) Add(e Event) {
	j.mu.Lock()
	j.events = append(j.events, e)
	j.mu.Unlock()
}

// Events are all so far.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}
