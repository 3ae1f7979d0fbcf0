//go:build unix

package host

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the program the leader of a new process group.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// adopt has nothing to do: the group was made with the process.
func adopt(*exec.Cmd) error { return nil }

// groupAlive reports whether the group has members, dead ones that nobody waited for included.
func groupAlive(group int) bool { return syscall.Kill(-group, 0) != syscall.ESRCH }

// The errors below are all "no such process": it is gone, which is what was wanted.

func interruptGroup(group int) { _ = syscall.Kill(-group, syscall.SIGINT) }

func killGroup(group int) { _ = syscall.Kill(-group, syscall.SIGKILL) }

func killProcess(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// exitCodeOf is the shell's: 128 and the signal's number for a program that a signal ended.
func exitCodeOf(err *exec.ExitError) uint8 {
	if status, ok := err.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return uint8(128 + int(status.Signal()))
	}
	return uint8(err.ExitCode())
}

// isNotExecutable recognises a script without a "#!" line, which every shell runs itself.
func isNotExecutable(err error) bool { return isErrno(err, syscall.ENOEXEC) }

// isBusy recognises a program file that another process, just forked, still holds open for writing: go.dev/issue/22315.
func isBusy(err error) bool { return isErrno(err, syscall.ETXTBSY) }
