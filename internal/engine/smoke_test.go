package engine_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	smoke := stage("smoke", "install")
	smoke.When = pipelines.WhenSmoke
	p := pipeline(stage("install"), smoke)
	for name, c := range map[string]struct {
		answer  engine.Result
		err     error
		ok      bool
		wantErr bool
	}{
		"passes":  {answer: engine.Result{Outcome: event.Passed}, ok: true},
		"fails":   {answer: engine.Result{Outcome: event.Failed, ExitCode: 7}},
		"cannot":  {err: errors.New("no room"), wantErr: true},
		"skipped": {answer: engine.Result{Outcome: event.Skipped}, wantErr: true},
	} {
		var env map[string]string
		s := &scripted{t: t, answer: func(_ context.Context, job engine.Job, _ int) (engine.Result, error) {
			env = job.Env
			job.Output("hello", false)
			return c.answer, c.err
		}}
		var log bytes.Buffer
		port := engine.Smoke{Environment: "local", Options: engine.Options{
			Pipeline: p, Session: s, Earlier: []engine.Result{{Stage: "install", Outcome: event.Passed}},
		}}
		address := promotion.Address{URL: "http://localhost:1", Header: http.Header{"X-Override": {"v1"}}}
		ok, summary, err := port.RunSmoke(context.Background(), "before", address, "v1", &log)
		if ok != c.ok || (err != nil) != c.wantErr || summary == "" {
			t.Errorf("%s: %v, %q, %v", name, ok, summary, err)
		}
		want := map[string]string{
			"PENSTOCK_URL": "http://localhost:1", "BASE_URL": "http://localhost:1", "PENSTOCK_VERSION_ID": "v1",
			"PENSTOCK_ENVIRONMENT": "local", "PENSTOCK_MOMENT": "before", "PENSTOCK_HEADERS": "X-Override: v1",
		}
		if diff := cmp.Diff(want, env); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if log.String() != "smoke | hello\n" {
			t.Errorf("%s: log %q", name, log.String())
		}
		if name == "fails" && !strings.Contains(summary, "exit code 7") {
			t.Errorf("summary %q", summary)
		}
	}
}

func TestSmokeNeedsWhatDidNotPass(t *testing.T) {
	t.Parallel()
	smoke := stage("smoke", "install")
	smoke.When = pipelines.WhenSmoke
	o, err := engine.RunStages(context.Background(), pipelines.WhenSmoke, engine.Options{
		Pipeline: pipeline(smoke), Session: &scripted{t: t}, Earlier: []engine.Result{{Stage: "install", Outcome: event.Failed}},
	})
	if err != nil || outcomes(o) != "smoke=skipped" {
		t.Errorf("%s, %v", outcomes(o), err)
	}
}
