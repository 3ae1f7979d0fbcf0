package gatetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// Conformance tries what every set must do, on the built binary and through the host that penstock uses. binary must be
// called penstock-gates-<set>.
func Conformance(t *testing.T, binary string) {
	t.Helper()

	t.Run("started by hand it says what it is", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		command := exec.CommandContext(ctx, binary)
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		err := command.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("it ends with %v, and exit status 2 is wanted", err)
		}
		if stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("it must say something on standard error and nothing on standard output: %q, %q", stderr.String(), stdout.String())
		}
	})

	started := time.Now()
	h, set := start(t, binary)
	info, err := h.DescribeSet(t.Context(), set)
	if err != nil {
		t.Fatalf("it cannot be started: %v", err)
	}
	t.Logf("started in %s; confined by %q; not confined by %q", time.Since(started).Round(time.Millisecond), info.Sandbox.Enforced, info.Sandbox.Missing)

	t.Run("a changed binary is refused", func(t *testing.T) {
		ref := refTo(t, binary)
		ref.Pin.SHA256 = strings.Repeat("0", 64)
		other := host.New(host.Options{Sets: []host.PluginRef{ref}, ScratchDir: t.TempDir()})
		defer closeHost(t, other)
		if _, err := other.DescribeSet(t.Context(), set); !errors.Is(err, host.ErrUntrusted) {
			t.Errorf("with another checksum pinned: %v", err)
		}
	})

	for _, description := range info.Gates {
		name := set + "/" + description.Name
		t.Run(description.Name, func(t *testing.T) {
			checkDescription(t, description)
			request := Case{}.request(description)

			request.Config = json.RawMessage(`{"a-key-that-no-gate-has": true}`)
			if verdict := h.Evaluate(t.Context(), name, request, nil); verdict.Outcome != gates.Error {
				t.Errorf("with an unknown config key it answers %s", verdict.Outcome)
			}

			request.Config = nil
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			verdict := h.Evaluate(ctx, name, request, nil)
			if len(description.Reports) > 0 && verdict.Outcome.Allows() {
				t.Errorf("with no reports and no stages it answers %s: %s", verdict.Outcome, verdict.Summary)
			}
			if !verdict.Outcome.Allows() && verdict.Outcome != gates.Pending && verdict.NextStep == "" {
				t.Errorf("it answers %s without a next step", verdict.Outcome)
			}
			if description.Needs.Version {
				unanswered := Case{Request: silent()}.request(description)
				unanswered.Config = nil
				if verdict := h.Evaluate(ctx, name, unanswered, nil); verdict.Outcome.Allows() {
					t.Errorf("about a version that does not answer it says %s: %s", verdict.Outcome, verdict.Summary)
				}
			}

			cancelled, cancelNow := context.WithCancel(t.Context())
			cancelNow()
			if verdict := h.Evaluate(cancelled, name, request, nil); verdict.Outcome != gates.Error {
				t.Errorf("asked with a context that has ended it answers %s", verdict.Outcome)
			}
		})
	}
}

// start returns a host that trusts the binary as it is now.
func start(t *testing.T, binary string) (*host.Host, string) {
	t.Helper()
	ref := refTo(t, binary)
	h := host.New(host.Options{Sets: []host.PluginRef{ref}, ScratchDir: t.TempDir()})
	t.Cleanup(func() { closeHost(t, h) })
	return h, ref.Set
}

func closeHost(t *testing.T, h *host.Host) {
	t.Helper()
	if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("stop the set: %v", err)
	}
}

func refTo(t *testing.T, binary string) host.PluginRef {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	name, isSet := strings.CutPrefix(strings.TrimSuffix(filepath.Base(binary), ".exe"), host.BinaryPrefix)
	if !isSet {
		t.Fatalf("%s must be called %s<set>", binary, host.BinaryPrefix)
	}
	digest := sha256.Sum256(content)
	return host.PluginRef{Set: name, Path: binary, Pin: host.Pin{Set: name, SHA256: hex.EncodeToString(digest[:])}}
}
