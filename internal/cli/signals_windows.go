package cli

import (
	"os"
	"syscall"
)

// stoppingSignals are those that stop a run cleanly.
func stoppingSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// surviveClosedPipes has nothing to do here: writing to a closed pipe is an error on Windows, not a signal.
func surviveClosedPipes() {}
