//go:build !linux && !darwin

package snapshot

import "io/fs"

// identity: this platform's file information has neither a change time nor an inode number; size and modification time
// must do.
func identity(fs.FileInfo) (ctime int64, inode uint64) { return 0, 0 }
