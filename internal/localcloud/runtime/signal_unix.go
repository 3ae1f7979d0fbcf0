//go:build unix

package runtime

import (
	"os/exec"
	"syscall"
)

// platformError is nil where workerd can be run.
func platformError() error { return nil }

// terminateChild asks the process to end. A signal to one that is gone already is no error.
func terminateChild(cmd *exec.Cmd) { _ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM) }

// killChild ends the whole process group at once.
func killChild(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
