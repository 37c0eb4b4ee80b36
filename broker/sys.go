package broker

import (
	"fmt"
	"strconv"
	"time"

	"nightjar/packets"
	"nightjar/transports"
)

// runSys publishes the broker's numbers under $SYS, by Mosquitto's names.
func (b *Broker) runSys() {
	tick := time.NewTicker(b.cfg.SysInterval)
	defer tick.Stop()
	told := map[string]string{}
	for {
		b.server.Do(func(t *transports.Turn) { b.worker(t).publishSys(told) })
		select {
		case <-b.done:
			return
		case <-tick.C:
		}
	}
}

// publishSys publishes what has changed since it was told last.
func (w *worker) publishSys(told map[string]string) {
	s := w.b.Stats()
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	dropped := uint64(0)
	for _, n := range s.Dropped {
		dropped += n
	}
	disconnected := max(s.Sessions-s.Connections, 0)
	for _, x := range [...][2]string{
		{"version", "nightjar version " + s.Version},
		{"uptime", fmt.Sprintf("%d seconds", int64(s.UptimeSeconds))},
		{"clients/total", strconv.Itoa(s.Sessions)},
		{"clients/connected", strconv.Itoa(s.Connections)},
		{"clients/active", strconv.Itoa(s.Connections)},
		{"clients/disconnected", strconv.Itoa(disconnected)},
		{"clients/inactive", strconv.Itoa(disconnected)},
		{"clients/expired", u(s.SessionsExpired)},
		{"subscriptions/count", strconv.Itoa(s.Subscriptions)},
		{"retained messages/count", strconv.Itoa(s.RetainedMessages)},
		{"store/messages/count", strconv.Itoa(s.RetainedMessages)},
		{"store/messages/bytes", strconv.FormatInt(s.RetainedBytes, 10)},
		{"messages/received", u(s.PacketsReceived)},
		{"messages/sent", u(s.MessagesSent)},
		{"publish/messages/received", u(s.MessagesReceived)},
		{"publish/messages/sent", u(s.MessagesSent)},
		{"publish/messages/dropped", u(dropped)},
		{"bytes/received", u(s.BytesReceived)},
		{"bytes/sent", u(s.BytesSent)},
	} {
		topic := "$SYS/broker/" + x[0]
		if told[topic] == x[1] {
			continue
		}
		told[topic] = x[1]
		w.publishMessage(&packets.Message{TopicName: topic, Payload: []byte(x[1]), QoS: 1, Retain: true})
	}
}
