package store

// goroutine runs the committer and closes done when it has ended. There is one for each SQLite.
func (s *SQLite) goroutine(fn func()) {
	go func() {
		defer close(s.done)
		fn()
	}()
}
