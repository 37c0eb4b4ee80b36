package faultlab

import (
	"bufio"
	"io"

	"nightjar/packets"
)

// packetReader takes packets off a stream.
type packetReader struct {
	r    *bufio.Reader
	body []byte // of the last packet
}

// next is the next packet; body is valid until the next call.
func (p *packetReader) next() (h packets.Header, body []byte, err error) {
	for n := 2; h.Size == 0; n++ {
		head, err := p.r.Peek(n)
		if err != nil {
			return h, nil, err
		}
		if h, err = packets.ParseHeader(head); err != nil {
			return h, nil, err
		}
	}
	_, _ = p.r.Discard(h.Size) // they have been peeked at
	if cap(p.body) < h.Remaining {
		p.body = make([]byte, h.Remaining)
	}
	body = p.body[:h.Remaining]
	_, err = io.ReadFull(p.r, body)
	return h, body, err
}
