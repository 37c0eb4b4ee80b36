package retained

import (
	"errors"
	"strings"

	"nightjar/packets"
)

// Limits bounds what a Store holds. Over either, Set returns ErrFull and nothing changes.
// There is no "unlimited": a limit of 0 retains nothing.
type Limits struct {
	Messages int   // number of messages
	Bytes    int64 // sum of Size over the messages; what exceeds 160 GiB counts as that
}

// ErrFull says that a message was not retained because a limit would be exceeded; the
// error wrapped around it names the limit. The message may still be delivered.
var ErrFull = errors.New("retained messages are full")

const (
	// messageOverhead is what a message costs beyond its strings, in bytes: the Message
	// struct with its allocations, and its share of the indexes.
	messageOverhead = 160
	// levelOverhead is what one topic level may cost, in bytes: a node and its index slots.
	levelOverhead = 96
	// bytesMax keeps node numbers within 32 bits, since a node costs at least levelOverhead.
	bytesMax = 160 << 30
)

// Size is what m counts against Limits.Bytes: Topic Name, payload, properties and the
// publisher's names, and a fixed overhead per message (160) and per topic level (96).
// A level that several topics share counts for each of them.
func Size(m *packets.Message) int64 {
	text := len(m.TopicName) + len(m.Payload) + len(m.Properties) + len(m.PublisherID) + len(m.PublisherUser)
	levels := strings.Count(m.TopicName, "/") + 1
	return int64(text) + messageOverhead + int64(levels)*levelOverhead
}
