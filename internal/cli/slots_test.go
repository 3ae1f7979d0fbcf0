package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// stagesSay is what smoke stages answer.
type stagesSay struct {
	ok   bool
	err  error
	runs int
}

func (s *stagesSay) RunSmoke(context.Context, string, promotion.Address, string, io.Writer) (bool, string, error) {
	s.runs++
	return s.ok, "said", s.err
}

func TestIntegrationComesAfterTheSwitchAndOnlyWhenSmokePassed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		moment      string
		smoke, deep *stagesSay
		ok          bool
		runs        int
	}{
		"before traffic":   {promotion.BeforeTraffic, &stagesSay{ok: true}, &stagesSay{}, true, 0},
		"both pass":        {promotion.AfterSwitch, &stagesSay{ok: true}, &stagesSay{ok: true}, true, 1},
		"smoke fails":      {promotion.AfterSwitch, &stagesSay{}, &stagesSay{ok: true}, false, 0},
		"smoke breaks":     {promotion.AfterSwitch, &stagesSay{ok: true, err: errors.New("x")}, &stagesSay{ok: true}, false, 0},
		"integration no":   {promotion.AfterSwitch, &stagesSay{ok: true}, &stagesSay{}, false, 1},
		"no smoke stages":  {promotion.AfterSwitch, nil, &stagesSay{}, false, 1},
		"none, and before": {promotion.BeforeTraffic, nil, &stagesSay{}, true, 0},
	} {
		both := integrated{integration: test.deep}
		if test.smoke != nil {
			both.smoke = test.smoke
		}
		ok, _, err := both.RunSmoke(t.Context(), test.moment, promotion.Address{}, "v", io.Discard)
		if (ok && err == nil) != test.ok || test.deep.runs != test.runs {
			t.Errorf("%s: %v, %v, asked %d times", name, ok, err, test.deep.runs)
		}
	}
}

func TestOnlyTheCodeThatTheSlotTestedGoesOn(t *testing.T) {
	t.Parallel()
	of := func(metadata, code string) *bundle.Bundle {
		return &bundle.Bundle{Metadata: []byte(metadata), Modules: []bundle.Module{{Name: "worker.js", ContentType: "x", Body: []byte(code)}}}
	}
	if of("{}", "a").Code() != of(`{"vars":1}`, "a").Code() {
		t.Error("variables are not code")
	}
	if of("{}", "a").Code() == of("{}", "b").Code() {
		t.Error("other code has the same digest")
	}
}

// TestNoWayAroundTheSlot: neither by another penstock.yaml in the folder than the one that judges, nor from another environment.
func TestNoWayAroundTheSlot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	record, err := ledger.Open(ctx, filepath.Join(t.TempDir(), ledgerFile))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	lease, err := record.Acquire(ctx, "app", "staging", "p1")
	err = errors.Join(err,
		record.Record(ctx, event.Event{Type: event.RunStarted, Run: "r1", RunInfo: &event.RunInfo{App: "app", Environment: "staging", SourceDigest: "sha256:tested"}}),
		record.Checkpoint(ctx, lease, promotion.Checkpoint{Promotion: "p1", Run: "r1", State: promotion.Completed, Version: "v"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change  func(*run)
		blocked bool
	}{
		"by the slot":                        {func(r *run) { r.slot = &slotted{name: "staging"} }, false},
		"without a slot":                     {func(r *run) { r.environment.Strategy = "" }, false},
		"past the slot":                      {func(*run) {}, true},
		"going on after the slot":            {func(r *run) { r.resumes = &resumption{} }, false},
		"from elsewhere, through the slot":   {func(r *run) { r.resumes = &resumption{elsewhere: true} }, false},
		"from elsewhere, and not through it": {func(r *run) { r.resumes, r.source.Digest = &resumption{elsewhere: true}, "sha256:other" }, true},
	} {
		r := &run{
			ledger: record, pipeline: &pipelines.Pipeline{Name: "app"}, source: &snapshot.Snapshot{Digest: "sha256:tested"},
			environment: &pipelines.Environment{Name: "production", Strategy: pipelines.StrategySlots, Slot: "staging"},
		}
		row.change(r)
		err := r.throughSlot(ctx)
		if code, _ := classify(err); (err != nil) != row.blocked || row.blocked && code != ExitBlocked {
			t.Errorf("%s: %v", name, err)
		}
	}
}
