package client

import (
	"fmt"
	"math"
	"net"

	"nightjar/packets"
)

// willConn completes the Will of the CONNECT that is written to it: paho.golang v0.23.0 leaves all of its properties
// out but the delay and the user properties. What is written after the CONNECT passes through.
type willConn struct {
	net.Conn
	will    properties
	connect []byte // the packet as far as it has come; nil after it
	sent    bool
}

// withWill wraps conn where the Will has properties that the library forgets.
func withWill(conn net.Conn, will *message) net.Conn {
	if will == nil {
		return conn
	}
	p := will.properties
	if p.payloadFormat == nil && p.messageExpiry == nil && p.contentType == "" && p.responseTopic == "" && p.correlationData == nil {
		return conn
	}
	return &willConn{Conn: conn, will: p}
}

func (c *willConn) Write(p []byte) (int, error) {
	if c.sent {
		return c.Conn.Write(p)
	}
	c.connect = append(c.connect, p...)
	h, err := packets.ParseHeader(c.connect)
	if err != nil {
		return 0, err
	}
	if h.Size == 0 || len(c.connect) < h.Size+h.Remaining {
		return len(p), nil
	}
	completed, err := completeWill(h, c.connect[h.Size:], &c.will)
	if err != nil {
		return 0, err
	}
	c.sent, c.connect = true, nil
	if _, err := c.Conn.Write(completed); err != nil {
		return 0, err
	}
	return len(p), nil
}

// completeWill gives the CONNECT whose body is given with all properties of its Will.
func completeWill(h packets.Header, body []byte, will *properties) ([]byte, error) {
	var connect packets.Connect
	unlimited := packets.Limits{UserProperties: math.MaxInt, UserPropertyBytes: math.MaxInt, StringBytes: math.MaxInt}
	if err := connect.Decode(h, body, &unlimited); err != nil {
		return nil, fmt.Errorf("complete the will: %w", err)
	}
	p := &connect.Will.Properties
	if will.payloadFormat != nil {
		p.PayloadFormatIndicator = *will.payloadFormat
		p.Present.Add(packets.PropPayloadFormatIndicator)
	}
	if will.messageExpiry != nil {
		p.MessageExpiryInterval = *will.messageExpiry
		p.Present.Add(packets.PropMessageExpiryInterval)
	}
	if will.contentType != "" {
		p.ContentType = []byte(will.contentType)
		p.Present.Add(packets.PropContentType)
	}
	if will.responseTopic != "" {
		p.ResponseTopic = []byte(will.responseTopic)
		p.Present.Add(packets.PropResponseTopic)
	}
	if will.correlationData != nil {
		p.CorrelationData = will.correlationData
		p.Present.Add(packets.PropCorrelationData)
	}
	return connect.Append(nil)
}
