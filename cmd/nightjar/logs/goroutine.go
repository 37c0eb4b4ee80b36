package logs

// start starts the goroutine that writes. It ends after Close, or with the process where the other writer
// never returns.
func (w *Writer) start() { go w.run() }
