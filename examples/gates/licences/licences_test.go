// Package licences tries the gate in JavaScript over the wire, as a set in Go is tried.
package licences

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

const script = "penstock-gates-licences"

func needsNode(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not here, and this gate runs on it")
	}
}

func TestConformance(t *testing.T) {
	needsNode(t)
	gatetest.Conformance(t, script)
}

func TestDeclared(t *testing.T) {
	needsNode(t)
	of := func(manifest string) gates.Request {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		return gates.Request{SourceDir: folder}
	}
	gatetest.Replay(t, script, "declared", []gatetest.Case{
		{Name: "allowed", Request: of(`{"license": "MIT"}`), Want: gates.Pass, Check: gatetest.Says("MIT is allowed")},
		{Name: "not allowed", Request: of("{\n  \"license\": \"AGPL-3.0\"\n}"), Want: gates.Fail, Check: gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "licence", Message: "the licence AGPL-3.0 is not allowed", File: "package.json", Line: 2,
		})},
		{Name: "allowed by the config", Config: `{"allowed": ["AGPL-3.0"]}`, Request: of(`{"license": "AGPL-3.0"}`), Want: gates.Pass},
		{Name: "none", Request: of(`{}`), Want: gates.Fail, Check: gatetest.Says("names no licence")},
		{Name: "no package.json", Request: gates.Request{SourceDir: t.TempDir()}, Want: gates.Inconclusive},
		{Name: "not JSON", Request: of(`license: MIT`), Want: gates.Error, Check: gatetest.Says("SyntaxError")},
		{Name: "a long text", Request: of(`{"license": "MIT", "description": "` + longText() + `"}`), Want: gates.Pass},
	})
}

// longText is longer than one read, one TLS record and one HTTP/2 frame.
func longText() string {
	text := make([]byte, 200_000)
	for i := range text {
		text[i] = 'x'
	}
	return string(text)
}
