//go:build !linux

package host_test

const victimArgument = "__victim"

// runVictim is for the tests that look into /proc.
func runVictim(string, string) {}
