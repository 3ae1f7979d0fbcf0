package daemon

import (
	"os/exec"
	"syscall"
)

// detach takes the process off this console, so that Ctrl-C in it and its closing do not reach it.
func detach(command *exec.Cmd) {
	const detachedProcess = 0x00000008 // DETACHED_PROCESS, which package syscall does not name
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | detachedProcess}
}
