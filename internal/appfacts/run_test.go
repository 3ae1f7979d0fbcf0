package appfacts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/penstock-ci/penstock/pipelines"
)

// TestDerivedCommandsWork runs the derived stages of real apps with the real tools, one after the other in one folder: the
// options that are passed to test runners, tsc, eslint and wrangler are theirs, and only they can say that they take them.
func TestDerivedCommandsWork(t *testing.T) {
	if os.Getenv("PENSTOCK_SLOW") != "1" {
		t.Skip("installs packages and runs them for minutes; set PENSTOCK_SLOW=1")
	}
	for _, tool := range []string{"sh", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed here", tool)
		}
	}
	fixtures, err := filepath.Glob("testdata/run/*.txtar")
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, fixture := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(fixture), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(fixture)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			fitted, problems, err := Fit(dir)
			if err != nil || problems.Err() != nil {
				t.Fatal(err, problems.Err())
			}
			p, err := fitted.For("production")
			if err != nil {
				t.Fatal(err)
			}
			for _, stage := range p.StagesAt(pipelines.WhenBuild) {
				// A space in the path, as in the folders of macOS.
				runStage(t, stage, dir, filepath.Join(t.TempDir(), "its reports"))
			}
		})
	}
}

func runStage(t *testing.T, stage pipelines.Stage, dir, reports string) {
	t.Helper()
	if err := os.MkdirAll(reports, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	for _, command := range stage.Run {
		shell := exec.CommandContext(ctx, "sh", "-eu", "-c", command)
		shell.Dir = dir
		shell.Env = append(os.Environ(), "PENSTOCK_REPORTS="+reports)
		for name, value := range stage.Env {
			shell.Env = append(shell.Env, name+"="+value)
		}
		output, err := shell.CombinedOutput()
		t.Logf("%s: %s\n%s", stage.Name, command, output)
		if err != nil {
			t.Fatalf("stage %s: %v", stage.Name, err)
		}
	}
	for _, report := range stage.Reports {
		path := strings.Replace(report.Path, "$PENSTOCK_REPORTS", reports, 1)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("stage %s left no %s: %v", stage.Name, report.Path, err)
		}
	}
	for _, output := range stage.Outputs {
		if _, err := os.Stat(filepath.Join(dir, output)); err != nil {
			t.Errorf("stage %s left no %s", stage.Name, output)
		}
	}
}
