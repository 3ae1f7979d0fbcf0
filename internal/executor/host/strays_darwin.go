package host

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// findStrays lists the living processes that belong to one of the groups, carry the mark, or descend from one that does.
func findStrays(mark string, groups []int) ([]int, error) {
	table, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	all := make([]process, 0, len(table))
	for _, row := range table {
		all = append(all, process{
			pid: int(row.Proc.P_pid), parent: int(row.Eproc.Ppid), group: int(row.Eproc.Pgid), dead: row.Proc.P_stat == zombie,
		})
	}
	return strays(all, groups, func(p process) bool {
		// Arguments and environment of one's own processes; an error means that it is another user's, or gone.
		text, err := unix.SysctlRaw("kern.procargs2", p.pid)
		return err == nil && bytes.Contains(text, []byte(markVariable+"="+mark))
	}), nil
}
