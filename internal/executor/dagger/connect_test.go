package dagger

import (
	"errors"
	"testing"
)

// TestWithoutProgress has what the CLI prints when no engine answers, and when one refuses it.
func TestWithoutProgress(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"timed out waiting for session params: \x1b[95m1   : \x1b[0m\x1b[90;2m\x1b[0mconnect\n\x1b[95m1   : \x1b[0m[0.0s] | cloud url=https://x\n" +
			"\x1b[95m2   : \x1b[0m\x1b[90;2m┆ \x1b[0mstarting engine\n": "timed out waiting for session params",
		"failed to read session params: EOF: \x1b[95m1   : \x1b[0mconnect\n\x1b[95m1   : \x1b[0mconnect\x1b[31m ERROR\x1b[0m [0.0s]\n\n" +
			"Error: start engine: no driver for scheme \"x\" found [traceparent:b37bc4d4-ea]\n": "start engine: no driver for scheme \"x\" found",
		"there is no such file": "there is no such file",
	} {
		if got := withoutProgress(errors.New(said)).Error(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
