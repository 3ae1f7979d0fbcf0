package snapshot

import (
	"io/fs"
	"syscall"
)

// identity returns the change time and inode number: both change when a file is replaced or rewritten, even by a program
// that puts the modification time back.
func identity(info fs.FileInfo) (ctime int64, inode uint64) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return syscall.TimespecToNsec(stat.Ctimespec), stat.Ino
	}
	return 0, 0
}
