//go:build linux && !amd64

package host

// refusedOlderCalls are none: architectures that came later have one call for each thing.
var refusedOlderCalls []uint32

// forkingCalls are none.
var forkingCalls []uint32
