package host

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// native is how the kernel names the instruction set in a filter's input, for those whose system call numbers are known
// to be right here.
var native = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// confineCalls takes from the thread, by a seccomp filter, what Landlock has no say in: what changes files without opening
// them, what reaches other processes, what holds memory or machine-wide things beside the bounds, and sockets. Landlock bounds
// TCP only: without this a set could still send UDP, or talk to the daemon behind a socket file, such as Docker's. A set that
// only answers questions has no need to connect to anybody: the host connects to it. One that asks the running version, at an
// address that takes no DNS to find, gets TCP and nothing else; one that was granted hosts by name gets UDP besides, by which
// DNS asks. A filter cannot see to whom a socket connects, so whoever may connect may make no local socket: it is asked on the one
// that it inherits, which listens and so cannot connect.
//
// forks says that the set may start processes: one that is linked statically can start nothing but itself.
func confineCalls(granted grant, forks bool, report *SandboxReport) error {
	architecture, known := native[runtime.GOARCH]
	if !known {
		report.miss("system calls: not confined on " + runtime.GOARCH + ", so a set can change the modes of your files, and use sockets other than TCP")
		return nil
	}
	filter := callFilter(architecture, granted, forks)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// prctl, not seccomp(2): some container runtimes forbid the latter and allow the former. It acts on this thread.
	_, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0, 0)
	runtime.KeepAlive(filter)
	if errno == unix.EINVAL {
		report.miss("system calls: this kernel has no filters for them, so a set can change the modes of your files, and use sockets other than TCP")
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	report.enforce("system calls: none that change a file's mode, owner or times, reach other processes, or leave something behind in the kernel")
	if !forks {
		report.enforce("programs: it can start none")
	}
	switch {
	case granted.hosts != "":
		report.enforce("network: no protocol but TCP and UDP, and no socket files of this machine's services")
	case granted.version != "":
		report.enforce("network: no protocol but TCP")
	default:
		report.enforce("network: none")
	}
	return nil
}

// Offsets in struct seccomp_data (linux/seccomp.h); the low half of each 64-bit argument, little endian.
const (
	offsetCall         = 0
	offsetArchitecture = 4
	offsetArgument0    = 16
	offsetArgument1    = 24
	offsetArgument2    = 32
	offsetArgument3    = 40
)

// fastOpen is MSG_FASTOPEN, by which sending connects; Landlock has not always seen that.
const fastOpen = 0x20000000

const (
	load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atOver = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	anyBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	mask   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	jump   = unix.BPF_JMP | unix.BPF_JA
	answer = unix.BPF_RET | unix.BPF_K
)

func refuse(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }

// callFilter answers each system call of the confined processes.
func callFilter(architecture uint32, granted grant, forks bool) []unix.SockFilter {
	filter := []unix.SockFilter{
		{Code: load, K: offsetArchitecture},
		{Code: equal, K: architecture, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offsetCall},
		// The x32 calls of amd64 have numbers of their own for the same things; other architectures have none so high.
		{Code: atOver, K: 0x40000000, Jf: 1},
		{Code: answer, K: refuse(unix.ENOSYS)},
	}
	for _, number := range absentCalls {
		filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: answer, K: refuse(unix.ENOSYS)})
	}
	for _, number := range slices.Concat(refusedCalls, refusedOlderCalls) {
		filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: answer, K: refuse(unix.EPERM)})
	}
	filter = append(filter, when(unix.SYS_PRLIMIT64, // of itself only
		unix.SockFilter{Code: load, K: offsetArgument0},
		unix.SockFilter{Code: equal, K: 0, Jt: 1},
		unix.SockFilter{Code: answer, K: refuse(unix.EPERM)},
	)...)
	filter = append(filter, when(unix.SYS_MMAP, // what is shared, or grows like a stack, does not count as a program's data
		unix.SockFilter{Code: load, K: offsetArgument3},
		unix.SockFilter{Code: anyBit, K: unix.MAP_GROWSDOWN, Jt: 2},
		unix.SockFilter{Code: mask, K: unix.MAP_ANONYMOUS | unix.MAP_SHARED},
		unix.SockFilter{Code: equal, K: unix.MAP_ANONYMOUS | unix.MAP_SHARED, Jf: 1},
		unix.SockFilter{Code: answer, K: refuse(unix.ENOMEM)},
	)...)
	filter = append(filter, when(unix.SYS_IOCTL, // typing into a terminal as if a person had
		unix.SockFilter{Code: load, K: offsetArgument1},
		unix.SockFilter{Code: equal, K: unix.TIOCSTI, Jt: 1},
		unix.SockFilter{Code: equal, K: linuxConsole, Jf: 1},
		unix.SockFilter{Code: answer, K: refuse(unix.EPERM)},
	)...)
	if !forks {
		for _, number := range forkingCalls {
			filter = append(filter, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: answer, K: refuse(unix.EPERM)})
		}
		filter = append(filter, when(unix.SYS_CLONE,
			unix.SockFilter{Code: load, K: offsetArgument0},
			// With a new user namespace it is how the host starts the set; the set itself, whose user has no name in its own, the
			// kernel lets make none (user_namespaces(7)).
			unix.SockFilter{Code: anyBit, K: unix.CLONE_THREAD | unix.CLONE_NEWUSER, Jt: 1},
			unix.SockFilter{Code: answer, K: refuse(unix.EPERM)},
		)...)
	}
	filter = append(filter, when(unix.SYS_SOCKETPAIR, // a datagram may be sent past the pair's other end, to any socket file
		unix.SockFilter{Code: load, K: offsetArgument1},
		unix.SockFilter{Code: mask, K: socketType},
		unix.SockFilter{Code: equal, K: unix.SOCK_STREAM, Jt: 1},
		unix.SockFilter{Code: answer, K: refuse(unix.EACCES)},
	)...)
	if granted.hosts == "" && granted.version == "" {
		return append(filter, noConnections()...)
	}
	return append(filter, onlyInternet(granted.hosts != "")...)
}

// linuxConsole is TIOCLINUX, by which a console's selection is pasted.
const linuxConsole = 0x541c

// when is a part of a filter for one system call: then may answer, or fall through to what follows.
func when(number uint32, then ...unix.SockFilter) []unix.SockFilter {
	then = append(then, unix.SockFilter{Code: load, K: offsetCall})
	return append([]unix.SockFilter{{Code: equal, K: number, Jf: uint8(len(then))}}, then...)
}

// socketType is a socket's type without its flags.
const socketType = 0xf

// onlyInternet is the end of a filter that lets sockets of TCP (and not of its relatives, which Landlock does not bound) be made
// and connected, of UDP if that is said, and none of another family.
func onlyInternet(udp bool) []unix.SockFilter {
	filter := []unix.SockFilter{
		{Code: equal, K: unix.SYS_SENDTO, Jt: 2},
		{Code: equal, K: unix.SYS_SENDMMSG, Jt: 1},
		{Code: equal, K: unix.SYS_SENDMSG, Jt: 2, Jf: 5},
		{Code: load, K: offsetArgument3}, // the flags of sendto and sendmmsg
		{Code: jump, K: 1},
		{Code: load, K: offsetArgument2}, // the flags of sendmsg
		{Code: anyBit, K: fastOpen, Jf: 2},
		{Code: answer, K: refuse(unix.EACCES)},
		{Code: equal, K: unix.SYS_SOCKET, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: offsetArgument0},
		{Code: equal, K: unix.AF_INET, Jt: 2},
		{Code: equal, K: unix.AF_INET6, Jt: 1},
		{Code: answer, K: refuse(unix.EACCES)},
		{Code: load, K: offsetArgument1},
		{Code: mask, K: socketType},
	}
	filter = append(filter, protocol(unix.SOCK_STREAM, unix.IPPROTO_TCP)...)
	if udp {
		filter = append(filter, protocol(unix.SOCK_DGRAM, unix.IPPROTO_UDP)...)
	}
	return append(filter, unix.SockFilter{Code: answer, K: refuse(unix.EACCES)})
}

// protocol is a part of a filter that answers for sockets of one type, which has been loaded, and falls through for others.
func protocol(ofType, number uint32) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: equal, K: ofType, Jf: 5},
		{Code: load, K: offsetArgument2},
		{Code: equal, K: 0, Jt: 1}, // the type's own
		{Code: equal, K: number, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: refuse(unix.EACCES)},
	}
}

// noConnections is the end of a filter under which a stream socket of the local family may be made and listened on, and
// nothing may be connected to.
func noConnections() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: equal, K: unix.SYS_CONNECT, Jf: 1},
		{Code: answer, K: refuse(unix.EACCES)},
		{Code: equal, K: unix.SYS_SOCKET, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: offsetArgument0},
		{Code: equal, K: unix.AF_UNIX, Jf: 3},
		{Code: load, K: offsetArgument1},
		{Code: mask, K: socketType},
		{Code: equal, K: unix.SOCK_STREAM, Jt: 1},
		{Code: answer, K: refuse(unix.EACCES)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
}
