// Package snapshot takes an app's source as it stands: what git tracks plus the untracked files that it does not ignore.
//
// Executors and gates read from a snapshot, never from the folder that the developer is editing.
package snapshot

import "io/fs"

// Snapshot is a listing of files with their digests. It is immutable; Root must not be written to by readers.
type Snapshot struct {
	// Root is the app's folder, absolute.
	Root string
	// Digest is "sha256:…" over paths, modes and contents, independent of where Root lies and of file times.
	Digest string
	Files  []File
	// Commit is the full hash of HEAD, "" outside a git repository; Dirty says that the files differ from it.
	Commit string
	Branch string
	Dirty  bool
}

// File is one file or symbolic link of a snapshot.
type File struct {
	Path   string      // relative to Root, with forward slashes, sorted
	Mode   fs.FileMode // only the executable bit and the symlink bit count
	Size   int64
	Digest string // hex SHA-256 of the content, or of the link's target
	Target string // of a symbolic link
}
