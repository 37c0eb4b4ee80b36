//go:build !unix

package node

import "math"

// openFilesMax is how many files this process may have open: as many as it likes.
func openFilesMax() int { return math.MaxInt32 }
