package admin

// goroutine runs fn, once for each Server, and closes done when it has ended.
func (s *Server) goroutine(fn func()) {
	go func() {
		defer close(s.done)
		fn()
	}()
}
