package transports

import "time"

const (
	bufferBytes     = 4 << 10  // first size of an outbox
	bufferBytesKept = 64 << 10 // a larger one is left to the garbage collector
	buffersKept     = 128      // free outboxes that a Turn keeps
	buffersSpare    = 256      // free outboxes that a Server keeps besides

	drainBytes  = 64 << 10 // the most that a goroutine writes at once
	carryBytes  = 4 << 10  // unfinished input up to this is parsed in a shared buffer
	tickMillis  = 500      // how often deadlines are looked at
	lingerBytes = 1 << 20  // dropped from a lingering peer before the connection is cut
	lingerTime  = 2000     // milliseconds that a lingering peer has
	closingTime = 5000     // milliseconds that the last outbox has to be written
)

// Of sockets on loops.
const (
	readBytes = 64 << 10 // the most that one connection is read in a turn
	eventsMax = 256      // ready descriptors taken in one turn
)

// Of connections that goroutines own.
const (
	idleReadBytes = 1 << 10    // the read buffer of a connection that has not filled it
	busyReadBytes = 32 << 10   // the pooled one of a connection that has
	writeBytes    = drainBytes // the largest WebSocket frame

	handshakeMillis    = 10_000 // HandshakeTimeout where none is given
	handshakesPerCPU   = 2      // handshakes that compute at the same time
	refusalsPerSecond  = 10     // log lines about refused handshakes
	controlFramesMax   = 100    // WebSocket control or empty frames in a row
	messageBytesMax    = 268_435_460 + 64
	headerBytesDefault = 8 << 10
)

// keepAliveSeconds is the silence after which TCP asks an idle peer whether it is there, where
// ListenerConfig.KeepAlive is 0.
const keepAliveSeconds = 60

// controlTimeout is how long a WebSocket control frame may wait for the socket.
const controlTimeout = time.Second
