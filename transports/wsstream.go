package transports

import (
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"
)

// Faults of a peer that have a close code of their own.
var (
	errTextFrame    = errors.New("WebSocket text frame: MQTT is in binary frames") // [v5 MQTT-6.0.0-1]
	errEmptyFlood   = errors.New("too many WebSocket frames without data")
	errMessageLimit = websocket.ErrReadLimit
)

// wsStream is the bytes in the binary frames of a WebSocket connection. Where frames end means
// nothing: a packet may span many, and a frame may hold many [v5 MQTT-6.0.0-2].
type wsStream struct {
	ws    *websocket.Conn
	under stream
	frame io.Reader // the message that is being read; nil: none
	empty int       // control frames and empty messages since the last data
}

func newWSStream(ws *websocket.Conn, under stream) *wsStream {
	s := &wsStream{ws: ws, under: under}
	ws.SetReadLimit(messageBytesMax)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if s.empty++; s.empty > controlFramesMax {
			return errEmptyFlood
		}
		return pong(data)
	})
	ws.SetPongHandler(func(string) error {
		if s.empty++; s.empty > controlFramesMax {
			return errEmptyFlood
		}
		return nil
	})
	return s
}

// Read returns io.EOF when the peer closed in good order.
func (s *wsStream) Read(b []byte) (int, error) {
	for {
		if s.frame == nil {
			kind, frame, err := s.ws.NextReader()
			switch {
			case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
				return 0, io.EOF
			case err != nil:
				return 0, err
			case kind != websocket.BinaryMessage:
				return 0, errTextFrame
			}
			s.frame = frame
		}
		n, err := s.frame.Read(b)
		if n > 0 {
			s.empty = 0
			return n, nil // an error stays, and comes with the next read
		}
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
		s.frame = nil
		if s.empty++; s.empty > controlFramesMax {
			return 0, errEmptyFlood
		}
	}
}

// Write sends b as one frame.
func (s *wsStream) Write(b []byte) (int, error) {
	switch err := s.ws.WriteMessage(websocket.BinaryMessage, b); {
	case errors.Is(err, websocket.ErrCloseSent):
		return 0, errNoMoreWrites
	case err != nil:
		return 0, err
	}
	return len(b), nil
}

func (s *wsStream) closeWrite(why error) {
	code := websocket.CloseProtocolError
	switch {
	case why == nil || errors.Is(why, io.EOF):
		code = websocket.CloseNormalClosure
	case errors.Is(why, errTextFrame):
		code = websocket.CloseUnsupportedData
	case errors.Is(why, errMessageLimit):
		code = websocket.CloseMessageTooBig
	case errors.Is(why, errEmptyFlood):
		code = websocket.ClosePolicyViolation
	}
	// Where the library has answered a fault already, this does nothing.
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(controlTimeout))
	s.under.closeWrite(why)
}
