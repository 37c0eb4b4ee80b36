package broker

import (
	"slices"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/topics"
)

// route is who receives what is published to one topic. Workers remember routes; one is good for
// one generation of the subscription tree, and is then made anew; with a new epoch of the access rules there is a new
// route, so that who remembers one remembers what was allowed.
type route struct {
	topic      string
	generation uint64
	epoch      uint64
	receivers  []receiver
	groups     []*topics.Group[*session]
}

// receiver is one session that receives, for all of its subscriptions that match: one copy at the highest
// QoS with all identifiers [v5 MQTT-3.3.4-2] [v5 MQTT-3.3.4-4].
type receiver struct {
	s                 *session
	ids               []uint32 // Subscription Identifiers
	qos               packets.QoS
	retainAsPublished bool
	noLocal           bool // all matching subscriptions are No Local
	mixed             bool // some are: a message of its own is looked up anew
}

// route returns the route of a topic: remembered, or made.
func (w *worker) route(topic []byte) (*route, error) {
	r := w.routes[string(topic)]
	epoch := w.b.auth.Epoch()
	if r == nil || r.epoch != epoch {
		if err := topics.CheckName(topic, w.b.topics); err != nil {
			return nil, packets.Errorf(packets.TopicNameInvalid, "v5 MQTT-3.3.2-2", "%v", err)
		}
		if len(w.routes) >= routesMax || w.routed >= routedMax || w.routeBytes >= routeBytesMax {
			clear(w.routes)
			w.routed, w.routeBytes = 0, 0
		}
		r = &route{topic: string(topic), generation: ^uint64(0), epoch: epoch}
		w.routes[r.topic] = r
		w.routeBytes += len(topic)
	}
	w.freshen(r)
	return r, nil
}

// freshen makes a route anew if a subscription has come or gone since. After a message was retained it is asked once
// more: who subscribes before that is on the route, and who subscribes later finds the retained message.
func (w *worker) freshen(r *route) {
	if r.generation != w.b.tree.Generation() {
		w.refresh(r)
	}
}

// refresh makes a route anew.
func (w *worker) refresh(r *route) {
	// Read before matching: a change that comes between makes the route stale at once.
	r.generation = w.b.tree.Generation()
	w.matches.Reset()
	w.b.tree.Match(r.topic, &w.matches)
	w.routed -= len(r.receivers)
	clear(r.receivers)
	r.receivers = r.receivers[:0]
	clear(w.merged)
	for _, e := range w.matches.Entries {
		w.merge(r, e)
	}
	if !w.b.auth.Unrestricted() || r.topic[0] == '$' {
		r.receivers = slices.DeleteFunc(r.receivers, func(x receiver) bool {
			return !w.authorize(x.s, auth.ActionReceive, r.topic)
		})
	}
	w.routed += len(r.receivers)
	r.groups = append(r.groups[:0], w.matches.Groups...)
}

// mergeScan is up to how many receivers an earlier subscription of the same session is looked for in order.
const mergeScan = 32

// merge adds a matching subscription to the receivers of a route.
func (w *worker) merge(r *route, e topics.Entry[*session]) {
	if len(r.receivers) <= mergeScan {
		for i := range r.receivers {
			if x := &r.receivers[i]; x.s == e.Subscriber {
				x.add(e.Options)
				return
			}
		}
	} else {
		for i := len(w.merged); i < len(r.receivers); i++ {
			w.merged[r.receivers[i].s] = i
		}
		if i, ok := w.merged[e.Subscriber]; ok {
			r.receivers[i].add(e.Options)
			return
		}
	}
	x := receiver{
		s: e.Subscriber, qos: packets.QoS(e.Options.QoS),
		retainAsPublished: e.Options.RetainAsPublished, noLocal: e.Options.NoLocal,
	}
	if e.Options.ID != 0 {
		x.ids = []uint32{e.Options.ID}
	}
	r.receivers = append(r.receivers, x)
}

func (x *receiver) add(o topics.Options) {
	x.qos = max(x.qos, packets.QoS(o.QoS))
	x.retainAsPublished = x.retainAsPublished || o.RetainAsPublished
	if x.noLocal != o.NoLocal {
		x.noLocal, x.mixed = false, true
	}
	if o.ID != 0 {
		x.ids = append(x.ids, o.ID)
	}
}
