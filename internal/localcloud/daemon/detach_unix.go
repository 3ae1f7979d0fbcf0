//go:build unix

package daemon

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// detach gives the process a session of its own, so that Ctrl-C in the terminal and its closing do not reach it, and
// nothing of ours but what command names.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepToOurselves()
}

// keepToOurselves sees to it that processes which we start do not inherit what we inherited. A daemon would hold it for
// hours: the lock of a flock(1) that penstock was called under, or the pipe that somebody reads to its end. What Go opens
// by itself is never inherited.
func keepToOurselves() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // a system without it, or without rights: nothing is worse than before
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
