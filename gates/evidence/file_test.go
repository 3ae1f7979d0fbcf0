package evidence_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "environment.json")
	written := evidence.Environment{
		Header: evidence.Header{TakenAt: noon}, App: "guide", Name: "production",
		Worker: evidence.Worker{
			Name: "guide", State: evidence.Present, Shares: []evidence.Share{{Version: "v1", Percentage: 100}},
			Versions: []evidence.Version{{ID: "v1", CreatedAt: noon, BindingsState: evidence.Present}},
		},
		Resources: []evidence.Resource{{Kind: evidence.ResourceKV, Name: "cache", State: evidence.Unknown, Reason: "403"}},
		Gaps:      []evidence.Gap{{What: "KV namespace cache", Reason: "403"}},
	}
	if err := evidence.Write(path, written); err != nil {
		t.Fatal(err)
	}
	written.Kind, written.Format = evidence.KindEnvironment, evidence.Format
	read, err := evidence.ReadEnvironment(path)
	if diff := cmp.Diff(written, read); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if err := evidence.Write(path, written); err == nil {
		t.Error("a file that is there is written over")
	}
}

// Whatever is no evidence of the kind is an error, never an environment in which nothing is wrong.
func TestWhatIsNoEvidenceIsAnError(t *testing.T) {
	t.Parallel()
	for says, text := range map[string]string{
		"unexpected end":              "",
		`says that it is ""`:          "{}",
		`says that it is "plan"`:      `{"kind": "plan", "format": 1}`,
		"has format 7, and this gate": `{"kind": "environment", "format": 7}`,
		"invalid character":           "<html>",
	} {
		path := filepath.Join(t.TempDir(), "file.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.ReadEnvironment(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	if _, err := evidence.ReadMetrics(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("no file, and no error")
	}
}

func TestKindsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	for kind, want := range map[gates.ReportKind]string{
		gates.ReportEnvironment: evidence.KindEnvironment, gates.ReportMetrics: evidence.KindMetrics,
		gates.ReportPlan: evidence.KindPlan, gates.ReportPromotions: evidence.KindPromotions, gates.ReportSmoke: evidence.KindSmoke,
	} {
		if string(kind) != want || !kind.Gathered() {
			t.Errorf("%q is not %q, or not gathered", kind, want)
		}
	}
	if gates.ReportJUnit.Gathered() {
		t.Error("a stage's report counts as gathered")
	}
}

func TestSinceWhenAVersionTakesTraffic(t *testing.T) {
	t.Parallel()
	at := func(minutes int, shares ...evidence.Share) evidence.Deployment {
		return evidence.Deployment{At: noon.Add(time.Duration(minutes) * time.Minute), Shares: shares}
	}
	share := func(version string, percentage float64) evidence.Share {
		return evidence.Share{Version: version, Percentage: percentage}
	}
	worker := evidence.Worker{Deployments: []evidence.Deployment{
		at(30, share("new", 100)), at(20, share("old", 90), share("new", 10)), at(10, share("old", 100), share("new", 0)),
		at(5, share("new", 100)), // an earlier time, which was put back
		at(0, share("old", 100)),
	}}
	since, ok := worker.TookTraffic("new")
	if want := noon.Add(20 * time.Minute); !ok || !since.Equal(want) {
		t.Errorf("since %s, %v; want %s", since, ok, want)
	}
	if _, ok := worker.TookTraffic("old"); ok {
		t.Error("the old version takes no traffic any more")
	}
	if _, ok := (evidence.Worker{}).TookTraffic("new"); ok {
		t.Error("without deployments nothing is known")
	}
}
