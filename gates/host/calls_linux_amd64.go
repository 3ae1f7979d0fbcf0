package host

import "golang.org/x/sys/unix"

// refusedOlderCalls are those of [refusedCalls] that only older architectures have.
var refusedOlderCalls = []uint32{
	unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT, unix.SYS_INOTIFY_INIT,
	unix.SYS_KEXEC_FILE_LOAD,
}

// forkingCalls start a process, as clone does.
var forkingCalls = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
