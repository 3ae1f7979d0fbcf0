package cli

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
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
	if codeDigest(of("{}", "a")) != codeDigest(of(`{"vars":1}`, "a")) {
		t.Error("variables are not code")
	}
	if codeDigest(of("{}", "a")) == codeDigest(of("{}", "b")) {
		t.Error("other code has the same digest")
	}
}
