//go:build unix

package host

import (
	"os/exec"
	"os/signal"
	"syscall"
)

const minderNeeded = true

// ownSession takes the minder out of the terminal's reach: a Ctrl-C or a closed window is for the process that it minds.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func ignoreInterrupts() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}
