//go:build unix

package node

import "golang.org/x/sys/unix"

// diskSpace is what is free for this user, and the size, of the file system that holds dir, in bytes.
func diskSpace(dir string) (free, size uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize)
	return uint64(st.Bavail) * block, uint64(st.Blocks) * block, nil
}
