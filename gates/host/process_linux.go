package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// startProcess starts the binary in a process group and, with namespaces, in a process namespace: then whatever it starts dies
// with it, even what left the group. The user namespace that this takes has another good: a set that is started by root has
// none of root's powers.
func startProcess(binary *image, environment []string, dir string, streams []*os.File, namespaces bool, report *SandboxReport) (*os.Process, error) {
	path, arguments, input, err := binary.command()
	if err != nil {
		return nil, err
	}
	if input != nil {
		defer input.Close()
		streams[0] = input
	}
	leaveNothingOpen()
	// The child of os.StartProcess writes over the descriptor after its highest stream. With this one, that is not the image.
	above, err := aboveImage(binary.executed(), streams[0])
	if err != nil {
		return nil, fmt.Errorf("open its standard input: %w", err)
	}
	defer above.Close()
	streams[0] = above
	var flags uintptr
	if namespaces {
		flags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID
	}
	process, err := os.StartProcess(path, arguments, &os.ProcAttr{
		Dir: dir, Env: environment, Files: streams,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: flags},
	})
	if namespaces {
		for _, refused := range []error{unix.EPERM, unix.ENOSPC, unix.EINVAL, unix.ENOSYS} {
			if errors.Is(err, refused) {
				return nil, errors.Join(errNoNamespaces, err)
			}
		}
		report.enforce("processes: a process namespace, killed as a whole")
	}
	return process, err
}

// aboveImage is the stream once more, with a descriptor higher than the image's.
func aboveImage(executed *image, stream *os.File) (*os.File, error) {
	lowest := 0
	if executed.file != nil { // else it is executed by its name
		lowest = int(executed.file.Fd()) + 1
	}
	fd, err := unix.FcntlInt(stream.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), stream.Name()), nil
}

// leaveNothingOpen keeps descriptors that Go did not open from the processes that it starts: whoever started this process may
// have left anything open, and a library that makes its own system calls may open more at any time. Those of Go are closed at
// each start anyhow.
func leaveNothingOpen() {
	const first = 3 // after the three streams
	if unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}

// limit bounds what the process may take. It has been running for some microseconds by then; a program that is made to use
// them is ended by [runner.watch]. The thread that calls is confined and may bound nobody else, so another one does it.
func limit(pid int, memory int64, report *SandboxReport) error {
	limited := make(chan error)
	go func() { limited <- limitOther(pid, memory) }()
	if err := <-limited; err != nil {
		return err
	}
	report.enforce(fmt.Sprintf("memory: at most %d MiB, and files no larger", memory>>20))
	return nil
}

func limitOther(pid int, memory int64) error {
	for _, bound := range []struct {
		resource int
		value    uint64
	}{
		// Not RLIMIT_AS: a Go program reserves far more address space than it uses.
		{unix.RLIMIT_DATA, uint64(memory)},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, uint64(memory)},
		{unix.RLIMIT_NOFILE, 1024},
	} {
		err := unix.Prlimit(pid, bound.resource, &unix.Rlimit{Cur: bound.value, Max: bound.value}, nil)
		if errors.Is(err, unix.ESRCH) {
			return nil // it is gone already, which the handshake will tell
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reap waits until the process has ended, calls killRest while its id cannot yet belong to another, and lets it go.
func reap(process *os.Process, killRest func()) (*os.ProcessState, error) {
	for {
		err := unix.Waitid(unix.P_PID, process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	killRest()
	return process.Wait()
}

// killTree kills the process and its group. It says nothing when there is nobody left to kill.
func killTree(process *os.Process) {
	_ = unix.Kill(-process.Pid, unix.SIGKILL)
	_ = process.Kill()
}
