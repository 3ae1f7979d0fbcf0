package cloudflare

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates/evidence"
)

func look(t *testing.T, target *Target, last *evidence.Promoted) evidence.Environment {
	t.Helper()
	found, err := target.Survey(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func resource(t *testing.T, found evidence.Environment, kind, name string) evidence.Resource {
	t.Helper()
	for _, resource := range found.Resources {
		if resource.Kind == kind && (name == "" || resource.Name == name) {
			return resource
		}
	}
	t.Fatalf("no %s %s in %+v", kind, name, found.Resources)
	return evidence.Resource{}
}

func TestSurveyOfAnEmptyAccount(t *testing.T) {
	t.Parallel()
	found := look(t, newTarget(t, newFake(t), nil), nil)
	if found.Worker.State != evidence.Missing || found.Drift.State != evidence.Missing || len(found.Gaps) != 0 {
		t.Errorf("%+v", found)
	}
	for _, resource := range found.Resources {
		if resource.State != evidence.Missing {
			t.Errorf("in an empty account: %+v", resource)
		}
	}
}

func TestSurveyOfAPromotedWorker(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
		t.Fatal(err)
	}
	live := f.versions[0]["id"].(string)
	found := look(t, target, &evidence.Promoted{Version: live})
	if found.Worker.State != evidence.Present || found.Worker.ShareOf(live) != 100 || len(found.Gaps) != 0 || len(found.Drift.Differences) != 0 {
		t.Errorf("%+v", found)
	}
	database := resource(t, found, evidence.ResourceD1, "")
	if database.State != evidence.Present || len(database.Database.Applied) != 3 || len(database.Database.Pending) != 0 {
		t.Errorf("%+v", database)
	}
	for _, resource := range found.Resources {
		if resource.State != evidence.Present {
			t.Errorf("%+v", resource)
		}
	}
	var bound string
	for _, binding := range found.Worker.Versions[0].Bindings {
		if binding.Type == "d1" {
			bound = binding.Target
		}
	}
	if bound != database.ID {
		t.Errorf("the version is bound to %q, the database is %q", bound, database.ID)
	}

	drifted := look(t, target, &evidence.Promoted{Version: "another"})
	want := []evidence.Difference{{What: "version", Promoted: "another", Live: live + " takes 100 %"}}
	if diff := cmp.Diff(want, drifted.Drift.Differences); diff != "" {
		t.Error(diff)
	}
}

// TestWhatCannotBeAskedIsUnknown takes each call away in turn: what it would have told is never "missing", and the rest
// is known all the same.
func TestWhatCannotBeAskedIsUnknown(t *testing.T) {
	t.Parallel()
	for call, unknown := range map[string]func(evidence.Environment) evidence.State{
		"GET /d1/database": func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceD1).State },
		"POST .*/query": func(e evidence.Environment) evidence.State {
			return first(e, evidence.ResourceD1).Database.MigrationsState
		},
		"GET /storage/kv/namespaces": func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceKV).State },
		"GET /r2/buckets/.*":         func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceR2).State },
		"GET /queues":                func(e evidence.Environment) evidence.State { return first(e, evidence.ResourceQueue).State },
		"GET /queues/.*/consumers": func(e evidence.Environment) evidence.State {
			return first(e, evidence.ResourceQueue).Queue.ConsumersState
		},
		"GET " + scriptPath + "/deployments":       func(e evidence.Environment) evidence.State { return e.Worker.State },
		"GET " + scriptPath + "/versions/[^/]+":    func(e evidence.Environment) evidence.State { return e.Worker.Versions[0].BindingsState },
		"GET " + scriptPath + "/secrets":           func(e evidence.Environment) evidence.State { return e.Secrets.State },
		"GET " + scriptPath + "/schedules":         func(e evidence.Environment) evidence.State { return e.Crons.State },
		"GET " + scriptPath + "/deployments|drift": func(e evidence.Environment) evidence.State { return e.Drift.State },
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			target := newTarget(t, f, nil)
			if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			f.faults = []*fault{{call: call, kind: "denied", times: 1000}}
			f.mu.Unlock()
			found := look(t, target, &evidence.Promoted{Version: "v"})
			if state := unknown(found); state != evidence.Unknown {
				t.Errorf("it is %q: %+v", state, found)
			}
			if len(found.Gaps) == 0 || !strings.Contains(found.Gaps[0].Reason, "permission") {
				t.Errorf("gaps: %+v", found.Gaps)
			}
		})
	}
}

func first(found evidence.Environment, kind string) evidence.Resource {
	for _, resource := range found.Resources {
		if resource.Kind == kind {
			return resource
		}
	}
	return evidence.Resource{}
}

func TestASurveyThatIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTarget(t, newFake(t), nil).Survey(ctx, nil); err == nil {
		t.Error("stopped, and an environment is found")
	}
}

func TestMigrationPlans(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	target := newTarget(t, f, nil)
	before, gaps := target.MigrationPlans(t.Context())
	if len(gaps) != 0 || len(before) != 1 || len(before[0].Pending) != 3 || before[0].ID != "" {
		t.Fatalf("%+v, %+v", before, gaps)
	}
	firstOf := before[0].Pending[0]
	if firstOf.File != "migrations/0001_first.sql" || firstOf.SQL != fixtureFiles[firstOf.File] || !strings.HasPrefix(firstOf.Digest, "sha256:") {
		t.Errorf("%+v", firstOf)
	}
	if err := promote(t.Context(), t, target, fixtureBundle(t), "p1"); err != nil {
		t.Fatal(err)
	}
	after, gaps := target.MigrationPlans(t.Context())
	if len(gaps) != 0 || len(after[0].Pending) != 0 || len(after[0].Applied) != 3 || after[0].Applied[0].Digest != firstOf.Digest {
		t.Errorf("%+v, %+v", after, gaps)
	}
	f.mu.Lock()
	f.faults = []*fault{{call: "GET /d1/database", kind: "denied", times: 100}}
	f.mu.Unlock()
	if plans, gaps := target.MigrationPlans(t.Context()); len(plans) != 0 || len(gaps) != 1 {
		t.Errorf("%+v, %+v", plans, gaps)
	}
}
