package faultlab_test

import (
	"testing"

	"nightjar/internal/faultlab"
	"nightjar/packets"
)

// TestCheckFindsFaults gives the checker journals with one fault each: a checker that finds nothing proves nothing.
func TestCheckFindsFaults(t *testing.T) {
	message := func(qos packets.QoS, seq uint32) faultlab.Message {
		return faultlab.Message{Publisher: "p", QoS: qos, Seq: seq}
	}
	event := func(kind faultlab.Kind, qos packets.QoS, seq uint32) faultlab.Event {
		client := "p"
		if kind >= faultlab.Subscribed {
			client = "s"
		}
		return faultlab.Event{Kind: kind, Client: client, Message: message(qos, seq)}
	}
	subscribed := faultlab.Event{Kind: faultlab.Subscribed, Client: "s"}
	sent := func(qos packets.QoS, seq uint32) faultlab.Event { return event(faultlab.Sent, qos, seq) }
	acked := func(qos packets.QoS, seq uint32) faultlab.Event { return event(faultlab.Acked, qos, seq) }
	received := func(qos packets.QoS, seq uint32) faultlab.Event { return event(faultlab.Received, qos, seq) }
	for _, c := range []struct {
		name   string
		events []faultlab.Event
		list   func(*faultlab.Report) []string // where its one fault stands; nil: there is none
	}{
		{name: "all is well", events: []faultlab.Event{
			subscribed, sent(1, 1), acked(1, 1), received(1, 1), sent(2, 1), received(2, 1), acked(2, 1),
			sent(2, 2), received(2, 2), acked(2, 2),
		}},
		{name: "QoS 1 received again", events: []faultlab.Event{
			subscribed, sent(1, 1), sent(1, 2), received(1, 1), received(1, 2), received(1, 1), received(1, 2), acked(1, 1), acked(1, 2),
		}},
		{name: "not acknowledged, not received", events: []faultlab.Event{subscribed, sent(1, 1), sent(2, 1)}},
		{name: "sent before the subscription", events: []faultlab.Event{sent(1, 1), subscribed, acked(1, 1)}},
		{name: "QoS 1 and 2 pass one another", events: []faultlab.Event{subscribed, sent(1, 1), sent(2, 1), received(2, 1), received(1, 1)}},
		{name: "sent again to who has subscribed since", events: []faultlab.Event{
			sent(1, 1), sent(1, 2), subscribed, received(1, 2), received(1, 1), received(1, 2), acked(1, 1), acked(1, 2),
		}},
		{
			name: "lost at QoS 1", events: []faultlab.Event{subscribed, sent(1, 1), acked(1, 1), sent(1, 2), acked(1, 2), received(1, 2)},
			list: func(r *faultlab.Report) []string { return r.Lost },
		},
		{
			name: "lost at QoS 2", events: []faultlab.Event{subscribed, sent(2, 1), acked(2, 1), acked(2, 1)},
			list: func(r *faultlab.Report) []string { return r.Lost },
		},
		{
			name: "QoS 2 received twice", events: []faultlab.Event{subscribed, sent(2, 1), received(2, 1), acked(2, 1), received(2, 1)},
			list: func(r *faultlab.Report) []string { return r.Duplicates },
		},
		{
			name: "never sent", events: []faultlab.Event{subscribed, received(1, 7)},
			list: func(r *faultlab.Report) []string { return r.Phantoms },
		},
		{
			name: "not whole", events: []faultlab.Event{subscribed, {Kind: faultlab.Phantom, Client: "s", Note: "lab/p/q1"}},
			list: func(r *faultlab.Report) []string { return r.Phantoms },
		},
		{
			name: "out of order", events: []faultlab.Event{subscribed, sent(1, 1), sent(1, 2), received(1, 2), received(1, 1)},
			list: func(r *faultlab.Report) []string { return r.Reordered },
		},
		{
			name: "session gone", events: []faultlab.Event{{Kind: faultlab.Lie, Client: "s", Note: "the session is gone"}},
			list: func(r *faultlab.Report) []string { return r.Lies },
		},
		{
			name: "refused", events: []faultlab.Event{sent(1, 1), event(faultlab.Refused, 1, 1)},
			list: func(r *faultlab.Report) []string { return r.Refusals },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := faultlab.Check(c.events)
			want := 0
			if c.list != nil {
				want = 1
				if list := c.list(report); len(list) != 1 {
					t.Errorf("the fault is not where it belongs: %v", report)
				}
			}
			if report.Faults() != want {
				t.Errorf("%d faults, want %d: %v", report.Faults(), want, report)
			}
		})
	}
}

func TestParseMessage(t *testing.T) {
	m := faultlab.Message{Publisher: "p", QoS: 2, Seq: 42}
	whole := string(m.Payload())
	for _, c := range []struct {
		topicName, payload string
		ok                 bool
	}{
		{m.TopicName(), whole, true},
		{m.TopicName(), whole[:len(whole)-1], false},
		{m.TopicName(), whole + "x", false},
		{"lab/p/q1", whole, false},
		{"lab/q/q2", whole, false},
		{m.TopicName(), "", false},
		{m.TopicName(), "p two 42 ", false},
		{m.TopicName(), "p 2 x ", false},
	} {
		if got, ok := faultlab.ParseMessage(c.topicName, c.payload); ok != c.ok || ok && got != m {
			t.Errorf("ParseMessage(%q, %q) = %v, %v; want %v", c.topicName, c.payload, got, ok, c.ok)
		}
	}
}
