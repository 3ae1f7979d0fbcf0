// Package gatetest is the conformance kit for gate authors. [Run] tries a gate in the process of the test, [Replay] tries
// the same cases through the real host against the built binary, and [Conformance] tries what every set must do
// whatever its gates judge.
package gatetest
