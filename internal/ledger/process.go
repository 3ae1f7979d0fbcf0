package ledger

import (
	"fmt"
	"os"
)

// Process names one process for good: a pid alone is used again.
type Process struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Start is when the process began, in the kernel's own count; "" where it is not known.
	Start string `json:"start,omitempty"`
	// Boot names this boot of the machine, Namespace the set of processes that share pids (containers have their own).
	Boot      string `json:"boot,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// String is the process as people read it.
func (p Process) String() string { return fmt.Sprintf("process %d on %s", p.PID, p.Host) }

func thisProcess() Process {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host" // then only the heartbeat tells whether the process lives
	}
	start, _ := processStart(os.Getpid())
	return Process{Host: host, PID: os.Getpid(), Start: start, Boot: bootID(), Namespace: pidNamespace()}
}

// life is what can be told of a process from here.
type life int

const (
	unknown life = iota // another machine or boot, or this platform cannot tell
	alive
	dead
)

// lifeOf tells whether other still runs. Only a process that was started on the same boot, in the same pid namespace, can
// be judged; a pid that now belongs to a process with another start was recycled.
func (p Process) lifeOf(other Process) life {
	if other.Host != p.Host || other.Boot != p.Boot || other.Namespace != p.Namespace || other.Start == "" || p.Start == "" {
		return unknown
	}
	start, running := processStart(other.PID)
	switch {
	case !running:
		return dead
	case start == "":
		return unknown
	case start != other.Start:
		return dead
	default:
		return alive
	}
}
