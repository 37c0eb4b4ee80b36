//go:build race

package transports_test

// raceEnabled tells that the race detector counts into the memory that is measured.
const raceEnabled = true
