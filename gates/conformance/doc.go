// Package conformance tries what every gate set must do, whatever its gates judge: it puts questions to the built binary
// through the host that penstock uses, and reports each check. `penstock gates test BINARY` and gatetest.Conformance run it.
package conformance
