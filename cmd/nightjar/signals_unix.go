//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// surviveFileLimit makes a write beyond `ulimit -f` an error of the store, which ends the broker in good order; the signal
// that comes with it would end the process at once.
func surviveFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
