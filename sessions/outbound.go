package sessions

import "nightjar/packets"

// Item is one message on its way to one client.
type Item struct {
	// Message is nil for a message in flight to a session that ends with its connection:
	// it will never be sent again.
	Message         *packets.Message
	Row             *Row // nil where nothing is stored
	SubscriptionIDs []uint32
	QoS             packets.QoS // 1 or 2
	Retain          bool        // the RETAIN flag to send
}

// bytes is what the item counts for in the limits of the queue.
func (it *Item) bytes() int {
	if it.Message == nil {
		return 0
	}
	return len(it.Message.TopicName) + len(it.Message.Payload) + len(it.Message.Properties) + itemOverhead
}

// itemOverhead is about what the item and its message take beside topic, payload and properties, in bytes.
const itemOverhead = 128

// phase is what a slot in flight waits for.
type phase uint8

const (
	free        phase = iota // acknowledged; the slot goes when it is first in the ring
	wantPuback               // QoS 1, sent
	wantPubrec               // QoS 2, sent
	wantPubcomp              // QoS 2, PUBREL sent
)

// slot is one message in flight.
type slot struct {
	Item
	phase phase
	sent  bool // on this connection
}

// outbound is what waits for, or is in flight to, the client.
type outbound struct {
	queue      []Item // waiting; queue[head:] is live
	head       int
	queueBytes int

	ring     []slot // a power of two long
	first    int    // place in ring of the oldest slot
	span     int    // slots from the oldest to the newest, free ones in between included
	firstID  uint16 // Packet Identifier less one of the oldest slot, mod 65,535
	inFlight int    // slots that are not free
	unsent   int    // of these, those that have to be sent again on this connection
}

const (
	ids        = 65535 // Packet Identifiers: 1 to 65,535
	ringMin    = 4
	keptSlots  = 64 // larger rings and queues are given back when empty
	spanFactor = 8  // a client that leaves the oldest message unacknowledged gets so many windows more at most
)

// Limits bounds the queue of a session.
type Limits struct {
	Messages int
	Bytes    int
}

// Exceeds tells whether an item has no room even in an empty queue.
func (l Limits) Exceeds(it *Item) bool { return l.Messages < 1 || it.bytes() > l.Bytes }

// Queued is the number of messages that wait, not counting those in flight.
func (s *Session) Queued() int {
	if o := s.flow(); o != nil {
		return len(o.queue) - o.head
	}
	return 0
}

// QueuedBytes is what the waiting messages count for in the limits.
func (s *Session) QueuedBytes() int {
	if o := s.flow(); o != nil {
		return o.queueBytes
	}
	return 0
}

// InFlight is the number of messages that the client has not acknowledged in full.
func (s *Session) InFlight() int {
	if o := s.flow(); o != nil {
		return o.inFlight
	}
	return 0
}

// Unsent is how many messages in flight have to be sent again on this connection.
func (s *Session) Unsent() int {
	if o := s.flow(); o != nil {
		return o.unsent
	}
	return 0
}

// CanSend tells whether a window of so many messages in flight has room
// [v5 MQTT-3.3.4-9], [v5 MQTT-4.9.0-2].
func (s *Session) CanSend(window int) bool {
	o := s.flow()
	return o == nil || o.unsent == 0 && o.inFlight < window && o.span < min(window*spanFactor, ids)
}

// NextSeq gives a place in the queue.
func (s *Session) NextSeq() uint64 {
	b := s.more()
	b.seq++
	return b.seq
}

// Full tells whether an item has no room in the queue.
func (s *Session) Full(it *Item, lim Limits) bool {
	return s.Queued() >= lim.Messages || s.QueuedBytes()+it.bytes() > lim.Bytes
}

// DropOldest takes the item out of the queue that has waited longest; ok is false when nothing waits.
func (s *Session) DropOldest() (it Item, ok bool) {
	if s.Queued() == 0 {
		return Item{}, false
	}
	return s.flow().pop(), true
}

// Add puts an item at the end of the queue. The caller has checked that it is not Full.
func (s *Session) Add(it Item) {
	o := s.outbound()
	o.queue = append(o.queue, it)
	o.queueBytes += it.bytes()
}

// Next takes the first item that has not expired out of the queue [v5 MQTT-3.3.2-5]. Those that
// have are given to expired. ok is false when nothing waits.
func (s *Session) Next(now packets.Instant, expired func(Item)) (it Item, ok bool) {
	o := s.flow()
	if o == nil {
		return Item{}, false
	}
	for o.head < len(o.queue) {
		it = o.pop()
		if it.Message.Expiry == 0 || it.Message.Expiry > now {
			return it, true
		}
		expired(it)
	}
	s.tidy()
	return Item{}, false
}

// NextPacketID is the Packet Identifier that the next Start will give.
func (s *Session) NextPacketID() uint16 { return s.more().next + 1 }

// Start puts an item in flight and gives it a Packet Identifier. The caller has checked CanSend.
func (s *Session) Start(it Item) uint16 {
	want := wantPuback
	if it.QoS == 2 {
		want = wantPubrec
	}
	if !s.Durable() {
		it.Message = nil
	}
	b := s.more()
	id := b.next
	s.outbound().push(id, slot{Item: it, phase: want, sent: true})
	b.next = (id + 1) % ids
	return id + 1
}

// Puback ends a QoS 1 message. ok is false where the identifier is not that of one in flight at
// QoS 1; known is true where it is of one at QoS 2.
func (s *Session) Puback(id uint16) (it Item, ok, known bool) {
	sl := s.slot(id)
	if sl == nil || sl.phase != wantPuback {
		return Item{}, false, sl != nil
	}
	it = sl.Item
	s.done(sl)
	return it, true, true
}

// Pubrec moves a QoS 2 message on to wait for PUBCOMP; the message itself is given up. With refused
// (a Reason Code of 0x80 or more) it ends here [v5 MQTT-4.4.0-2].
func (s *Session) Pubrec(id uint16, refused bool) (it Item, ok, known bool) {
	sl := s.slot(id)
	if sl == nil || sl.phase == wantPuback {
		return Item{}, false, sl != nil
	}
	it = sl.Item
	if refused && sl.phase == wantPubrec {
		s.done(sl)
		return it, true, true
	}
	sl.phase = wantPubcomp
	sl.Message = nil
	return it, true, true
}

// Pubcomp ends a QoS 2 message.
func (s *Session) Pubcomp(id uint16) (it Item, ok, known bool) {
	sl := s.slot(id)
	if sl == nil || sl.phase != wantPubcomp {
		return Item{}, false, sl != nil
	}
	it = sl.Item
	s.done(sl)
	return it, true, true
}

// Reattach begins a new connection: all that is in flight has to be sent again.
func (s *Session) Reattach() {
	if o := s.flow(); o != nil {
		o.unsent = o.inFlight
		for i := range o.ring {
			o.ring[i].sent = false
		}
	}
}

// Resend takes the next message in flight that has to be sent again, in the order of sending
// [v5 MQTT-4.4.0-1] [v5 MQTT-4.6.0-1]: with released it needs a PUBREL, otherwise its PUBLISH with
// DUP. ok is false when there is none, or when the window is full [v5 MQTT-3.3.4-9].
func (s *Session) Resend(window int) (id uint16, it Item, released, ok bool) {
	o := s.flow()
	if o == nil || o.unsent == 0 || o.inFlight-o.unsent >= window {
		return 0, Item{}, false, false
	}
	for i := range o.span {
		sl := &o.ring[(o.first+i)&(len(o.ring)-1)]
		if sl.phase != free && !sl.sent {
			sl.sent = true
			o.unsent--
			return uint16((int(o.firstID)+i)%ids) + 1, sl.Item, sl.phase == wantPubcomp, true
		}
	}
	panic("BUG: sessions: unsent is above 0 and every slot is sent")
}

// Flight calls fn for everything in flight, in the order of sending.
func (s *Session) Flight(fn func(id uint16, it Item)) {
	o := s.flow()
	if o == nil {
		return
	}
	for i := range o.span {
		if sl := &o.ring[(o.first+i)&(len(o.ring)-1)]; sl.phase != free {
			fn(uint16((int(o.firstID)+i)%ids)+1, sl.Item)
		}
	}
}

// Waiting calls fn for everything that waits, in order.
func (s *Session) Waiting(fn func(Item)) {
	if o := s.flow(); o != nil {
		for _, it := range o.queue[o.head:] {
			fn(it)
		}
	}
}

// Restore puts an item back as the store kept it: in flight where its row has a Packet Identifier.
// Items come in the order of their Seq.
func (s *Session) Restore(it Item) {
	b := s.more()
	b.seq = max(b.seq, it.Row.Seq)
	if it.Row.PacketID == 0 {
		o := s.outbound()
		o.queue = append(o.queue, it)
		o.queueBytes += it.bytes()
		return
	}
	want := wantPuback
	switch {
	case it.Row.Released:
		want = wantPubcomp
	case it.QoS == 2:
		want = wantPubrec
	}
	o := s.outbound()
	o.push(it.Row.PacketID-1, slot{Item: it, phase: want})
	b.next = uint16((int(o.firstID) + o.span) % ids) // whatever order they come in
}

func (s *Session) outbound() *outbound {
	b := s.more()
	if b.out == nil {
		b.out = &outbound{}
	}
	return b.out
}

// flow is what waits and is in flight, or nil.
func (s *Session) flow() *outbound {
	if s.busy == nil {
		return nil
	}
	return s.busy.out
}

// tidy gives large memory back when nothing is left in it.
func (s *Session) tidy() {
	o := s.flow()
	if o != nil && o.inFlight == 0 && o.head == len(o.queue) && max(len(o.ring), cap(o.queue)) > keptSlots {
		s.busy.out = nil
	}
}

// slot finds what is in flight under an identifier, or nil.
func (s *Session) slot(id uint16) *slot {
	o := s.flow()
	if o == nil || id == 0 {
		return nil
	}
	at := (int(id-1) - int(o.firstID) + ids) % ids
	if at >= o.span {
		return nil
	}
	if sl := &o.ring[(o.first+at)&(len(o.ring)-1)]; sl.phase != free {
		return sl
	}
	return nil
}

// done frees a slot, and the memory of those at the front of the ring.
func (s *Session) done(sl *slot) {
	o := s.flow()
	if !sl.sent {
		o.unsent--
	}
	*sl = slot{}
	o.inFlight--
	for o.span > 0 && o.ring[o.first].phase == free {
		o.first = (o.first + 1) & (len(o.ring) - 1)
		o.firstID = uint16((int(o.firstID) + 1) % ids)
		o.span--
	}
	s.tidy()
}

// push appends a slot under the identifier id+1. After a restart there may be gaps: they are free slots.
func (o *outbound) push(id uint16, sl slot) {
	if o.span == 0 {
		o.firstID = id
	}
	at := (int(id) - int(o.firstID) + ids) % ids
	if before := ids - at; at >= o.span && before < at {
		// After a restart: the identifier was given before that of the first slot.
		for before+o.span > len(o.ring) {
			o.grow()
		}
		o.first = (o.first - before) & (len(o.ring) - 1)
		o.firstID, o.span, at = id, o.span+before, 0
	}
	for at >= len(o.ring) {
		o.grow()
	}
	o.span = max(o.span, at+1)
	o.ring[(o.first+at)&(len(o.ring)-1)] = sl
	o.inFlight++
	if !sl.sent {
		o.unsent++
	}
}

func (o *outbound) grow() {
	ring := make([]slot, max(2*len(o.ring), ringMin))
	for i := range o.span {
		ring[i] = o.ring[(o.first+i)&(len(o.ring)-1)]
	}
	o.ring, o.first = ring, 0
}

// pop takes the first item of the queue, which is not empty.
func (o *outbound) pop() Item {
	it := o.queue[o.head]
	o.queue[o.head] = Item{}
	o.head++
	o.queueBytes -= it.bytes()
	if o.head == len(o.queue) {
		o.queue, o.head = o.queue[:0], 0
	} else if o.head > 64 && o.head > len(o.queue)/2 {
		n := copy(o.queue, o.queue[o.head:])
		clear(o.queue[n:])
		o.queue, o.head = o.queue[:n], 0
	}
	return it
}

// Abandon gives up a message in flight, as if its delivery had completed [v5 MQTT-3.1.2-28].
func (s *Session) Abandon(id uint16) {
	if sl := s.slot(id); sl != nil {
		s.done(sl)
	}
}
