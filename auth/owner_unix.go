//go:build unix

package auth

import (
	"fmt"
	"os"
	"syscall"
)

// copyOwner gives f the owner and group of the file like, so that a broker that runs as its own
// user can still read what root has edited.
func copyOwner(f *os.File, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid()) {
		return nil
	}
	if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
		return fmt.Errorf("keep the owner of %s: edit it as its owner or as root: %w", like, err)
	}
	return nil
}
