//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// stoppingSignals are those that stop a run cleanly. A terminal that goes away is one, unless somebody asked to outlive it
// (nohup).
func stoppingSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// surviveClosedPipes keeps a reader that went away (`| head`) from killing a promotion in its middle: writes fail instead.
// The signal is caught, not ignored, because stages would inherit that.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
