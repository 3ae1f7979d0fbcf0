package host

import (
	"os"
	"syscall"
)

func startProcess(binary *image, environment []string, dir string, streams []*os.File, _ bool, report *SandboxReport) (*os.Process, error) {
	path, arguments, input, err := binary.command()
	if err != nil {
		return nil, err
	}
	if input != nil {
		defer input.Close()
		streams[0] = input
	}
	report.miss("processes: only the process group of a set is killed with it; macOS has no process namespaces")
	return os.StartProcess(path, arguments, &os.ProcAttr{
		Dir: dir, Env: environment, Files: streams, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
}

func limit(_ int, _ int64, report *SandboxReport) error {
	report.miss("memory: macOS lets nobody limit another process")
	return nil
}

func reap(process *os.Process, killRest func()) (*os.ProcessState, error) {
	state, err := process.Wait()
	killRest()
	return state, err
}

func killTree(process *os.Process) {
	_ = syscall.Kill(-process.Pid, syscall.SIGKILL)
	_ = process.Kill()
}
