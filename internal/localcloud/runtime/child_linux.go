package runtime

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts hands child starts to the one thread that may do them.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		// The kernel sends Pdeathsig when the thread that forked dies, not the process, and Go ends idle threads at will
		// (golang/go#27505). So one thread does all starts, and lives as long as the program does.
		runtime.LockOSThread()
		for start := range queue {
			start()
		}
	}()
	return queue
})

// startChild starts cmd in its own process group such that it cannot outlive this program, even if that is killed by
// SIGKILL.
func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	starts() <- func() { done <- cmd.Start() }
	return <-done
}
