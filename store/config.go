package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Mode is what an acknowledgement means: which faults it survives.
type Mode uint8

const (
	// Strict commits and fsyncs before a ticket is durable: it survives a power cut.
	Strict Mode = iota
	// Relaxed commits before a ticket is durable, and fsyncs at most every Config.SyncEvery: it survives
	// the end of the process; a power cut may take the last SyncEvery.
	Relaxed
)

// String returns the name that ParseMode takes.
func (m Mode) String() string {
	switch m {
	case Strict:
		return "strict"
	case Relaxed:
		return "relaxed"
	}
	return fmt.Sprintf("mode 0x%02x", uint8(m))
}

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	for _, m := range []Mode{Strict, Relaxed} {
		if name == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("durability %q: use strict or relaxed", name)
}

// Limits of Config.
const (
	syncEveryMin = time.Millisecond
	syncEveryMax = 10 * time.Second
	windowMax    = 2 * time.Millisecond
)

// Config is what Open needs.
type Config struct {
	// Dir is the data folder; made if it is not there.
	Dir string
	// Mode is what an acknowledgement means.
	Mode Mode
	// SyncEvery is how much a power cut may take in Relaxed: 1 ms to 10 s.
	SyncEvery time.Duration
	// Window is how long the committer lets a batch grow after a Kick: 0 to 2 ms. With 0 it takes the batch
	// as soon as it is free.
	Window time.Duration
	// Log takes what an operator should know: checks, migrations, locks of other programs.
	Log *slog.Logger
}

// DefaultConfig returns what is used where nothing else is said. Dir is left to the caller.
func DefaultConfig() Config {
	return Config{Mode: Strict, SyncEvery: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// Validate returns all that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("data folder: is empty; name a folder"))
	}
	if c.Mode > Relaxed {
		errs = append(errs, fmt.Errorf("durability: %v is unknown; use strict or relaxed", c.Mode))
	}
	if c.SyncEvery < syncEveryMin || c.SyncEvery > syncEveryMax {
		errs = append(errs, fmt.Errorf("sync interval: %v is not within %v to %v", c.SyncEvery, syncEveryMin, syncEveryMax))
	}
	if c.Window < 0 || c.Window > windowMax {
		errs = append(errs, fmt.Errorf("commit window: %v is not within 0 to %v", c.Window, windowMax))
	}
	if c.Log == nil {
		errs = append(errs, errors.New("log: is nil; pass a logger"))
	}
	return errors.Join(errs...)
}
