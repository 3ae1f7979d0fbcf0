// Package buildinfo holds what the linker writes into a Penstock binary (see the Makefile): nothing here is computed.
package buildinfo

// Set with -ldflags "-X github.com/penstock-ci/penstock/internal/buildinfo.Version=…" and so on. They are variables only
// because the linker cannot write constants; nothing assigns them.
var (
	Version = "0.1.0-dev" // of this build, a semantic version without a leading v
	Commit  = ""          // full hash of the commit it was built from; empty when unknown

	// GatePins pins the gate sets that were built together with this binary: "quality=<sha256 in hex>,security=…".
	// Empty in a binary that was not built by make; package gates/host then trusts no set.
	GatePins = ""
)
