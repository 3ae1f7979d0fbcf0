package host

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// native is how the kernel names the instruction set in a filter's input, for those whose system call numbers are known
// to be right here.
var native = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// confineSockets keeps the thread from reaching anything over a socket, by a seccomp filter, unless a host was granted.
// Landlock bounds TCP only: without this a set could still send UDP, or talk to the daemon behind a socket file, such as
// Docker's. A set that only answers questions has no need to connect to anybody: the host connects to it. One that asks
// the running version, at an address that takes no DNS to find, gets TCP and nothing else.
func confineSockets(granted grant, report *SandboxReport) error {
	if granted.hosts != "" {
		return nil
	}
	architecture, known := native[runtime.GOARCH]
	if !known {
		report.miss("network: sockets other than TCP are not confined on " + runtime.GOARCH)
		return nil
	}
	filter := socketFilter(architecture, granted.version != "")
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// prctl, not seccomp(2): some container runtimes forbid the latter and allow the former. It acts on this thread.
	_, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0, 0)
	runtime.KeepAlive(filter)
	if errno == unix.EINVAL {
		report.miss("network: this kernel has no system call filters, so sockets other than TCP are not confined")
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	if granted.version == "" {
		report.enforce("network: none")
	} else {
		report.enforce("network: no protocol but TCP")
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

// socketFilter answers each system call of the confined processes: a stream socket of the local family may be made and
// listened on, nothing may be connected to, and io_uring, which does the same things unseen by filters, is not there.
// With tcp, sockets of TCP (and not of its relatives, which Landlock does not bound) may be made and connected besides.
func socketFilter(architecture uint32, tcp bool) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atOver = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		mask   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		jump   = unix.BPF_JMP | unix.BPF_JA
		answer = unix.BPF_RET | unix.BPF_K
	)
	refuse := func(errno uintptr) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }
	filter := []unix.SockFilter{
		{Code: load, K: offsetArchitecture},
		{Code: equal, K: architecture, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offsetCall},
		// The x32 calls of amd64 have numbers of their own for the same things; other architectures have none so high.
		{Code: atOver, K: 0x40000000, Jf: 1},
		{Code: answer, K: refuse(uintptr(unix.ENOSYS))},
		{Code: equal, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		{Code: answer, K: refuse(uintptr(unix.ENOSYS))},
	}
	if tcp {
		const anyBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		return append(filter, []unix.SockFilter{
			{Code: equal, K: unix.SYS_SENDTO, Jt: 2},
			{Code: equal, K: unix.SYS_SENDMMSG, Jt: 1},
			{Code: equal, K: unix.SYS_SENDMSG, Jt: 2, Jf: 4},
			{Code: load, K: offsetArgument3}, // the flags of sendto and sendmmsg
			{Code: jump, K: 1},
			{Code: load, K: offsetArgument2}, // the flags of sendmsg
			{Code: anyBit, K: fastOpen, Jt: 12, Jf: 11},
			{Code: equal, K: unix.SYS_SOCKET, Jf: 10},
			{Code: load, K: offsetArgument1},
			{Code: mask, K: 0xf}, // the type without its flags
			{Code: equal, K: unix.SOCK_STREAM, Jf: 8},
			{Code: load, K: offsetArgument0},
			{Code: equal, K: unix.AF_UNIX, Jt: 5},
			{Code: equal, K: unix.AF_INET, Jt: 1},
			{Code: equal, K: unix.AF_INET6, Jf: 4},
			{Code: load, K: offsetArgument2},
			{Code: equal, K: 0, Jt: 1}, // the family's own, which is TCP
			{Code: equal, K: unix.IPPROTO_TCP, Jf: 1},
			{Code: answer, K: unix.SECCOMP_RET_ALLOW},
			{Code: answer, K: refuse(uintptr(unix.EACCES))},
		}...)
	}
	return append(filter, []unix.SockFilter{
		{Code: equal, K: unix.SYS_CONNECT, Jf: 1},
		{Code: answer, K: refuse(uintptr(unix.EACCES))},
		{Code: equal, K: unix.SYS_SOCKET, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: offsetArgument0},
		{Code: equal, K: unix.AF_UNIX, Jf: 3},
		{Code: load, K: offsetArgument1},
		{Code: mask, K: 0xf}, // the type without its flags
		{Code: equal, K: unix.SOCK_STREAM, Jt: 1},
		{Code: answer, K: refuse(uintptr(unix.EACCES))},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}...)
}
