package ledger

import (
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestTheLedgerKeepsTheJournalsContract(t *testing.T) {
	t.Parallel()
	promotiontest.JournalContract(t, func(t *testing.T) promotion.Journal { return fresh(t) })
}

// A whole promotion on a real ledger: what it wrote verifies, and says what is live.
func TestAPromotionOnTheLedger(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	cloud := &promotiontest.Cloud{Wanted: []promotion.Migration{{Database: "db", Name: "0001.sql", Digest: "sha256:01"}}}
	promote := func(id, digest string, want promotion.Phase) promotion.Result {
		t.Helper()
		tell(t, l, aRun("run-" + id)[0])
		basis := promotion.Basis{App: "guide", Environment: pipelines.Environment{Name: "local"}, Bundle: &bundle.Bundle{Digest: digest}}
		plan, err := promotion.MakePlan(t.Context(), cloud, basis)
		if err != nil {
			t.Fatal(err)
		}
		options := promotion.Options{Target: cloud, Journal: l, Prober: cloud, Run: "run-" + id, Promotion: id}
		result, err := promotion.Promote(t.Context(), options, plan)
		if err != nil || result.Phase != want {
			t.Fatalf("%+v, %v", result, err)
		}
		return result
	}
	first := promote("p1", "sha256:one", promotion.Completed)
	cloud.Broken = "sha256:two"
	promote("p2", "sha256:two", promotion.RolledBack)
	sound(t, l)
	environment, err := l.Environment(t.Context(), "guide", "local")
	if err != nil || environment.Version != first.Version || environment.Bundle != "sha256:one" || environment.Run != "run-p1" || environment.Holder != nil || len(environment.Unfinished) > 0 {
		t.Errorf("%+v, %v", environment, err)
	}
	run, err := l.Run(t.Context(), "run-p2")
	if err != nil || len(run.Promotions) != 1 || run.Promotions[0].State != promotion.RolledBack || run.Promotions[0].Bookmark == "" {
		t.Errorf("%+v, %v", run.Promotions, err)
	}
	var names []string
	for _, step := range run.Steps {
		names = append(names, step.Name)
	}
	if got := strings.Join(names, " "); got != "lease check prepare bookmark migrate upload place smoke put-back" {
		t.Errorf("steps: %s", got)
	}
	if smoke := run.Steps[7]; smoke.Error == "" {
		t.Errorf("%+v", smoke)
	}
	if complaints := cloud.Complaints(); len(complaints) > 0 {
		t.Errorf("misuse: %q", complaints)
	}
}
