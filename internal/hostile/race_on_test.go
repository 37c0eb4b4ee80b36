//go:build race

package hostile

// raceEnabled tells that the race detector counts into the memory that is measured.
const raceEnabled = true
