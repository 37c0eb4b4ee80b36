package transports

// Do runs fn in a Turn of its own, on the calling goroutine. It must not be called in a turn.
func (s *Server) Do(fn func(t *Turn)) { s.turns.run(fn) }

// PostTurn runs fn in the turn of a loop, soon, where id is that of a loop's Turn; otherwise it
// runs fn in a borrowed Turn, on the calling goroutine. It must not be called in a turn.
func (s *Server) PostTurn(id int, fn func(t *Turn)) {
	if id < len(s.loops) {
		s.loops[id].post(fn)
		return
	}
	s.Do(fn)
}

// Receiver is the receiver of the connection; nil once it was finished or closed. Owner only.
func (c *Conn) Receiver() Receiver { return c.receiver }
