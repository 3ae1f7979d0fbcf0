package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAppWithoutPenstockFiles deploys the smallest Worker there is: no tests, no database, no lock file, no penstock.yaml.
// What it lacks is said; nothing is made up.
func TestAppWithoutPenstockFiles(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")

	first := m.must(0, "deploy")
	for _, want := range []string{"no lock file", "no test script", "no lint script", "live: version "} {
		if !strings.Contains(first.out, want) {
			t.Errorf("the summary does not say %q", want)
		}
	}
	if strings.Contains(first.out, "quality/") {
		t.Error("gates are shown for what the app does not have")
	}
	if status, body := m.get("/there"); status != 200 || body != "hello from /there\n" {
		t.Errorf("GET /there: %d %q", status, body)
	}
	if t.Failed() {
		t.Log(first)
	}

	t.Run("init writes what was derived", func(t *testing.T) {
		m := m.in(t)
		m.must(0, "init")
		m.must(2, "init") // it is there already
		again := m.must(0, "deploy")
		if !strings.Contains(again.out, " 0 stages ran") {
			t.Errorf("writing the derived pipeline changed what runs:\n%s", again)
		}
	})

	for name, broken := range map[string]struct {
		file, content string
		says          []string
	}{
		"a wrong penstock.yaml":  {"penstock.yaml", "stages:\n  bundle:\n    timeot: 5m\n  extra:\n    needs: [nothing]\n", []string{"penstock.yaml:3:", "timeot", "timeout"}},
		"a wrong wrangler.toml":  {"wrangler.toml", "name = \n", []string{"wrangler.toml:1"}},
		"a wrong package.json":   {"package.json", "{\"name\": \"tiny\",\n", []string{"package.json:"}},
		"an unknown environment": {"", "", []string{"nowhere", "local"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			args := []string{"deploy"}
			if broken.file == "" {
				args = append(args, "--env", "nowhere")
			} else {
				path := filepath.Join(m.app, broken.file)
				before, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				defer os.WriteFile(path, before, 0o644)
				if err := os.WriteFile(path, []byte(broken.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			o := m.must(2, args...)
			for _, want := range broken.says {
				if !strings.Contains(o.err, want) {
					t.Errorf("it does not say %q:\n%s", want, o)
				}
			}
		})
	}
}

// TestFolderThatIsNoApp wants an answer, not a stack trace.
func TestFolderThatIsNoApp(t *testing.T) {
	m := newMachine(t, "e2e/testdata/tiny")
	for _, name := range []string{"package.json", "wrangler.toml"} {
		if err := os.Remove(filepath.Join(m.app, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check"}, {"deploy"}, {"plan"}, {"init"}, {"deploy", "-C", "/nowhere"}, {"depoly"}, {"deploy", "--nonsense"}, {"gates", "info"}} {
		o := m.must(2, args...)
		if strings.Contains(o.err, "goroutine ") || !strings.Contains(o.err, "next: ") {
			t.Errorf("penstock %v: the answer names no next step:\n%s", args, o)
		}
	}
}
