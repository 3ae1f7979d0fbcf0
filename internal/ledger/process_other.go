//go:build !linux && !darwin && !windows

package ledger

// This platform does not tell when a process began: only heartbeats say whether a holder lives.
func processStart(int) (start string, running bool) { return "", true }

func bootID() string { return "" }

func pidNamespace() string { return "" }
