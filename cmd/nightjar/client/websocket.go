package client

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// webSocketConn is a WebSocket as a stream of bytes: a packet may span frames, and a frame hold several packets.
type webSocketConn struct {
	*websocket.Conn
	frame io.Reader  // the frame being read; nil between frames
	write sync.Mutex // held while a frame is written
}

// closeWait is how long the goodbye of a WebSocket may take to be written.
const closeWait = 100 * time.Millisecond

// Read is called by one goroutine at a time.
func (c *webSocketConn) Read(p []byte) (int, error) {
	for {
		if c.frame == nil {
			_, frame, err := c.NextReader()
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			c.frame = frame
		}
		n, err := c.frame.Read(p)
		if errors.Is(err, io.EOF) {
			c.frame, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// Write sends a frame. MQTT 3 writes PINGREQ beside other packets, which gorilla itself does not allow.
func (c *webSocketConn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *webSocketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close says goodbye before it closes; WriteControl may be called beside Write.
func (c *webSocketConn) Close() error {
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(closeWait))
	return c.Conn.Close()
}
