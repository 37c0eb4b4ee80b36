package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stage is where one scenario is played: actors of one client, and topics of its own.
type stage struct {
	*testing.T
	server  *server
	client  *client
	newPeer func() peer
	topic   string // what all Topic Names begin with
	actors  int
}

// scenario is one feature, as a client sees it.
type scenario struct {
	feature string // the column in docs/interop.md
	since   int    // the first version that has it
	play    func(*stage)
}

var scenarios = []scenario{
	{"QoS 0, 1, 2", 3, playQoS},
	{"burst", 3, playBurst},
	{"retained", 3, playRetained},
	{"will", 3, playWill},
	{"refusals", 4, playRefusals},
	{"properties", 5, playProperties},
	{"message expiry", 5, playMessageExpiry},
	{"subscription identifiers", 5, playSubscriptionIdentifiers},
	{"shared subscriptions", 5, playShared},
	{"topic aliases in", 5, playAliasesIn},
	{"topic aliases out", 5, playAliasesOut},
	{"session expiry", 5, playSessionExpiry},
	{"SIGTERM", 3, func(s *stage) { playRestart(s, s.server.process.Stop) }},
	{"kill -9", 3, func(s *stage) { playRestart(s, s.server.process.Kill) }},
}

// newActor is another client, which is not connected yet.
func (s *stage) newActor() *actor {
	s.actors++
	id := fmt.Sprintf("%.12s-%d", strings.ReplaceAll(s.topic, "/", "-"), s.actors) // at most 23 characters, for 3.1
	return &actor{peer: s.newPeer(), test: s.T, id: id}
}

// opened is another client, with a clean session.
func (s *stage) opened() *actor {
	a := s.newActor()
	a.open(options{Clean: true})
	return a
}

// pair is a client that has subscribed to all topics of the stage, and another one.
func (s *stage) pair(qos byte) (subscriber, publisher *actor) {
	subscriber = s.opened()
	subscriber.listen(s.topic+"/#", qos)
	return subscriber, s.opened()
}

// text is a message at QoS 1.
func (s *stage) text(name, payload string) message {
	return message{Topic: s.topic + "/" + name, Payload: []byte(payload), QoS: 1}
}

// playQoS sends payloads of all sizes at each QoS.
func playQoS(s *stage) {
	subscriber, publisher := s.pair(2)
	for qos := range byte(3) {
		for _, payload := range []string{"", "x", "grüße, 世界 🌙", strings.Repeat("0123456789abcdef", 100<<10/16)} {
			m := message{Topic: s.topic + "/küche/温度/🌡", Payload: []byte(payload), QoS: qos}
			publisher.send(m)
			subscriber.want(m)
		}
	}
	publisher.close()
	subscriber.close()
}

// burstCount is how many messages a burst has.
const burstCount = 1000

// playBurst sends many messages at QoS 2 at once: one client gives them to the broker, and another one takes them.
func playBurst(s *stage) {
	subscriber, publisher := s.pair(2)
	m := message{Topic: s.topic + "/burst", QoS: 2}
	s.must(publisher.burst(m, burstCount))
	for i := range burstCount {
		m.Payload = []byte(strconv.Itoa(i))
		subscriber.want(m)
	}
	publisher.send(s.text("end", "end"))
	subscriber.want(s.text("end", "end")) // and nothing came twice
}

func (s *stage) must(err error) {
	s.Helper()
	must(s.T, err)
}

// playRetained sets a retained message, replaces it and clears it.
func playRetained(s *stage) {
	publisher := s.opened()
	kept, end := s.text("kept", "one"), s.text("end", "end")
	kept.Retain = true
	for _, payload := range []string{"one", "two", ""} {
		kept.Payload = []byte(payload)
		publisher.send(kept)
		subscriber := s.opened()
		subscriber.listen(s.topic+"/#", 1)
		if payload != "" {
			subscriber.want(kept)
		}
		publisher.send(end)
		subscriber.want(end)
		subscriber.close()
	}
}

// playWill breaks one connection, whose will is published, and closes another one, whose is not.
func playWill(s *stage) {
	subscriber, publisher := s.pair(1)
	for _, politely := range []bool{false, true} {
		will := s.text("will", fmt.Sprintf("politely: %v", politely))
		a := s.newActor()
		a.open(options{Clean: true, Will: &will})
		a.listen(s.topic+"-other", 0)
		if politely {
			a.close()
		} else {
			a.must(a.abort())
		}
		if !politely || s.client.closesWithWill {
			subscriber.want(will)
		}
	}
	publisher.send(s.text("end", "end"))
	subscriber.want(s.text("end", "end"))
}

// playRefusals asks for what the broker refuses, with a Reason Code and a text where the version has that.
func playRefusals(s *stage) {
	deep := s.topic + strings.Repeat("/x", 70) // more levels than the broker allows
	v5 := s.client.version == 5
	check := func(what string, ans answer, err error, code3, code5 int) {
		s.Helper()
		want := code3
		if v5 {
			want = code5
		}
		if err != nil || ans.Code != want {
			s.Errorf("%s: answer %+v, error %v; want 0x%02x", what, ans, err, want)
		}
		if v5 && ans.Reason == "" && s.client.tellsReason {
			s.Errorf("%s: no Reason String", what)
		}
	}
	a := s.newActor()
	ans, err := a.connect(options{ClientID: strings.Repeat("x", 300), Clean: true})
	if err == nil && ans.Code == 0 { // a client that connects when it subscribes
		ans, err = a.subscribe(subscription{filter: s.topic})
	}
	check("a client identifier of 300 bytes", ans, err, 0x02, 0x85)
	a = s.opened()
	ans, err = a.subscribe(subscription{filter: deep})
	check("a filter of 70 levels", ans, err, 0x80, 0x8F)
	if v5 && s.client.tellsPuback {
		ans, err = s.opened().publish(message{Topic: deep, Payload: []byte("x"), QoS: 1})
		check("a topic of 70 levels", ans, err, 0, 0x90)
	}
}

// playProperties sends all properties that are forwarded unaltered.
func playProperties(s *stage) {
	subscriber, publisher := s.pair(2)
	for qos := range byte(3) {
		m := message{Topic: s.topic + "/request", Payload: []byte("{}"), QoS: qos, Properties: properties{
			ContentType: "application/json", ResponseTopic: s.topic + "/antwört", CorrelationData: []byte("correlation-7"),
			PayloadFormat: 1, UserProperties: [][2]string{{"name", "value"}, {"name", "again"}, {"ключ", "значение"}},
		}}
		publisher.send(m)
		subscriber.want(m)
	}
}

// playMessageExpiry sends messages that expire, to who is there, and to who comes too late for one of them.
func playMessageExpiry(s *stage) {
	subscriber, publisher := s.newActor(), s.opened()
	gone := message{Topic: s.topic + "-gone", Payload: []byte("gone"), QoS: 1}
	subscriber.open(options{SessionExpiry: 600, Will: &gone})
	subscriber.listen(s.topic+"/#", 1)
	publisher.listen(gone.Topic, 1)
	lasting := s.text("lasting", "lasts")
	lasting.Properties.MessageExpiry = 600
	publisher.send(lasting)
	subscriber.want(lasting)
	subscriber.must(subscriber.abort())
	publisher.want(gone) // so the broker knows it too

	short := s.text("short", "expires")
	short.Properties.MessageExpiry = 1
	publisher.send(short)
	publisher.send(lasting)
	<-time.After(1100 * time.Millisecond)
	subscriber.open(options{SessionExpiry: 600})
	got := subscriber.receive()
	if left := got.Properties.MessageExpiry; left < 500 || left >= 600 {
		s.Errorf("%v: %d s remain of 600, after one second in the queue", got, left)
	}
	got.Properties.MessageExpiry = 600
	if !same(got, lasting) {
		s.Errorf("got %v, want %v: the message of before has expired", got, lasting)
	}
}

// playSubscriptionIdentifiers has the identifier come with each message.
func playSubscriptionIdentifiers(s *stage) {
	subscriber := s.opened()
	subscriber.accepted(subscriber.subscribe(subscription{filter: s.topic + "/+", qos: 1, id: 268_435_455}))
	m := s.text("a", "identified")
	s.opened().send(m)
	m.Properties.SubscriptionIDs = []int{268_435_455}
	subscriber.want(m)
}

// playShared has two clients share the messages of one topic.
func playShared(s *stage) {
	first, second := s.opened(), s.opened()
	for _, a := range []*actor{first, second} {
		a.listen("$share/group/"+s.topic+"/#", 1)
	}
	const count = 20
	s.must(s.opened().burst(s.text("work", ""), count))
	got, counts := map[string]int{}, [2]int{}
	for len(got) < count {
		var m message
		select {
		case m = <-first.messages():
			counts[0]++
		case m = <-second.messages():
			counts[1]++
		case <-time.After(patience):
			s.Fatalf("only %d of %d messages have come", len(got), count)
		}
		if got[string(m.Payload)]++; got[string(m.Payload)] > 1 {
			s.Errorf("%v has come twice", m)
		}
	}
	if counts != [2]int{count / 2, count / 2} {
		s.Errorf("%v messages each, want them dealt in turn", counts)
	}
}

// playAliasesIn has the client use a Topic Alias towards the broker.
func playAliasesIn(s *stage) {
	subscriber, publisher := s.pair(1)
	m := s.text("a/topic/that/is/long/enough/for/an/alias", "")
	m.Properties.TopicAlias = 3
	s.must(publisher.burst(m, 5))
	m.Properties.TopicAlias = 0
	for i := range 5 {
		m.Payload = []byte(strconv.Itoa(i))
		subscriber.want(m)
	}
}

// playAliasesOut has the broker use Topic Aliases towards the client: more topics than aliases.
func playAliasesOut(s *stage) {
	subscriber, publisher := s.newActor(), s.opened()
	subscriber.open(options{Clean: true, TopicAliasMaximum: 2})
	subscriber.listen(s.topic+"/#", 1)
	for _, name := range []string{"a", "a", "b", "a", "b", "c", "c", "a", "b"} {
		m := s.text("a/topic/that/is/long/enough/for/an/alias/"+name, name)
		publisher.send(m)
		subscriber.want(m)
	}
}

// playSessionExpiry comes back to a session in time, and too late.
func playSessionExpiry(s *stage) {
	publisher := s.opened()
	for _, expired := range []bool{false, true} {
		subscriber := s.newActor()
		o := options{SessionExpiry: 600}
		if expired {
			o.SessionExpiry = 1
		}
		subscriber.open(o)
		filter := fmt.Sprintf("%s/%v/+", s.topic, expired)
		subscriber.listen(filter, 1)
		subscriber.close()
		queued := s.text(fmt.Sprintf("%v/a", expired), "queued")
		publisher.send(queued)
		if expired {
			<-time.After(1500 * time.Millisecond)
		}
		if ans := subscriber.open(o); ans.SessionPresent != nil && *ans.SessionPresent == expired {
			s.Errorf("session expired: %v; Session Present: %v", expired, *ans.SessionPresent)
		}
		if !expired {
			subscriber.want(queued)
			continue
		}
		if s.client.toldPresent {
			subscriber.listen(filter, 1)
		}
		publisher.send(s.text("true/b", "fresh"))
		subscriber.want(s.text("true/b", "fresh"))
	}
}

// playRestart has messages wait in a session while its client is away and the broker ends and starts again.
func playRestart(s *stage, end func() error) {
	persistent := options{SessionExpiry: 600}
	subscriber, publisher := s.newActor(), s.opened()
	if ans := subscriber.open(persistent); ans.SessionPresent != nil && *ans.SessionPresent {
		s.Error("Session Present before there was a session")
	}
	subscriber.listen(s.topic+"/#", 2)
	subscriber.close()
	kept := message{Topic: s.topic + "-kept", Payload: []byte("retained"), QoS: 1, Retain: true}
	publisher.send(kept)
	var queued [3][]message // by QoS: in its order, but QoS 1 may overtake QoS 2
	for i := range 20 {
		m := message{Topic: s.topic + "/queued", Payload: []byte(strconv.Itoa(i)), QoS: byte(1 + i%2)}
		publisher.send(m)
		queued[m.QoS] = append(queued[m.QoS], m)
	}
	s.must(end())
	s.server.start()
	if ans := subscriber.open(persistent); ans.SessionPresent != nil && !*ans.SessionPresent {
		s.Error("the session has not survived")
	}
	for len(queued[1])+len(queued[2]) > 0 {
		m := subscriber.receive()
		if len(queued[m.QoS]) == 0 || !same(m, queued[m.QoS][0]) {
			s.Fatalf("got %v, want the next of %v", m, queued[1:])
		}
		queued[m.QoS] = queued[m.QoS][1:]
	}
	late := s.opened()
	late.listen(kept.Topic, 1)
	late.want(kept)
	late.send(s.text("end", "end"))
	subscriber.want(s.text("end", "end"))
	subscriber.close()
}
