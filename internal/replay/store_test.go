package replay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hideToken(text string) string { return strings.ReplaceAll(text, "s3cr3t-token", "***") }

func keep(t *testing.T, s *Store, run string, request gates.Request) {
	t.Helper()
	request.Run.ID = run
	verdict := gates.Verdict{Outcome: gates.Pass, Summary: "said with s3cr3t-token"}
	if err := s.Keep("q/g", "sha256:1", request, verdict, hideToken); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasAskedComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := Open(dir)
	report := write(t, "<junit/> s3cr3t-token")
	keep(t, s, "01A", gates.Request{
		Phase: gates.PhaseBuild, Config: json.RawMessage(`{"limit":80}`), Secrets: map[string]string{"T": "s3cr3t-token"},
		Stages:  []gates.Stage{{Name: "test", Outcome: "passed", Log: write(t, "output")}, {Name: "silent"}},
		Reports: []gates.Report{{Kind: gates.ReportJUnit, Path: report, Root: "/app"}, {Kind: gates.ReportLCOV, Path: report + "-that-is-not-there"}},
	})
	keep(t, s, "01B", gates.Request{Reports: []gates.Report{{Kind: gates.ReportJUnit, Path: report}}})

	if runs, err := s.Runs(); err != nil || strings.Join(runs, " ") != "01B 01A" {
		t.Errorf("%v, %v", runs, err)
	}
	questions, err := s.Questions("01A")
	if err != nil || len(questions) != 1 {
		t.Fatal(questions, err)
	}
	question := questions[0]
	if question.Outcome != gates.Pass || question.SetDigest != "sha256:1" || len(question.Omitted) != 1 || !strings.Contains(question.Omitted[0], "was not there") {
		t.Errorf("%+v", question)
	}
	request, err := s.Restore(question, t.TempDir())
	if err != nil || len(request.Reports) != 1 || len(request.Stages) != 2 || string(request.Config) != `{"limit":80}` || request.Phase != gates.PhaseBuild {
		t.Fatalf("%+v, %v", request, err)
	}
	if text, err := os.ReadFile(request.Reports[0].Path); err != nil || string(text) != "<junit/> ***" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := os.ReadFile(request.Stages[0].Log); err != nil || string(text) != "output" || request.Stages[1].Log != "" {
		t.Errorf("%q, %v", text, err)
	}

	// No secret anywhere, and the same report once.
	files := 0
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.Contains(path, "files") {
			files++
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%s holds the secret: %s", path, text)
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestWhatWasChangedIsNotUsed(t *testing.T) {
	t.Parallel()
	s := Open(t.TempDir())
	keep(t, s, "01A", gates.Request{Reports: []gates.Report{{Kind: gates.ReportJUnit, Path: write(t, "<junit/>")}}})
	questions, err := s.Questions("01A")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file(questions[0].Reports[0].Path), []byte("<forged/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(questions[0], t.TempDir()); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("changed: %v", err)
	}
	if err := os.Remove(s.file(questions[0].Reports[0].Path)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(questions[0], t.TempDir()); err == nil || !strings.Contains(err.Error(), "no longer kept") {
		t.Errorf("gone: %v", err)
	}
	questions[0].Reports[0].Path = "../../etc/passwd"
	if _, err := s.Restore(questions[0], t.TempDir()); err == nil {
		t.Error("a path was taken for a digest")
	}
	if err := s.append("../x", nil); err == nil {
		t.Error("a path was taken for a run")
	}
}

func TestTidy(t *testing.T) {
	t.Parallel()
	s := Open(t.TempDir())
	keep(t, s, "01OLD", gates.Request{Reports: []gates.Report{{Path: write(t, "old")}}})
	keep(t, s, "01NEW", gates.Request{Reports: []gates.Report{{Path: write(t, "new")}}})
	long := time.Now().Add(-maxAge - time.Hour)
	if err := os.Chtimes(s.list("01OLD"), long, long); err != nil {
		t.Fatal(err)
	}
	old, err := s.Questions("01OLD")
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * settling) // so that what nobody names has settled
	if err := s.Tidy(later); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.Runs(); err != nil || strings.Join(runs, " ") != "01NEW" {
		t.Errorf("%v, %v", runs, err)
	}
	if _, err := s.get(old[0].Reports[0].Path); err == nil {
		t.Error("a file that no run names is still there")
	}
	left, err := s.Questions("01NEW")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(left[0], t.TempDir()); err != nil {
		t.Errorf("a file that a run names is gone: %v", err)
	}
	if err := Open(t.TempDir()).Tidy(later); err != nil {
		t.Errorf("nothing to tidy: %v", err)
	}
}

// TestTheOldestGoesWhenItIsTooMuch: with as much in each of them as fits at all.
func TestTheOldestGoesWhenItIsTooMuch(t *testing.T) {
	t.Parallel()
	s := Open(t.TempDir())
	for _, run := range []string{"01A", "01B", "01C"} {
		keep(t, s, run, gates.Request{Reports: []gates.Report{{Path: write(t, run)}}})
		questions, err := s.Questions(run)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(s.file(questions[0].Reports[0].Path), maxSize/2-1); err != nil { // a hole, which takes no room
			t.Fatal(err)
		}
	}
	if err := s.Tidy(time.Now()); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.Runs(); err != nil || strings.Join(runs, " ") != "01C 01B" {
		t.Errorf("%v, %v", runs, err)
	}
}
