package faultlab

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"nightjar/packets"
)

// windowMax is how many messages a Client has in flight: fewer than any broker's Receive Maximum.
const windowMax = 16

// Client is one MQTT client with a session that is to survive everything. It keeps its side of that over lost
// connections: messages without their last acknowledgement, and the identifiers of QoS 2 messages received.
type Client struct {
	id         string
	version    packets.Version
	address    string
	journal    *Journal
	subscribes bool

	mu         sync.Mutex // guards what follows
	conn       net.Conn   // nil while offline
	w          *bufio.Writer
	out        []*outgoing     // in the order of sending
	held       map[uint16]bool // QoS 2 identifiers received, until PUBREL
	lastID     uint16
	seq        [3]uint32 // last message by QoS
	asked      bool      // a CONNECT was sent: there may be a session
	accepted   bool      // a CONNACK came: there is one
	subscribed bool
	stalled    bool
	pongs      chan struct{} // one for each PINGRESP
	stop       func()        // ends the goroutine that keeps it online; nil: there is none
	stopped    chan struct{} // closed when it has ended
}

// outgoing is a message in flight to the broker.
type outgoing struct {
	id       uint16
	message  Message
	released bool // PUBREC has come: from now on it is PUBREL that is sent
}

// NewClient makes a client, which is offline. With subscribes it receives all messages of the run.
func NewClient(id string, v packets.Version, address string, j *Journal, subscribes bool) *Client {
	return &Client{
		id: id, version: v, address: address, journal: j, subscribes: subscribes,
		held: map[uint16]bool{}, pongs: make(chan struct{}, 1),
	}
}

// reconnectEvery is the time between two attempts to connect.
const reconnectEvery = 3 * time.Millisecond

// Online keeps the client connected until Offline, whatever happens to its connections.
func (c *Client) Online() {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	c.mu.Lock()
	c.stop, c.stopped = cancel, stopped
	c.mu.Unlock()
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			c.connection(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(reconnectEvery):
			}
		}
	}()
}

// Stall has the client read nothing but CONNACK until Offline: what the broker sends from now on stays on the way.
func (c *Client) Stall() {
	c.mu.Lock()
	c.stalled = true
	c.mu.Unlock()
}

// Offline closes the connection, with DISCONNECT or without, and keeps the client from connecting again.
func (c *Client) Offline(politely bool) {
	c.mu.Lock()
	stop, stopped := c.stop, c.stopped
	c.stop = nil
	if c.conn != nil && politely {
		c.send(&packets.Disconnect{})
		_ = c.w.Flush()
	}
	c.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
	c.mu.Lock()
	c.stalled = false
	c.mu.Unlock()
}

// Connected tells whether the client has a connection, with CONNACK.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// connection is the life of one connection.
func (c *Client) connection(ctx context.Context) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	w := bufio.NewWriterSize(conn, 16<<10)
	c.mu.Lock()
	c.asked = true
	c.mu.Unlock()
	connect := &packets.Connect{Version: c.version, ClientID: []byte(c.id), KeepAliveSeconds: 120}
	if c.version >= packets.V5 {
		connect.Properties.SessionExpiryInterval = 3600
		connect.Properties.Present.Add(packets.PropSessionExpiryInterval)
	}
	b, err := connect.Append(nil)
	if err != nil {
		panic("BUG: faultlab: own CONNECT cannot be encoded: " + err.Error())
	}
	if _, err := conn.Write(b); err != nil {
		return
	}
	r := &packetReader{r: bufio.NewReaderSize(conn, 64<<10)}
	defer func() {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
	}()
	for {
		h, body, err := r.next()
		if err != nil {
			return
		}
		c.mu.Lock()
		if c.stalled && h.Type != packets.CONNACK {
			c.mu.Unlock()
			<-ctx.Done()
			return
		}
		if h.Type == packets.CONNACK {
			c.conn, c.w = conn, w
		}
		err = c.handle(h, body)
		if c.w == w && r.r.Buffered() == 0 {
			_ = w.Flush() // a lost connection shows when reading
		}
		c.mu.Unlock()
		if err != nil {
			c.journal.Add(Event{Kind: Refused, Client: c.id, Note: err.Error()})
			return
		}
	}
}

// handle acts on one packet. mu is held.
func (c *Client) handle(h packets.Header, body []byte) error {
	switch h.Type {
	case packets.CONNACK:
		return c.connack(h, body)
	case packets.PUBLISH:
		return c.publish(h, body)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		return c.ack(h, body)
	case packets.SUBACK:
		var p packets.Suback
		if err := p.Decode(h, body, c.version, nil); err != nil {
			return err
		}
		if len(p.ReasonCodes) != 1 || p.ReasonCodes[0] != packets.GrantedQoS2 {
			return fmt.Errorf("SUBACK with %v", p.ReasonCodes)
		}
		c.subscribed = true
		c.journal.Add(Event{Kind: Subscribed, Client: c.id})
	case packets.PINGRESP:
		select {
		case c.pongs <- struct{}{}:
		default:
		}
	case packets.DISCONNECT:
		var p packets.Disconnect
		if err := p.Decode(h, body, c.version, nil); err != nil {
			return err
		}
		if p.ReasonCode != packets.ServerShuttingDown {
			return fmt.Errorf("DISCONNECT with %v: %s", p.ReasonCode, p.Properties.ReasonString)
		}
	default:
		return fmt.Errorf("%v from the broker", h.Type)
	}
	return nil
}

// connack resumes the session: what has not been acknowledged is sent again, in its order
// [v5 MQTT-4.4.0-1] [v5 MQTT-4.6.0-1].
func (c *Client) connack(h packets.Header, body []byte) error {
	var p packets.Connack
	if err := p.Decode(h, body, c.version, nil); err != nil {
		return err
	}
	if p.ReasonCode != packets.Success {
		return fmt.Errorf("CONNACK with %v: %s", p.ReasonCode, p.Properties.ReasonString)
	}
	if c.accepted && !p.SessionPresent {
		c.journal.Add(Event{Kind: Lie, Client: c.id, Note: "the session is gone"})
		c.subscribed = false
		clear(c.held)
	}
	c.accepted = true
	if c.subscribes && !c.subscribed {
		c.send(&packets.Subscribe{PacketID: c.newID(), Subscriptions: []packets.Subscription{
			{TopicFilter: []byte("lab/#"), Options: packets.SubscriptionOptions{QoS: 2}},
		}})
	}
	for _, o := range c.out {
		if o.released {
			c.sendAck(packets.PUBREL, o.id)
		} else {
			c.sendMessage(o, p.SessionPresent)
		}
	}
	return nil
}

// publish takes a message from the broker.
func (c *Client) publish(h packets.Header, body []byte) error {
	var p packets.Publish
	if err := p.Decode(h, body, c.version, nil); err != nil {
		return err
	}
	isNew := p.QoS < 2 || !c.held[p.PacketID]
	if m, ok := ParseMessage(string(p.TopicName), string(p.Payload)); !ok || m.QoS != p.QoS {
		c.journal.Add(Event{Kind: Phantom, Client: c.id, Note: fmt.Sprintf("%s at QoS %d", p.TopicName, p.QoS)})
	} else if isNew {
		c.journal.Add(Event{Kind: Received, Client: c.id, Message: m})
	}
	switch p.QoS {
	case 1:
		c.sendAck(packets.PUBACK, p.PacketID)
	case 2:
		c.held[p.PacketID] = true
		c.sendAck(packets.PUBREC, p.PacketID)
	}
	return nil
}

// ack moves a message on, in either direction.
func (c *Client) ack(h packets.Header, body []byte) error {
	var p packets.Ack
	if err := p.Decode(h, body, c.version, nil); err != nil {
		return err
	}
	if p.Type == packets.PUBREL {
		delete(c.held, p.PacketID)
		c.sendAck(packets.PUBCOMP, p.PacketID)
		return nil
	}
	at := slices.IndexFunc(c.out, func(o *outgoing) bool { return o.id == p.PacketID })
	if at < 0 {
		return fmt.Errorf("%v for packet identifier %d, which is free", p.Type, p.PacketID)
	}
	o := c.out[at]
	if p.Type != packets.PUBCOMP {
		if p.ReasonCode.IsError() {
			return fmt.Errorf("%v for %v with %v: %s", p.Type, o.message, p.ReasonCode, p.Properties.ReasonString)
		}
		c.journal.Add(Event{Kind: Acked, Client: c.id, Message: o.message})
	}
	if p.Type == packets.PUBREC {
		o.released = true
		c.sendAck(packets.PUBREL, o.id)
		return nil
	}
	c.out = slices.Delete(c.out, at, at+1)
	return nil
}

// Publish sends the client's next message at a QoS of 1 or 2, and reports false where it cannot: offline, or
// too many in flight.
func (c *Client) Publish(qos packets.QoS) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || len(c.out) >= windowMax {
		return false
	}
	c.seq[qos]++
	o := &outgoing{id: c.newID(), message: Message{Publisher: c.id, QoS: qos, Seq: c.seq[qos]}}
	c.out = append(c.out, o)
	c.journal.Add(Event{Kind: Sent, Client: c.id, Message: o.message})
	c.sendMessage(o, false)
	_ = c.w.Flush()
	return true
}

// Idle tells whether nothing is in flight to the broker, and a subscriber has subscribed.
func (c *Client) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) == 0 && c.subscribed == c.subscribes
}

// Ping sends PINGREQ and waits for the answer: what the broker has sent before has then been received.
func (c *Client) Ping(ctx context.Context) error {
	select { // an answer that an earlier Ping did not wait for
	case <-c.pongs:
	default:
	}
	c.mu.Lock()
	if c.conn != nil {
		_, _ = c.w.Write(packets.AppendPingreq(nil))
		_ = c.w.Flush()
	}
	c.mu.Unlock()
	select {
	case <-c.pongs:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ping of %s: %w", c.id, ctx.Err())
	}
}

// newID is the next Packet Identifier that is free.
func (c *Client) newID() uint16 {
	for {
		c.lastID = max(c.lastID+1, 1)
		if !slices.ContainsFunc(c.out, func(o *outgoing) bool { return o.id == c.lastID }) {
			return c.lastID
		}
	}
}

func (c *Client) sendMessage(o *outgoing, dup bool) {
	c.send(&packets.Publish{
		Dup: dup, QoS: o.message.QoS, PacketID: o.id,
		TopicName: []byte(o.message.TopicName()), Payload: o.message.Payload(),
	})
}

func (c *Client) sendAck(t packets.Type, id uint16) {
	_, _ = c.w.Write(packets.AppendAck(nil, t, id))
}

// packet is what a client sends.
type packet interface {
	Append(dst []byte, v packets.Version) ([]byte, error)
}

// send writes a packet; a lost connection shows when reading.
func (c *Client) send(p packet) {
	b, err := p.Append(nil, c.version)
	if err != nil {
		panic("BUG: faultlab: own packet cannot be encoded: " + err.Error())
	}
	_, _ = c.w.Write(b)
}
