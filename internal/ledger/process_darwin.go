package ledger

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h: dead and not waited for.
const zombie = 5

func processStart(pid int) (start string, running bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EIO) { // EIO: the answer was empty
		return "", false
	}
	if err != nil {
		return "", true
	}
	if info.Proc.P_stat == zombie {
		return "", false
	}
	began := info.Proc.P_starttime
	return strconv.FormatInt(began.Sec, 10) + "." + strconv.FormatInt(int64(began.Usec), 10), true
}

func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

func pidNamespace() string { return "" }
