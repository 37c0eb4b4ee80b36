//go:build !unix

package node

import "errors"

// diskSpace is not told on this system.
func diskSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }
