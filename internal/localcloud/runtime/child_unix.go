//go:build unix && !linux

package runtime

import (
	"os/exec"
	"syscall"
)

// startChild starts cmd in its own process group. These systems cannot tie a child's life to its parent's: a workerd may
// outlive this program if that is killed by SIGKILL.
func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
