package faultlab

import (
	"fmt"
	"strings"

	"nightjar/packets"
)

// Report is what Check has found. A run without faults has only counts.
type Report struct {
	Lost       []string // acknowledged to the publisher, and never received by a subscriber of before
	Duplicates []string // QoS 2, received more than once
	Phantoms   []string // received, but never sent, or not as it was sent
	Reordered  []string // received for the first time after a later one of the same publisher, topic and QoS, and sent after the subscription
	Lies       []string // Session Present was not the truth
	Refusals   []string // what the broker refused, though nothing was wrong with it

	SentCount, AckedCount, ReceivedCount int
	Repeats                              int // QoS 1, received again: allowed after a lost connection
}

// Faults is the number of faults of all kinds.
func (r *Report) Faults() int {
	return len(r.Lost) + len(r.Duplicates) + len(r.Phantoms) + len(r.Reordered) + len(r.Lies) + len(r.Refusals)
}

// listedMax is how many faults of a kind a report lists.
const listedMax = 10

// String is the report for a reader.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sent, %d acknowledged, %d received, %d of these again at QoS 1\n", r.SentCount, r.AckedCount, r.ReceivedCount, r.Repeats)
	for _, kind := range []struct {
		name string
		list []string
	}{
		{"lost", r.Lost},
		{"QoS 2 duplicates", r.Duplicates},
		{"phantoms", r.Phantoms},
		{"reordered", r.Reordered},
		{"Session Present lies", r.Lies},
		{"refusals", r.Refusals},
	} {
		fmt.Fprintf(&b, "%d %s\n", len(kind.list), kind.name)
		for i, fault := range kind.list {
			if i == listedMax {
				fmt.Fprintf(&b, "  … and %d more\n", len(kind.list)-i)
				break
			}
			fmt.Fprintf(&b, "  %s\n", fault)
		}
	}
	return b.String()
}

// stream is what order is kept in, at one subscriber.
type stream struct {
	subscriber, publisher string
	qos                   packets.QoS
}

// delivery is a message at one subscriber.
type delivery struct {
	subscriber string
	message    Message
}

// checker is the state of Check.
type checker struct {
	report     Report
	subscribed map[string]int // subscriber to the event
	sent       map[Message]int
	acked      map[Message]bool
	received   map[delivery]int // how often
	last       map[stream]uint32
}

// Check reads the journal of a run that has come to rest: all clients are connected, and nothing is on its way.
func Check(events []Event) *Report {
	c := &checker{
		subscribed: map[string]int{}, sent: map[Message]int{}, acked: map[Message]bool{},
		received: map[delivery]int{}, last: map[stream]uint32{},
	}
	for i := range events {
		c.event(i, &events[i])
	}
	for _, e := range events { // in the order of the journal, so that a report is the same each time
		if e.Kind == Acked && c.acked[e.Message] {
			c.acked[e.Message] = false
			c.owed(e.Message)
		}
	}
	return &c.report
}

func (c *checker) event(i int, e *Event) {
	r := &c.report
	switch e.Kind {
	case Sent:
		c.sent[e.Message] = i
		r.SentCount++
	case Acked:
		if !c.acked[e.Message] {
			r.AckedCount++
		}
		c.acked[e.Message] = true
	case Refused:
		r.Refusals = append(r.Refusals, fmt.Sprintf("%s: %v: %s", e.Client, e.Message, e.Note))
	case Subscribed:
		if _, again := c.subscribed[e.Client]; !again {
			c.subscribed[e.Client] = i
		}
	case Received:
		c.receipt(e)
	case Phantom:
		r.Phantoms = append(r.Phantoms, fmt.Sprintf("at %s: %s", e.Client, e.Note))
	case Lie:
		r.Lies = append(r.Lies, fmt.Sprintf("%s: %s", e.Client, e.Note))
	}
}

func (c *checker) receipt(e *Event) {
	r, m, d := &c.report, e.Message, delivery{e.Client, e.Message}
	r.ReceivedCount++
	c.received[d]++
	if _, ok := c.sent[m]; !ok {
		r.Phantoms = append(r.Phantoms, fmt.Sprintf("%v at %s: never sent", m, e.Client))
	}
	if c.received[d] > 1 {
		if m.QoS == 2 {
			r.Duplicates = append(r.Duplicates, fmt.Sprintf("%v at %s", m, e.Client))
		} else {
			r.Repeats++
		}
		return
	}
	at := stream{e.Client, m.Publisher, m.QoS}
	// A message of before the subscription may yet come, when its publisher sends it again, after one that was in time.
	if last := c.last[at]; m.Seq < last && c.due(e.Client, m) {
		r.Reordered = append(r.Reordered, fmt.Sprintf("%v at %s: after %d", m, e.Client, last))
	}
	c.last[at] = max(c.last[at], m.Seq)
}

// due tells whether the subscriber had subscribed before the message was sent.
func (c *checker) due(subscriber string, m Message) bool {
	since, ok := c.subscribed[subscriber]
	return ok && since < c.sent[m]
}

// owed looks for an acknowledged message at everybody who had subscribed before it was sent.
func (c *checker) owed(m Message) {
	for subscriber := range c.subscribed {
		if c.due(subscriber, m) && c.received[delivery{subscriber, m}] == 0 {
			c.report.Lost = append(c.report.Lost, fmt.Sprintf("%v at %s", m, subscriber))
		}
	}
}
