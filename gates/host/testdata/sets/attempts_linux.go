package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts are what only Linux lets a program try, by name; nil is success.
var attempts = map[string]func(what string) error{
	"readlink": func(path string) error { _, err := os.Readlink(path); return err },
	"open-to-write": func(path string) error {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		return errors.Join(err, file.Close())
	},
	"hard-link": func(path string) error { return os.Link(path, filepath.Join(os.TempDir(), "hard")) },
	"write-by-link": func(path string) error {
		link := filepath.Join(os.TempDir(), "soft")
		if err := os.Symlink(path, link); err != nil {
			return err
		}
		return errors.Join(os.WriteFile(link, []byte("x"), 0o600), os.Remove(link))
	},
	"rename":   func(path string) error { return os.Rename(path, filepath.Join(os.TempDir(), "renamed")) },
	"truncate": func(path string) error { return os.Truncate(path, 0) },
	"chmod":    func(path string) error { return os.Chmod(path, 0o644) },
	"fchmod": func(path string) error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			if fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
				return err
			}
			return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o644)
		}
		return unix.Fchmod(fd, 0o644)
	},
	"chown":    func(path string) error { return os.Chown(path, os.Getuid(), os.Getgid()) },
	"setxattr": func(path string) error { return unix.Setxattr(path, "user.penstock", []byte("x"), 0) },
	"utime":    func(path string) error { return unix.Utimes(path, make([]unix.Timeval, 2)) },
	"watch": func(path string) error {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, path, unix.IN_ALL_EVENTS)
		}
		return err
	},
	"ptrace": func(what string) error {
		pid, err := number(what)
		if err == nil {
			err = unix.PtraceSeize(pid)
		}
		return err
	},
	"read-memory": func(what string) error {
		pid, err := number(what)
		if err != nil {
			return err
		}
		var into [8]byte
		_, err = unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &into[0], Len: 8}}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&into)), Len: 8}}, 0)
		if errors.Is(err, unix.EFAULT) { // it was let in, and there is nothing at that address
			return nil
		}
		return err
	},
	"take-descriptor": func(what string) error {
		pid, err := number(what)
		if err != nil {
			return err
		}
		process, err := unix.PidfdOpen(pid, 0)
		if err == nil {
			_, err = unix.PidfdGetfd(process, 0, 0)
		}
		return err
	},
	"limit-other": func(what string) error {
		pid, err := number(what)
		if err != nil {
			return err
		}
		var now unix.Rlimit
		return unix.Prlimit(pid, unix.RLIMIT_CORE, nil, &now)
	},
	// inherited looks for a file, by its inode, among the descriptors that were open from the start.
	"inherited": func(what string) error {
		for fd := range 1024 {
			var info unix.Stat_t
			if unix.Fstat(fd, &info) == nil && fmt.Sprint(info.Ino) == what {
				return nil
			}
		}
		return os.ErrNotExist
	},
	"abstract-socket": func(name string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name})
		}
		return err
	},
	// datagram sends to a socket file past the other end of a pair of sockets, which takes no socket that was made to connect.
	"datagram": func(path string) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Sendto(pair[0], []byte("x"), 0, &unix.SockaddrUnix{Name: path})
		}
		return err
	},
	"seqpacket": func(path string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		return err
	},
	// connect-inherited turns the socket on which the set is asked around.
	"connect-inherited": func(path string) error {
		for fd := range 1024 {
			if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
				return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
			}
		}
		return errUnknownAttempt
	},
	"family": func(what string) error {
		family, err := number(what)
		if err == nil {
			_, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		}
		return err
	},
	// link-among-sockets would lead the host, which connects to what lies there, to another's socket.
	"link-among-sockets": func(path string) error {
		return os.Symlink(path, filepath.Join(filepath.Dir(os.Getenv("PENSTOCK_SET_SOCKET")), "link"))
	},
	"move-among-sockets": func(path string) error {
		link := filepath.Join(os.TempDir(), "to-move")
		if err := os.Symlink(path, link); err != nil {
			return err
		}
		return os.Rename(link, os.Getenv("PENSTOCK_SET_SOCKET"))
	},
	"terminal": func(string) error {
		file, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		return errors.Join(err, file.Close())
	},
	// type-ahead pushes a character into a terminal as if somebody had typed it; stderr is no terminal, which is told apart.
	"type-ahead": func(string) error {
		letter := byte('x')
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, 2, unix.TIOCSTI, uintptr(unsafe.Pointer(&letter)))
		if errno == unix.ENOTTY {
			return nil
		}
		return errno
	},
	"io-uring": func(string) error {
		var parameters [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&parameters)))
	},
	"userfault": func(string) error { return call(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|1) },
	"keyring": func(string) error {
		_, err := unix.AddKey("user", "penstock", []byte("x"), unix.KEY_SPEC_SESSION_KEYRING)
		return err
	},
	"bpf": func(string) error {
		var attributes [128]byte
		return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attributes)), 128)
	},
	"perf": func(string) error {
		var attributes [128]byte
		return call(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&attributes)), 0, ^uintptr(0), ^uintptr(0), 0)
	},
	"namespace":   func(string) error { return unix.Unshare(unix.CLONE_NEWNS) },
	"mount":       func(string) error { return unix.Mount("none", os.TempDir(), "tmpfs", 0, "") },
	"chroot":      func(string) error { return unix.Chroot(os.TempDir()) },
	"host-name":   func(string) error { return unix.Sethostname([]byte("mine")) },
	"clock":       func(string) error { return unix.Settimeofday(&unix.Timeval{Sec: 1}) },
	"priority":    func(string) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) }, // takes a power of root's
	"memory-file": func(string) error { _, err := unix.MemfdCreate("x", 0); return err },
	"shared-memory": func(string) error {
		_, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		return err
	},
	"stack-memory": func(string) error {
		_, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_GROWSDOWN)
		return err
	},
	"shm":          func(string) error { _, err := unix.SysvShmGet(0x70656e73, 4096, unix.IPC_CREAT|0o600); return err },
	"start-itself": func(string) error { return exec.Command("/proc/self/exe", "nothing").Start() },
	"fork":         func(string) error { return call(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0) },
	"fork-3":       func(string) error { return call(unix.SYS_CLONE3, 0, 0) },
	// start-copy makes a program of its own in the folder that it may write to.
	"start-copy": func(string) error {
		text, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		path := filepath.Join(os.TempDir(), "copy")
		if err := os.WriteFile(path, text, 0o700); err != nil {
			return err
		}
		return unix.Exec(path, []string{"penstock-gates-nothing"}, nil)
	},
}

func call(number, a uintptr, more ...uintptr) error {
	return syscall6(number, append([]uintptr{a}, more...))
}

func syscall6(number uintptr, arguments []uintptr) error {
	var all [6]uintptr
	copy(all[:], arguments)
	_, _, errno := unix.RawSyscall6(number, all[0], all[1], all[2], all[3], all[4], all[5])
	if errno != 0 {
		return errno
	}
	return nil
}

func number(text string) (pid int, err error) {
	_, err = fmt.Sscan(text, &pid)
	return pid, err
}
