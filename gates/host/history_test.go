package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// TestAGrantedHistoryIsReadWithGit shows that git runs in the sandbox on the view and the objects that it borrows, and
// that the rest of the repository, where tokens lie, stays out of reach.
func TestAGrantedHistoryIsReadWithGit(t *testing.T) {
	t.Parallel()
	repository := t.TempDir()
	runGit(t, repository, "init", "--quiet")
	if err := os.WriteFile(filepath.Join(repository, "a.txt"), []byte("was here\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	runGit(t, repository, "add", ".")
	runGit(t, repository, "commit", "--quiet", "-m", "first")
	taken, err := snapshot.TakeHistory(t.Context(), repository, filepath.Join(t.TempDir(), "view"))
	if err != nil {
		t.Fatal(err)
	}

	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	request := gates.Request{
		History: &gates.History{Dir: taken.Dir, Folder: "apps/one"},
		Run:     gates.Run{App: filepath.Join(repository, ".git", "config") + "\n" + filepath.Join(repository, "a.txt")},
	}
	verdict := ask(t, h, "good/historian", request)
	if verdict.Outcome != gates.Pass || verdict.Summary != "apps/one" || !strings.Contains(verdict.Findings[0].Message, "was here") {
		t.Fatalf("%+v", verdict)
	}
	if len(missing(t, h)) == 0 {
		for i, finding := range verdict.Findings[1:] {
			if finding.Message != "read: false" {
				t.Errorf("file %d beside the history: %s", i, finding.Message)
			}
		}
	}
	// Who did not ask for it neither hears of it nor gets a git to run.
	if verdict := ask(t, h, "good/spy", gates.Request{History: request.History, Run: gates.Run{App: "run /usr/bin/git\nlist " + taken.Dir}}); len(missing(t, h)) == 0 {
		for _, finding := range verdict.Findings {
			if finding.Detail != "refused" {
				t.Errorf("without asking for the history: %+v", finding)
			}
		}
	}
}

func runGit(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
}
