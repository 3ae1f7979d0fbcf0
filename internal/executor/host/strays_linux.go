package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// bornBefore is this process's own start in clock ticks since boot: what is older is no descendant of it, and need not be
// looked at closely.
var bornBefore = sync.OnceValue(func() uint64 {
	if self, ok := readProcess(os.Getpid()); ok {
		return self.born
	}
	return 0
})

// findStrays lists the living processes that belong to one of the groups, carry the mark, or descend from one that does.
func findStrays(mark string, groups []int) ([]int, error) {
	names, err := listProc()
	if err != nil {
		return nil, fmt.Errorf("list /proc: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return strays(all, groups, func(p process) bool { return p.born >= bornBefore() && carries(p.pid, mark) }), nil
}

func listProc() ([]string, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// readProcess reads /proc/<pid>/stat; see proc_pid_stat(5).
func readProcess(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The name in parentheses may hold anything, parentheses too.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(text[end+1:])
	const state, ppid, pgrp, starttime = 0, 1, 2, 19
	if len(fields) <= starttime {
		return process{}, false
	}
	p := process{pid: pid, dead: fields[state][0] == 'Z' || fields[state][0] == 'X'}
	p.parent, _ = strconv.Atoi(string(fields[ppid]))
	p.group, _ = strconv.Atoi(string(fields[pgrp]))
	p.born, _ = strconv.ParseUint(string(fields[starttime]), 10, 64)
	return p, true
}

// carries reports whether the process was started with the mark. Of other users' processes that cannot be known, and they
// are not ours to kill.
func carries(pid int, mark string) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	return err == nil && bytes.Contains(environ, []byte(markVariable+"="+mark))
}
