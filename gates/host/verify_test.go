package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

func TestUntrustedBinaries(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, ref *host.PluginRef){
		"changed by one byte": func(t *testing.T, ref *host.PluginRef) {
			content, err := os.ReadFile(ref.Path)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)/2] ^= 1
			ref.Path = filepath.Join(t.TempDir(), filepath.Base(ref.Path))
			if err := os.WriteFile(ref.Path, content, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"not pinned":          func(_ *testing.T, ref *host.PluginRef) { ref.Pin = host.Pin{} },
		"pinned for another":  func(_ *testing.T, ref *host.PluginRef) { ref.Pin.Set = "other" },
		"pinned by 40 digits": func(_ *testing.T, ref *host.PluginRef) { ref.Pin.SHA256 = ref.Pin.SHA256[:40] },
		"not there":           func(_ *testing.T, ref *host.PluginRef) { ref.Path += "x" },
		"a folder":            func(t *testing.T, ref *host.PluginRef) { ref.Path = t.TempDir() },
		"another version":     func(_ *testing.T, ref *host.PluginRef) { ref.Pin.Version = "9.9.9" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := refTo(t, "good")
			spoil(t, &ref)
			h := newHost(t, host.Options{Sets: []host.PluginRef{ref}})
			if _, err := h.Describe(t.Context(), "good/pass"); !errors.Is(err, host.ErrUntrusted) {
				t.Errorf("describe: %v", err)
			}
			if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Error || verdict.NextStep == "" {
				t.Errorf("evaluate: %+v", verdict)
			}
		})
	}
}

// TestWhatWasVerifiedIsExecuted replaces the binary after it was verified: the verified one goes on being started.
func TestWhatWasVerifiedIsExecuted(t *testing.T) {
	t.Parallel()
	ref := refTo(t, "good")
	h := newHost(t, host.Options{Sets: []host.PluginRef{ref}})
	ask(t, h, "good/exit", gates.Request{}) // so that it has to be started anew
	if err := os.Remove(ref.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ref.Path, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
		t.Errorf("%+v", verdict)
	}
}

func TestTwoSetsOfOneName(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good"), refTo(t, "good")}})
	if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "two sets called good") {
		t.Errorf("%+v", verdict)
	}
}

func TestShipped(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("ab", 32)
	refs, err := host.Shipped("/opt/penstock", "quality="+digest+", security="+digest+",")
	if err != nil || len(refs) != 2 {
		t.Fatal(refs, err)
	}
	if base := strings.TrimSuffix(filepath.Base(refs[1].Path), ".exe"); base != "penstock-gates-security" || refs[1].Pin.SHA256 != digest {
		t.Errorf("%+v", refs[1])
	}
	if _, err := host.Shipped("/opt/penstock", ""); !errors.Is(err, host.ErrUntrusted) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("without pins: %v", err)
	}
	for _, wrong := range []string{"quality", "quality=", "quality=abc", "quality=" + digest[:40]} {
		if _, err := host.ParsePins(wrong); err == nil {
			t.Errorf("%q is taken for a pin", wrong)
		}
	}
}

func TestReadLock(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("cd", 32)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "penstock.lock")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	platforms := "{linux/amd64: " + digest + ", linux/arm64: " + digest + ", darwin/amd64: " + digest + ", darwin/arm64: " + digest + ", windows/amd64: " + digest + "}"
	path := write("version: 1\nsets:\n  - {name: acme, version: 1.2.0, path: gates/penstock-gates-acme, sha256: " + platforms + "}\n" +
		"  - {name: elsewhere, version: 1.0.0, path: x, sha256: {plan9/386: " + digest + "}}\n")
	refs, err := host.ReadLock(path)
	if err != nil || len(refs) != 2 {
		t.Fatal(refs, err)
	}
	want := host.PluginRef{
		Set: "acme", Path: filepath.Join(filepath.Dir(path), "gates", "penstock-gates-acme"),
		Pin: host.Pin{Set: "acme", Version: "1.2.0", SHA256: digest},
	}
	if refs[0] != want {
		t.Errorf("got %+v, want %+v", refs[0], want)
	}
	if refs[1].Pin.SHA256 != "" {
		t.Errorf("a checksum for another platform is taken for this one: %+v", refs[1])
	}

	for text, says := range map[string]string{
		"":                      "version 0",
		"version: 2":            "version 2",
		"version: 2\nmore: 1":   "version 2, and this penstock reads version 1: update penstock",
		"version: 1\nsetts: []": "penstock.lock:2: the lock file is wrong: field setts not found",
		"version: 1\nsets: []\n---\nversion: 1\nsets: [{name: acme, path: x, sha256: {b: " + digest + "}}]":               "second part",
		"version: 1\nsets:\n<<<<<<< HEAD\n  - name: acme\n=======\n  - name: bcme\n>>>>>>> other\n":                       "penstock.lock:3: the lock file is wrong: a merge left both sides",
		"version: 1\nsets:\n  - name: acme\n    path: x\n    sha256:\n      b: " + digest + "\n      b: " + digest + "\n": "penstock.lock:7: the lock file is wrong: mapping key \"b\" already defined at line 6",
		"version: 1\nsets:\n\t- name: acme\n":                                                                                  "penstock.lock:3: the lock file is wrong: found character that cannot start any token",
		"version: 1\nsets: [{name: Acme, path: x, sha256: {linux/amd64: " + digest + "}}]":                                     "lower-case",
		"version: 1\nsets: [{name: acme, path: x}]":                                                                            "no sha256",
		"version: 1\nsets: [{name: acme, sha256: {linux/amd64: " + digest + "}}]":                                              "path",
		"version: 1\nsets: [{name: acme, path: x, sha256: {linux/amd64: " + digest[:40] + "}}]":                                "64 hex digits",
		"version: 1\nsets: [{name: a, path: x, sha256: {b: " + digest + "}}, {name: a, path: y, sha256: {b: " + digest + "}}]": "twice",
	} {
		if refs, err := host.ReadLock(write(text)); err == nil || len(refs) > 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v", text, refs, err)
		}
	}
	windows := strings.ReplaceAll("version: 1\nsets:\n  - name: acme\n    version: 1.0.0\n    path: x\n    sha256:\n      "+runtime.GOOS+"/"+runtime.GOARCH+": "+digest+"\n", "\n", "\r\n")
	if refs, err := host.ReadLock(write(windows)); err != nil || len(refs) != 1 || refs[0].Pin.SHA256 != digest || refs[0].Pin.Version != "1.0.0" {
		t.Errorf("with Windows' line ends: %+v, %v", refs, err)
	}
	if _, err := host.ReadLock(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
