package host

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// jobs holds the job object of each process: closing it, which Windows also does when the host dies, ends all that is in it.
var jobs sync.Map // *os.Process → windows.Handle

func startProcess(binary *image, environment []string, dir string, streams []*os.File, _ bool, report *SandboxReport) (*os.Process, error) {
	path, arguments, input, err := binary.command()
	if err != nil {
		return nil, err
	}
	if input != nil {
		defer input.Close()
		streams[0] = input
	}
	// Without SystemRoot no Windows program can open a socket.
	environment = append(environment, "SystemRoot="+os.Getenv("SystemRoot"))
	process, err := os.StartProcess(path, arguments, &os.ProcAttr{
		Dir: dir, Env: environment, Files: streams,
		Sys: &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP},
	})
	if err != nil {
		return nil, err
	}
	job, err := putIntoJob(process)
	if err != nil {
		_, waitErr := process.Wait()
		return nil, errors.Join(err, process.Kill(), waitErr)
	}
	jobs.Store(process, job)
	report.enforce("processes: a job object, ended as a whole")
	return process, nil
}

func putIntoJob(process *os.Process) (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	information := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&information)), uint32(unsafe.Sizeof(information))); err != nil {
		return 0, errors.Join(err, windows.CloseHandle(job))
	}
	handle, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(process.Pid))
	if err != nil {
		return 0, errors.Join(err, windows.CloseHandle(job))
	}
	defer windows.CloseHandle(handle)
	if err := windows.AssignProcessToJobObject(job, handle); err != nil {
		return 0, errors.Join(err, windows.CloseHandle(job))
	}
	return job, nil
}

func limit(_ int, _ int64, report *SandboxReport) error {
	report.miss("memory: not limited on Windows")
	return nil
}

func reap(process *os.Process, killRest func()) (*os.ProcessState, error) {
	state, err := process.Wait()
	killRest()
	return state, err
}

func killTree(process *os.Process) {
	if job, found := jobs.LoadAndDelete(process); found {
		_ = windows.CloseHandle(job.(windows.Handle))
	}
	_ = process.Kill()
}
