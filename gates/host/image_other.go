//go:build !linux

package host

import "io"

func newImage(name, scratch string) (*image, error) { return newFileImage(name, scratch) }

func (i *image) seal() error { return i.sealFile() }

// isLinked matters for the sandbox, which exists on Linux only.
func isLinked(io.ReaderAt) bool { return false }
