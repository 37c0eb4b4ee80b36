//go:build unix

package node

import (
	"math"

	"golang.org/x/sys/unix"
)

// openFilesMax is how many files this process may have open.
func openFilesMax() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
