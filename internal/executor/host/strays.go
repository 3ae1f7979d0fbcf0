//go:build linux || darwin

package host

import (
	"os"
	"slices"
)

// process is one row of the process table.
type process struct {
	pid, parent, group int
	born               uint64
	dead               bool // ended, and not waited for
}

// strays picks the processes that belong to a family. It never picks this process.
func strays(all []process, groups []int, marked func(process) bool) []int {
	self := os.Getpid()
	ours := map[int]bool{}
	for _, p := range all {
		if p.pid == self {
			continue
		}
		if slices.Contains(groups, p.group) || (!p.dead && marked(p)) {
			ours[p.pid] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if p.pid != self && !ours[p.pid] && ours[p.parent] {
				ours[p.pid], grew = true, true
			}
		}
	}
	var living []int
	for _, p := range all {
		if ours[p.pid] && !p.dead {
			living = append(living, p.pid)
		}
	}
	return living
}
