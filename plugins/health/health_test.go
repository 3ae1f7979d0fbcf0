package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// binary is the set as it ships, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "penstock-health-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "penstock-gates-health")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if output, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(output))
	}
	return m.Run()
}

func TestConformance(t *testing.T) {
	gatetest.Conformance(t, binary)
}

// tryBoth tries a gate in this process and over the wire.
func tryBoth(t *testing.T, gate gates.Gate, cases []gatetest.Case) {
	t.Helper()
	t.Run("in process", func(t *testing.T) { gatetest.Run(t, gate, cases) })
	t.Run("over the wire", func(t *testing.T) { gatetest.Replay(t, binary, gate.Describe().Name, cases) })
}

// running is a version that answers as told, until the test has ended.
func running(t *testing.T, answer http.HandlerFunc) gates.Request {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return gates.Request{Run: gates.Run{URL: server.URL, VersionID: "7f3a2b1c-0000-4000-8000-000000000000"}}
}

// nobody is a version that does not listen.
func nobody(t *testing.T) gates.Request {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return gates.Request{Run: gates.Run{URL: "http://" + address}}
}

func says(parts ...string) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(verdict.Summary, part) {
				t.Errorf("the summary %q does not say %q", verdict.Summary, part)
			}
		}
	}
}

// finds compares the findings as "rule: message".
func finds(want ...string) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		var got []string
		for _, finding := range verdict.Findings {
			got = append(got, finding.Rule+": "+finding.Message)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the findings are\n%s\nand should be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func all(checks ...func(*testing.T, gates.Verdict)) func(*testing.T, gates.Verdict) {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, check := range checks {
			check(t, verdict)
		}
	}
}

// measured returns the value that was measured under a name.
func measured(t *testing.T, verdict gates.Verdict, name string) gates.Measurement {
	t.Helper()
	for _, measurement := range verdict.Measurements {
		if measurement.Name == name {
			return measurement
		}
	}
	t.Errorf("%s was not measured: %+v", name, verdict.Measurements)
	return gates.Measurement{}
}
