//go:build !linux

package host

import "os"

func newImage(name, scratch string) (*image, error) { return newFileImage(name, scratch) }

func (i *image) seal() error { return i.sealFile() }

// inspect matters for the sandbox, which exists on Linux only.
func inspect(*os.File) (script, linked bool) { return false, false }
