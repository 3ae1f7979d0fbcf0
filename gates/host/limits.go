package host

import "time"

// Limits bound what a set may take. A zero value means the default.
type Limits struct {
	Start    time.Duration // from exec to the answered Describe; default 10 s, far above the 20 ms that it takes
	Evaluate time.Duration // one question, when the caller's context has no earlier deadline; default 10 min
	Stop     time.Duration // until a killed process must be gone; default 5 s

	Memory int64 // bytes of memory that a process may write to; default 1 GiB; Linux only
	Disk   int64 // bytes on disk in the folders that it may write to; default 1 GiB
	Files  int   // how many files it may have there; default 20,000
	Procs  int   // processes of one that may start some; default 128; Linux only
	Binary int64 // bytes of a set's binary; default 512 MiB
	Output int   // bytes kept of what a process prints, half from its beginning and half from its end; default 16 KiB
	Starts int   // how often one set may be started with the same grant in one run; default 8
}

func (l Limits) orDefaults() Limits {
	defaults := Limits{
		Start:    10 * time.Second,
		Evaluate: 10 * time.Minute,
		Stop:     5 * time.Second,
		Memory:   1 << 30,
		Disk:     1 << 30,
		Files:    20_000,
		Procs:    128,
		Binary:   512 << 20,
		Output:   16 << 10,
		Starts:   8,
	}
	override(&defaults.Start, l.Start)
	override(&defaults.Evaluate, l.Evaluate)
	override(&defaults.Stop, l.Stop)
	override(&defaults.Memory, l.Memory)
	override(&defaults.Disk, l.Disk)
	override(&defaults.Files, l.Files)
	override(&defaults.Procs, l.Procs)
	override(&defaults.Binary, l.Binary)
	override(&defaults.Output, l.Output)
	override(&defaults.Starts, l.Starts)
	return defaults
}

func override[T int | int64 | time.Duration](field *T, value T) {
	if value != 0 {
		*field = value
	}
}
