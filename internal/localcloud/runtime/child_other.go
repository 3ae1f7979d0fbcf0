//go:build !unix

package runtime

import (
	"errors"
	"os/exec"
)

// platformError says why workerd cannot be run: its port reports need an inherited file descriptor, which this system
// has not.
func platformError() error {
	return errors.New("local workers need Linux or macOS; on Windows run penstock inside WSL 2")
}

func startChild(*exec.Cmd) error { return platformError() }

func terminateChild(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func killChild(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
