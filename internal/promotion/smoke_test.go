package promotion_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// answers is a prober and smoke stages in one, which say what they are told to.
type answers struct {
	ok, stagesOK bool
	err          error
	moment       string
}

func (a *answers) Probe(context.Context, promotion.Address, string, pipelines.Smoke) (promotion.Report, error) {
	return promotion.Report{OK: a.ok, Summary: "GET /health", Lines: []string{"one line"}}, a.err
}

func (a *answers) RunSmoke(_ context.Context, moment string, _ promotion.Address, _ string, log io.Writer) (bool, string, error) {
	a.moment = moment
	_, _ = io.WriteString(log, "said\n")
	return a.stagesOK, "1 smoke stage", nil
}

func TestSmokeOnDemand(t *testing.T) {
	t.Parallel()
	probes := pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/health"}}}
	lost := errors.New("no route")
	for name, tc := range map[string]struct {
		answers answers
		smoke   pipelines.Smoke
		stages  bool
		fails   bool // with a SmokeError
		is      error
		says    string
	}{
		"sound":                      {answers: answers{ok: true, stagesOK: true}, smoke: probes, stages: true, says: "GET /health; 1 smoke stage"},
		"without stages":             {answers: answers{ok: true}, smoke: probes, says: "GET /health"},
		"a probe fails":              {answers: answers{stagesOK: true}, smoke: probes, stages: true, fails: true, says: "GET /health"},
		"a stage fails":              {answers: answers{ok: true}, smoke: probes, stages: true, fails: true, says: "1 smoke stage"},
		"nobody answers":             {answers: answers{err: lost}, smoke: probes, is: lost, says: "no route"},
		"there is nothing to ask":    {answers: answers{ok: true}, says: "nothing to ask"},
		"stages alone are something": {answers: answers{ok: true, stagesOK: true}, stages: true, says: "1 smoke stage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := tc.answers
			options := promotion.Options{Prober: &a}
			if tc.stages {
				options.SmokeStages = &a
			}
			var told []string
			summary, err := promotion.Smoke(t.Context(), options, promotion.Address{}, "v1", tc.smoke, func(line string) { told = append(told, line) })
			_, failed := errors.AsType[*promotion.SmokeError](err)
			if failed != tc.fails || (tc.is != nil && !errors.Is(err, tc.is)) {
				t.Errorf("%v", err)
			}
			if text := summary; err != nil {
				text = err.Error()
				if !strings.Contains(text, tc.says) {
					t.Errorf("it says %q", text)
				}
			} else if !strings.Contains(text, tc.says) {
				t.Errorf("it says %q", text)
			}
			if err == nil && tc.stages && a.moment != promotion.OnDemand {
				t.Errorf("the stages were told of the moment %q", a.moment)
			}
			if err == nil && len(tc.smoke.Probes) > 0 && len(told) != 1 {
				t.Errorf("told %q", told)
			}
		})
	}
}
