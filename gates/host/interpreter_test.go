package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates/host"
)

// script writes a set that is a script of the shell; all that it does is to say who runs it.
func script(t *testing.T, firstLine string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), host.BinaryPrefix+"script")
	if err := os.WriteFile(path, []byte(firstLine+"\necho I am $0 >&2\nexit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAScriptRunsOnWhatIsPinned(t *testing.T) {
	t.Parallel()
	ref, err := host.Trusting(script(t, "#!/bin/sh"))
	if err != nil {
		t.Fatal(err)
	}
	if ref.Pin.Interpreter.Name != "/bin/sh" || len(ref.Pin.Interpreter.SHA256) != 64 {
		t.Fatalf("%+v", ref.Pin)
	}
	said, err := newHost(t, host.Options{Sets: []host.PluginRef{ref}}).StartByHand(t.Context(), "script")
	if err != nil || said.ExitCode != 2 || !strings.Contains(said.Stderr, "I am ") {
		t.Errorf("%+v, %v", said, err)
	}

	for name, spoil := range map[string]func(*host.PluginRef){
		"nothing pins what runs it": func(ref *host.PluginRef) { ref.Pin.Interpreter = host.Interpreter{} },
		"another build of it":       func(ref *host.PluginRef) { ref.Pin.Interpreter.SHA256 = strings.Repeat("ab", 32) },
		"it is not here":            func(ref *host.PluginRef) { ref.Pin.Interpreter.Name = "no-such-interpreter" },
		"another script":            func(ref *host.PluginRef) { ref.Pin.SHA256 = strings.Repeat("ab", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoilt := ref
			spoil(&spoilt)
			if said, err := newHost(t, host.Options{Sets: []host.PluginRef{spoilt}}).StartByHand(t.Context(), "script"); !errors.Is(err, host.ErrUntrusted) {
				t.Errorf("it ran: %+v, %v", said, err)
			}
		})
	}
}

func TestTheInterpreterIsNamedAlone(t *testing.T) {
	t.Parallel()
	if ref, err := host.Trusting(script(t, "#!/usr/bin/env sh")); err != nil || ref.Pin.Interpreter.Name != "sh" {
		t.Errorf("%+v, %v", ref.Pin, err)
	}
	for _, line := range []string{"#!", "#!/bin/sh -e", "#!/usr/bin/env -S sh -e", "#!/usr/bin/env no-such-interpreter"} {
		if ref, err := host.Trusting(script(t, line)); err == nil {
			t.Errorf("%s: %+v", line, ref.Pin)
		}
	}
}

// TestAWrapperIsNoInterpreter: what version managers put on the PATH is a script itself, which nothing would run.
func TestAWrapperIsNoInterpreter(t *testing.T) {
	t.Parallel()
	wrapper := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if ref, err := host.Trusting(script(t, "#!"+wrapper)); err == nil || !strings.Contains(err.Error(), "is a script that starts another program") ||
		!strings.Contains(err.Error(), "#!/usr/bin/python3") {
		t.Errorf("%+v, %v", ref.Pin, err)
	}
}
