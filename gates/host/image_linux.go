package host

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// newImage makes room for a binary in memory that nobody else can reach. Where the kernel does not allow that (before
// 3.17, or vm.memfd_noexec=2) a file in a private folder serves.
func newImage(name, scratch string) (*image, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC is known since 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return newFileImage(name, scratch)
	}
	if fd, err = aboveInherited(fd); err != nil {
		return nil, err
	}
	return &image{name: name, path: fmt.Sprintf("/proc/self/fd/%d", fd), file: os.NewFile(uintptr(fd), name)}, nil
}

// aboveInherited moves a descriptor off those that a set inherits, which would be put in its place.
func aboveInherited(fd int) (int, error) {
	if fd > wire.ListenerDescriptor {
		return fd, nil
	}
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, wire.ListenerDescriptor+1)
	return moved, errors.Join(err, unix.Close(fd))
}

// seal makes the copy immutable, also for this process and for root.
func (i *image) seal() error {
	if i.folder != "" {
		return i.sealFile()
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(i.file.Fd(), unix.F_ADD_SEALS, seals)
	return err
}

// isLinked reports whether a program needs files of the system to run at all.
func isLinked(file io.ReaderAt) bool {
	binary, err := elf.NewFile(file)
	if err != nil {
		return false
	}
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}
