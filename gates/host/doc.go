// Package host finds, verifies, confines, starts, asks and stops gate sets. It trusts none of them.
//
// A [Host] implements engine.Gatekeeper. Nothing that a set does lets a plan through: whatever is not one well-formed
// verdict of the gate that was asked, about the question that was asked, in time, becomes a verdict of [gates.Error]
// that says what happened and what to do.
//
// One set is one process, started when its first gate is asked and shared by its gates; gates that were granted
// different things (the source, network hosts) never share one. A process gets no environment, an empty working folder,
// copies of the reports and logs that it may read, and as much confinement as the platform has: see [SandboxReport].
package host
