//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peakOf is ru_maxrss in bytes: the largest single process among the ended one and the descendants that it waited for.
func peakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return maxrss(usage)
}

// peakFloor is the least that peakOf can answer. Linux charges to a new process what its parent held when it was started
// with vfork, as Go does, so a program smaller than this one cannot be seen.
func peakFloor() int64 {
	var usage syscall.Rusage
	if runtime.GOOS != "linux" || syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return maxrss(&usage)
}

// maxrss is in kilobytes everywhere but on Apple's systems, where it is in bytes (getrusage(2)).
func maxrss(usage *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}
