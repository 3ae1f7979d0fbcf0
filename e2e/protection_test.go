package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/githubtest"
)

// TestProtection serves a protection rule from a clone: a commit that the default branch's gates let pass is approved, one
// with a credential is rejected although it brings a pipeline that would not mind, and one that is nowhere is rejected too.
func TestProtection(t *testing.T) {
	m := newWarmMachine(t, "e2e/testdata/tiny")
	g := githubtest.New(t, "o/r")
	m.put("penstock.yaml", "gates:\n  security/secrets:\n    enforcement: mandatory\nenvironments:\n  production:\n    target: local\n")
	good := m.commit(g, "good")
	m.git("branch", "--force", "main")
	m.git("checkout", "--quiet", "-B", "feature")
	m.put("src/key.js", "export const key = \""+accessKey()+"\";\n")
	m.put("penstock.yaml", "gates:\n  security/secrets:\n    enforcement: advisory\nenvironments:\n  production:\n    target: local\n")
	bad := m.commit(g, "bad")
	m.git("checkout", "--quiet", "main")

	clone := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", "--single-branch", "--branch", "main", m.app, clone).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(key, g.App(4711), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "the secret of the webhook"
	serving := *m
	serving.env = []string{"PENSTOCK_WEBHOOK_SECRET=" + secret, "GITHUB_REPOSITORY=o/r", "GITHUB_API_URL=" + strings.TrimSuffix(g.URL, "/")}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	command, _, complaints := serving.command(ctx, "github", "protection", "--json", "--listen", "127.0.0.1:0", "--app-id", "4711", "--app-key", key, "-C", clone)
	command.Stdout = nil
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if strings.Contains(complaints.String(), secret) {
			t.Error("the secret is in the log")
		}
		if t.Failed() {
			t.Log(complaints.String())
		}
		if out, err := exec.Command("git", "-C", clone, "worktree", "list").Output(); err != nil || strings.Count(string(out), "\n") != 1 {
			t.Errorf("worktrees are left: %s, %v", out, err)
		}
	}()
	var told struct{ URL string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&told); err != nil {
		t.Fatalf("%v\n%s", err, complaints)
	}

	for i, row := range []struct {
		name, commit, state, says string
	}{
		{"a good commit", good, "approved", "gates let it pass"},
		{"one with a credential", bad, "rejected", "security/secrets"},
		{"one that is nowhere", strings.Repeat("1", 40), "rejected", "cannot be fetched"},
	} {
		run := int64(100 + i)
		g.Wait(run, githubtest.Pending{EnvironmentID: 1, Environment: "production", Rule: true})
		body := g.Payload("deployment_protection_rule", "deployment-protection-rule-requested", func(payload map[string]any) {
			repository := payload["repository"].(map[string]any)
			repository["full_name"], repository["default_branch"] = "o/r", "main"
			payload["deployment"].(map[string]any)["sha"] = row.commit
			payload["deployment_callback_url"] = strings.Replace(payload["deployment_callback_url"].(string), "/12345/", "/"+string(rune('0'+run/100))+"0"+string(rune('0'+i))+"/", 1)
		})
		if answer := g.Deliver(told.URL, "deployment_protection_rule", "00000000-0000-0000-0000-00000000000"+string(rune('0'+i)), secret, body); answer.StatusCode != 202 {
			t.Fatalf("%s: %s", row.name, answer.Status)
		}
		var got githubtest.Pending
		for until := time.Now().Add(limit); got.State == "" && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			got = g.PendingOf(run)[0]
		}
		if got.State != row.state || !strings.Contains(got.Comments[len(got.Comments)-1], row.says) {
			t.Errorf("%s: %+v", row.name, got)
		}
	}
	if status := g.StatusesOf(bad)["penstock/production/gates-build"]; status.State != "failure" {
		t.Errorf("the commit that was rejected: %+v", status)
	}
}
