//go:build unix

package daemon

import (
	"os/exec"
	"syscall"
)

// detach gives the process a session of its own, so that Ctrl-C in the terminal and its closing do not reach it.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
