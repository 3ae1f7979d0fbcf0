//go:build unix

package pipelines

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatTheAuditStageSays: a registry that refuses is told in two lines, with its reason and the next step, and leaves no report;
// an answer is left as it came.
func TestWhatTheAuditStageSays(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	app := App{Name: "app", PackageManager: NPM, Lockfile: "package-lock.json"}
	for _, row := range []struct {
		name, npm string // what npm does
		report    bool
		says      []string
		never     string
	}{
		{
			"a registry without advisories", `cat <<'END'
{
  "message": "405 Method Not Allowed - POST https://registry.example/-/npm/v1/security/advisories/bulk",
  "method": "POST",
  "headers": {
    "allow": ["GET,HEAD"]
  }
}
END
echo "npm warn audit 405 Method Not Allowed" >&2; exit 1`, false,
			[]string{"did not answer the question for advisories (405 Method Not Allowed - POST https://registry.example/-/npm/v1/security/advisories/bulk)", "security/audit a database"}, "headers",
		},
		{"one that says nothing in JSON", `printf '\nerror no such host\nat stack\n' >&2; exit 7`, false, []string{"(error no such host exit code 7)"}, "at stack"},
		{"an answer without a finding", `echo '{"auditReportVersion": 2, "vulnerabilities": {}}'; echo "npm warn old config" >&2`, true, []string{"knew of nothing", "npm warn old config"}, "did not answer"},
		{"an answer with findings", `echo '{"auditReportVersion": 2, "vulnerabilities": {"a": {}}}'; exit 1`, true, []string{"knew of vulnerable packages"}, "did not answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bin, reports := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\n"+row.npm+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), shell, "-euc", strings.Join(audit(app).Run, "\n"))
			command.Dir = t.TempDir()
			command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "PENSTOCK_REPORTS=" + reports}
			told, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, told)
			}
			for _, want := range row.says {
				if !strings.Contains(string(told), want) {
					t.Errorf("it does not say %q:\n%s", want, told)
				}
			}
			if lines := strings.Count(string(told), "\n"); lines > 2 || strings.Contains(string(told), row.never) {
				t.Errorf("it says too much, in %d lines:\n%s", lines, told)
			}
			if _, err := os.Stat(filepath.Join(reports, "audit.json")); (err == nil) != row.report {
				t.Errorf("the report: %v", err)
			}
		})
	}
}
