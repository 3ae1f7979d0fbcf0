// Package gates is what a gate author sees: implement [Gate], list it in a [Set], call [Serve].
//
// A gate judges one question about a build or a promotion ("is coverage above the limit?") and answers with a [Verdict].
// It runs in a process of its own, started by the host (package gates/host) with nothing but what it declared in its
// [Description] and was granted. A gate that says no returns a verdict, not an error: an error means that the gate could
// not find out, and that blocks too.
//
// The engine's own packages import this one for the vocabulary. It imports nothing of Penstock's but its own wire.
package gates
