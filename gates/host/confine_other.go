//go:build !linux

package host

import "runtime"

// confine says that there is nothing to confine with: only Linux has what it takes.
func confine(*image, folder, grant, bool) (SandboxReport, error) {
	var report SandboxReport
	report.enforce("environment: empty")
	report.miss("files and network: " + runtime.GOOS + " offers no sandbox for them, so a set can reach what you can reach: lock only sets that you trust")
	return report, nil
}
