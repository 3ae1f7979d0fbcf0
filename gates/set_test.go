package gates

import (
	"context"
	"errors"
	"strings"
	"testing"
)

type stub struct {
	Description
	evaluate func(context.Context) (*Verdict, error)
}

func (s stub) Describe() Description { return s.Description }
func (s stub) Evaluate(ctx context.Context, _ *Request) (*Verdict, error) {
	return s.evaluate(ctx)
}

func described(name string) stub {
	return stub{Description: Description{Name: name, Title: "a gate", Phases: []Phase{PhaseBuild}}}
}

func TestSetCheck(t *testing.T) {
	t.Parallel()
	good := Set{Name: "quality", Version: "1.0.0", Gates: []Gate{described("tests"), described("lint")}}
	if err := good.check(); err != nil {
		t.Errorf("a good set: %v", err)
	}
	noTitle, noPhase, badPhase := described("a"), described("b"), described("c")
	early := described("d")
	early.Needs.Version = true
	noTitle.Title, noPhase.Phases, badPhase.Phases = "", nil, []Phase{"later"}
	bad := Set{Name: "Quality Checks", Version: "v1", Gates: []Gate{described("x"), described("x"), described("../x"), noTitle, noPhase, badPhase, early}}
	err := bad.check()
	if err == nil {
		t.Fatal("a bad set is accepted")
	}
	for _, says := range []string{
		`"Quality Checks" is not a lower-case word`, `"v1" is not a semantic version`, `two gates are called "x"`,
		`"../x" is not a lower-case word`, `"a" has no title`, `"b" names no phase`, `phase "later", which does not exist`,
		`"d" needs the running version and names the phase build`,
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("it is not told that %s", says)
		}
	}
	if err := (Set{Name: "empty", Version: "1.0.0"}).check(); err == nil {
		t.Error("a set without gates is accepted")
	}
}

func TestCheckHost(t *testing.T) {
	t.Parallel()
	set := Set{Name: "acme", Version: "2.0.0"}
	for host, accepted := range map[string]bool{minHost: true, "9.0.0": true, "0.0.9": false, "": false, "new": false} {
		err := checkHost(set, host)
		if (err == nil) != accepted {
			t.Errorf("host %q: %v", host, err)
		}
		for _, says := range []string{minHost, SDKVersion, "update penstock"} {
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("host %q: it is not told that %s: %v", host, says, err)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for want, evaluate := range map[string]func(context.Context) (*Verdict, error){
		"fine":                           func(context.Context) (*Verdict, error) { return &Verdict{Outcome: Pass, Summary: "fine"}, nil },
		"broken":                         func(context.Context) (*Verdict, error) { return &Verdict{Outcome: Pass}, errors.New("broken") },
		"the gate panicked: oh":          func(context.Context) (*Verdict, error) { panic("oh") },
		"neither a verdict nor an":       func(context.Context) (*Verdict, error) { return nil, nil },
		"the gate did not answer in tim": func(ctx context.Context) (*Verdict, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		verdict := judge(ctx, stub{evaluate: evaluate}, &Request{})
		if !strings.Contains(verdict.Summary, want) || (want != "fine" && verdict.Outcome != Error) {
			t.Errorf("want %q: %+v", want, verdict)
		}
	}
}

func TestStartedByHand(t *testing.T) {
	t.Parallel()
	text := startedByHand(Set{Name: "acme", Version: "1.2.0", Gates: []Gate{described("tests")}})
	for _, says := range []string{`gate set "acme", version 1.2.0`, "acme/tests", "penstock.yaml", "docs/gates.md"} {
		if !strings.Contains(text, says) {
			t.Errorf("it does not say %q:\n%s", says, text)
		}
	}
}

func TestOnlyPassAndWarnAllow(t *testing.T) {
	t.Parallel()
	for _, outcome := range []Outcome{Pass, Warn, Fail, Inconclusive, Error, Pending, "", "passed", "PASS", "skipped"} {
		if got, want := outcome.Allows(), outcome == Pass || outcome == Warn; got != want {
			t.Errorf("%q allows: %v", outcome, got)
		}
	}
}
