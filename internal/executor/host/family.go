package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// markVariable carries a mark that is unlike any other's into the environment of every program of a stage, and so of
// every descendant: that is how those are found that left their process group.
const markVariable = "PENSTOCK_MARK"

// newMark makes a run's mark. A stage's is the run's with a number: "<run>.<n>.".
func newMark() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(random[:]) + "."
}

// killTime bounds how long killed processes may take to be gone. One that waits for a dead disk cannot be killed.
const killTime = 10 * time.Second

var errFamilyClosed = errors.New("the stage is being stopped")

// family is all processes of one stage: the process groups of the programs that it started, and whoever of their
// descendants left them.
type family struct {
	mark string
	// begin is called before each program and returns who minds it.
	begin func() (*minder, error)

	mu     sync.Mutex
	minder *minder
	groups map[int]bool // leader's pid; true while the leader runs
	ran    bool         // a program was started
	closed bool
}

// start starts a program in a group of its own. After close it refuses.
func (f *family) start(cmd *exec.Cmd) error {
	ownGroup(cmd)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errFamilyClosed
	}
	minder, err := f.begin()
	if err != nil {
		return &hostError{err}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	f.minder, f.ran = minder, true
	if f.groups == nil {
		f.groups = map[int]bool{}
	}
	pid := cmd.Process.Pid
	f.groups[pid] = true
	f.minder.add(pid)
	if err := adopt(cmd); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		delete(f.groups, pid)
		return &hostError{err}
	}
	return nil
}

// hostError is what this machine could not do for a stage, as opposed to a command that failed.
type hostError struct{ error }

func (e *hostError) Unwrap() error { return e.error }

// reaped is told when a program that start started has been waited for. A group of which others are left stays.
func (f *family) reaped(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if groupAlive(pid) {
		f.groups[pid] = false
		return
	}
	delete(f.groups, pid)
	f.minder.remove(pid)
}

// close refuses new programs.
func (f *family) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
}

// isClosed reports whether the family refuses new programs.
func (f *family) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// hasRun reports whether any program was started.
func (f *family) hasRun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ran
}

// alive reports whether any group has members.
func (f *family) alive() bool { return slices.ContainsFunc(f.left(), groupAlive) }

// left lists the groups that may have members.
func (f *family) left() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := make([]int, 0, len(f.groups))
	for group := range f.groups {
		groups = append(groups, group)
	}
	slices.Sort(groups)
	return groups
}

// interrupt asks every group to end.
func (f *family) interrupt() {
	for _, group := range f.left() {
		interruptGroup(group)
	}
}

// kill kills every group and every process with the mark or descended from one that is killed, and waits until they are
// gone. ctx only bounds the waiting.
func (f *family) kill(ctx context.Context) error {
	f.close()
	groups := f.left()
	if err := killMarked(ctx, f.mark, groups); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for group, leads := range f.groups {
		if !leads { // a leader's own waiter removes it
			delete(f.groups, group)
			f.minder.remove(group)
		}
	}
	return nil
}

// killMarked kills until two looks at the process table in a row find nothing. One would not do: a process that was born
// after the table was listed, of a parent that died before it was looked at, is in neither.
func killMarked(ctx context.Context, mark string, groups []int) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	pause := time.Millisecond
	clean := 0
	for {
		for _, group := range groups {
			killGroup(group)
		}
		strays, err := findStrays(mark, groups)
		if err != nil {
			return fmt.Errorf("look for processes that a stage left: %w", err)
		}
		for _, pid := range strays {
			killProcess(pid)
		}
		if len(strays) == 0 {
			if clean++; clean == 2 {
				return nil
			}
			continue
		}
		clean = 0
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v could not be killed; end them by hand", strays)
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}
