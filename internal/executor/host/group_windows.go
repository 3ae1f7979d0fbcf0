package host

import (
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// jobs holds one job object for each program that was started. A job holds its program and all descendants, which cannot
// leave it, and Windows ends them when the last handle to it is closed: by us, or by the death of this process.
var jobs = struct {
	sync.Mutex
	byPID map[int]windows.Handle
}{byPID: map[int]windows.Handle{}}

func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
}

// adopt puts a started program into a job of its own. What it starts within the moment before that is not in the job.
func adopt(cmd *exec.Cmd) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("make a job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		_ = windows.CloseHandle(job)
		return fmt.Errorf("set up a job object: %w", err)
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil // it has ended already
	}
	defer windows.CloseHandle(process)
	if err := windows.AssignProcessToJobObject(job, process); err != nil {
		_ = windows.CloseHandle(job)
		return nil // as above
	}
	jobs.Lock()
	jobs.byPID[cmd.Process.Pid] = job
	jobs.Unlock()
	return nil
}

// groupAlive is asked once a program has been waited for: the job stays as long as it may hold others.
func groupAlive(group int) bool {
	jobs.Lock()
	defer jobs.Unlock()
	_, ok := jobs.byPID[group]
	return ok
}

// interruptGroup asks with Ctrl-Break, the one signal that reaches a process group here.
func interruptGroup(group int) {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(group))
}

func killGroup(group int) {
	jobs.Lock()
	defer jobs.Unlock()
	if job, ok := jobs.byPID[group]; ok {
		_ = windows.TerminateJobObject(job, 1)
		_ = windows.CloseHandle(job)
		delete(jobs.byPID, group)
	}
}

func killProcess(int) {}

func exitCodeOf(err *exec.ExitError) uint8 {
	// Windows' codes have 32 bits; what does not fit is some failure.
	if code := err.ExitCode(); code > 0 && code < 256 {
		return uint8(code)
	}
	return 1
}

func isNotExecutable(error) bool { return false }

func isBusy(error) bool { return false }
