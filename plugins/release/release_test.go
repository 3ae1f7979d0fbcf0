package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "release") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }

func reportOf[T evidence.Plan | evidence.Promotions](t *testing.T, kind gates.ReportKind, value T) gates.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), string(kind)+".json")
	if err := evidence.Write(path, value); err != nil {
		t.Fatal(err)
	}
	return gates.Report{Kind: kind, Path: path}
}

var sourceDigest, bundleDigest = "sha256:" + strings.Repeat("5a", 32), "sha256:" + strings.Repeat("b1", 32)

// aPlan is one that every gate here lets through; change makes it another.
func aPlan(change func(*evidence.Plan)) evidence.Plan {
	plan := evidence.Plan{
		Header: evidence.Header{TakenAt: time.Now()}, Digest: "sha256:plan", App: "shop", Environment: "production", Bundle: bundleDigest, Built: bundleDigest,
		SourceDigest: sourceDigest, Commit: "0123456789abcdef",
		Changes: []evidence.Change{{Action: "update", Kind: "version", Name: "shop"}, {Action: "keep", Kind: "binding", Name: "DB"}},
		Stages:  []evidence.Stage{{Name: "test", Outcome: "passed", Key: "k1"}, {Name: "bundle", Outcome: "passed", Key: "k2", OutputDigest: "sha256:o", Cached: true}},
		Source:  evidence.SourceChange{State: evidence.Present, Files: []evidence.File{{Path: "src/a.ts", Added: 10, Deleted: 2}}},
		People: evidence.People{
			Approvers: []string{"ann", "bea", "cyd"}, Needed: 1, Author: "ann",
			Decisions: []evidence.Approval{{By: "bea", Decision: "approved", Plan: "sha256:plan", Reason: "seen"}},
		},
	}
	if change != nil {
		change(&plan)
	}
	return plan
}

func about(t *testing.T, change func(*evidence.Plan)) gates.Request {
	t.Helper()
	return gates.Request{Run: gates.Run{ID: "r1"}, Reports: []gates.Report{reportOf(t, gates.ReportPlan, aPlan(change))}}
}

func configured(request gates.Request, config string) gates.Request {
	request.Config = []byte(config)
	return request
}

// unreadable is evidence that is not what it says.
func unreadable(t *testing.T) gates.Request {
	t.Helper()
	return gates.Request{Reports: []gates.Report{{Kind: gates.ReportPlan, Path: gatetest.Written(t, "{")}}}
}

func TestApproval(t *testing.T) {
	none := func(p *evidence.Plan) { p.People.Decisions = nil }
	try(t, approvalGate{}, []gatetest.Case{
		{Name: "approved", Request: about(t, nil), Want: gates.Pass, Check: gatetest.All(gatetest.Says("approved by bea"), gatetest.Measures("approvals", 1))},
		{Name: "nobody is asked", Request: about(t, func(p *evidence.Plan) { p.People = evidence.People{} }), Want: gates.Pass, Check: gatetest.Says("nobody is asked")},
		{Name: "not yet", Request: about(t, none), Want: gates.Pending, Check: gatetest.All(gatetest.Says("0 of 1 approvals"), clearedBy("bea, cyd"))},
		{Name: "of another plan", Request: about(t, func(p *evidence.Plan) { p.People.Decisions[0].Plan = "sha256:old" }), Want: gates.Pending},
		{Name: "rejected", Request: about(t, func(p *evidence.Plan) { p.People.Decisions[0].Decision = "rejected" }), Want: gates.Fail, Check: gatetest.Says("rejected by bea: seen")},
		{Name: "a word that is no decision", Request: about(t, func(p *evidence.Plan) { p.People.Decisions[0].Decision = "perhaps" }), Want: gates.Pending},
		{Name: "more are asked for here", Request: configured(about(t, nil), `{"count": 2}`), Want: gates.Pending, Check: gatetest.All(gatetest.Says("1 of 2"), clearedBy("cyd"))},
		{Name: "one person twice", Want: gates.Pending, Request: configured(about(t, func(p *evidence.Plan) {
			p.People.Decisions = append(p.People.Decisions, evidence.Approval{By: " BEA", Decision: "approved", Plan: "sha256:plan"})
		}), `{"count": 2}`)},
		{Name: "more than there are", Request: configured(about(t, nil), `{"count": 3}`), Want: gates.Fail, Check: gatetest.Says("only bea, cyd could ever approve")},
		{Name: "one of these is among them", Request: configured(about(t, nil), `{"with": ["bea"]}`), Want: gates.Pass},
		{Name: "none of these is", Request: configured(about(t, nil), `{"with": ["cyd"]}`), Want: gates.Pending, Check: gatetest.All(gatetest.Says("one must be of cyd"), clearedBy("cyd"))},
		{Name: "no plan", Request: gates.Request{}, Want: gates.Inconclusive},
		{Name: "a plan that cannot be read", Request: unreadable(t), Want: gates.Error},
	})
}

func clearedBy(who string) gatetest.Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		if verdict.Pending == nil || verdict.Pending.By != who || verdict.Pending.AskAgain <= 0 {
			t.Errorf("cleared by %+v, want %s", verdict.Pending, who)
		}
	}
}

func TestSoak(t *testing.T) {
	promoted := func(environment, source string, ago time.Duration) evidence.Promotion {
		return evidence.Promotion{Environment: environment, Source: source, State: "completed", Run: "r0", Ended: time.Now().Add(-ago)}
	}
	told := func(at time.Time, complete bool, promotions ...evidence.Promotion) gates.Request {
		request := about(t, nil)
		request.Reports = append(request.Reports, reportOf(t, gates.ReportPromotions, evidence.Promotions{
			Header: evidence.Header{TakenAt: at}, App: "shop", Promotions: promotions, Complete: complete,
		}))
		return configured(request, `{"environment": "staging", "for": "2h"}`)
	}
	history := func(complete bool, promotions ...evidence.Promotion) gates.Request {
		return told(time.Now(), complete, promotions...)
	}
	taken := func(at time.Time, promotions ...evidence.Promotion) gates.Request {
		return told(at, true, promotions...)
	}
	ours := func(ago time.Duration) evidence.Promotion { return promoted("staging", sourceDigest, ago) }
	rolledBack := ours(10 * time.Minute)
	rolledBack.State, rolledBack.Source = "rolled-back", "sha256:other"
	unknown := ours(3 * time.Hour)
	unknown.Source = ""
	try(t, soakGate{clock: time.Now}, []gatetest.Case{
		{Name: "long enough", Request: history(true, ours(3*time.Hour)), Want: gates.Pass, Check: gatetest.Says("live in staging for 3 h")},
		{Name: "long enough, deployed twice", Request: history(true, ours(10*time.Minute), ours(3*time.Hour), promoted("staging", "sha256:older", 9*time.Hour)), Want: gates.Pass},
		{Name: "an attempt at something else that did not take", Request: history(true, rolledBack, ours(3*time.Hour)), Want: gates.Pass},
		{Name: "not yet", Request: history(true, ours(time.Hour)), Want: gates.Pending, Check: gatetest.All(gatetest.Says("of 2 h"), clearedBy("time"))},
		{Name: "the clock was set back", Want: gates.Pass, Check: gatetest.Says("live in staging for 3 h"), Request: taken(time.Now().Add(4*time.Hour), promoted("staging", sourceDigest, -time.Hour))},
		{Name: "interrupted by another source", Request: history(true, ours(time.Hour), promoted("staging", "sha256:other", 2*time.Hour), ours(9*time.Hour)), Want: gates.Pending},
		{Name: "another source is live there", Request: history(true, promoted("staging", "sha256:other", time.Hour), ours(9*time.Hour)), Want: gates.Fail, Check: gatetest.Says("another source")},
		{Name: "only elsewhere", Request: history(true, promoted("qa", sourceDigest, 9*time.Hour)), Want: gates.Fail, Check: gatetest.Says("nothing was ever promoted to staging")},
		{Name: "nothing known, and there is more", Request: history(false), Want: gates.Inconclusive},
		{Name: "of an unknown source", Request: history(true, unknown), Want: gates.Inconclusive},
		{Name: "of unknown age", Request: history(true, evidence.Promotion{Environment: "staging", Source: sourceDigest, State: "completed"}), Want: gates.Inconclusive},
		{Name: "no history", Request: configured(about(t, nil), `{"environment": "staging"}`), Want: gates.Inconclusive},
		{Name: "no plan", Request: configured(gates.Request{}, `{"environment": "staging"}`), Want: gates.Inconclusive},
		{Name: "a plan that cannot be read", Request: configured(unreadable(t), `{"environment": "staging"}`), Want: gates.Error},
	})
}

func TestSize(t *testing.T) {
	many := func(n, lines int) func(*evidence.Plan) {
		return func(p *evidence.Plan) {
			p.Source.Files = nil
			for range n {
				p.Source.Files = append(p.Source.Files, evidence.File{Path: "src/x.ts", Added: lines})
			}
		}
	}
	try(t, sizeGate{}, []gatetest.Case{
		{Name: "small", Request: about(t, nil), Want: gates.Pass, Check: gatetest.All(gatetest.Says("1 file and 12 lines, 0 migrations, 0 bindings"), gatetest.Measures("lines", 12))},
		{Name: "at the limits", Request: about(t, many(40, 25)), Want: gates.Pass},
		{Name: "too many files", Request: about(t, many(41, 1)), Want: gates.Fail, Check: gatetest.Says("41 files (limit 40)")},
		{Name: "too many lines", Request: about(t, many(1, 1001)), Want: gates.Fail, Check: gatetest.Says("1001 lines (limit 1000)")},
		{Name: "too much SQL", Want: gates.Fail, Check: gatetest.Says("3 migrations (limit 2)"), Request: about(t, func(p *evidence.Plan) {
			p.Databases = []evidence.DatabasePlan{{Name: "main", Pending: []evidence.Migration{{Name: "1"}, {Name: "2"}, {Name: "3"}}}}
		})},
		{Name: "too much of the settings", Want: gates.Fail, Check: gatetest.Says("1 bindings (limit 0)"), Request: configured(about(t, func(p *evidence.Plan) {
			p.Changes = append(p.Changes, evidence.Change{Action: "remove", Kind: "route", Name: "a/*"})
		}), `{"bindings": 0}`)},
		{Name: "a lock file", Request: about(t, func(p *evidence.Plan) {
			p.Source.Files = append(p.Source.Files, evidence.File{Path: "web/package-lock.json", Added: 9000})
		}), Want: gates.Pass, Check: gatetest.Measures("files", 1)},
		{Name: "a lock file that counts", Request: configured(about(t, func(p *evidence.Plan) {
			p.Source.Files = append(p.Source.Files, evidence.File{Path: "package-lock.json", Added: 9000})
		}), `{"ignore": ["docs/**"]}`), Want: gates.Fail},
		{Name: "a binary file", Request: about(t, func(p *evidence.Plan) { p.Source.Files[0].Binary = true }), Want: gates.Warn},
		{Name: "the first time", Request: about(t, func(p *evidence.Plan) { p.FirstTime = true; p.Source = evidence.SourceChange{State: evidence.Missing} }), Want: gates.Pass},
		{Name: "not comparable", Request: about(t, func(p *evidence.Plan) {
			p.Source = evidence.SourceChange{State: evidence.Unknown, Reason: "what is live was not made from a commit"}
		}), Want: gates.Inconclusive, Check: gatetest.Says("not made from a commit")},
		{Name: "an unknown state", Request: about(t, func(p *evidence.Plan) { p.Source.State = "" }), Want: gates.Inconclusive},
		{Name: "migrations that are not known", Want: gates.Inconclusive, Request: about(t, func(p *evidence.Plan) {
			p.Gaps = []evidence.Gap{{What: "the migrations of D1 database main", Reason: "403"}}
		})},
		{Name: "no plan", Request: gates.Request{}, Want: gates.Inconclusive},
		{Name: "a glob that is none", Request: configured(about(t, nil), `{"ignore": ["[a"]}`), Want: gates.Error},
	})
}

func TestProvenance(t *testing.T) {
	try(t, provenanceGate{}, []gatetest.Case{
		{Name: "made here", Request: about(t, nil), Want: gates.Pass, Check: gatetest.Says("2 passed stages", "commit 0123456789ab")},
		{Name: "from an earlier run", Request: about(t, func(p *evidence.Plan) { p.From = "r0" }), Want: gates.Pass, Check: gatetest.Says("run r0 promoted before")},
		{Name: "local changes", Request: about(t, func(p *evidence.Plan) { p.Dirty = true }), Want: gates.Warn, Check: gatetest.Says("differs from its commit")},
		{Name: "local changes, where that is not allowed", Request: configured(about(t, func(p *evidence.Plan) { p.Dirty = true }), `{"clean": true}`), Want: gates.Fail},
		{Name: "no commit", Request: about(t, func(p *evidence.Plan) { p.Commit = "" }), Want: gates.Warn},
		{Name: "no commit, where that is not allowed", Request: configured(about(t, func(p *evidence.Plan) { p.Commit = "" }), `{"clean": true}`), Want: gates.Fail},
		{Name: "another bundle", Request: about(t, func(p *evidence.Plan) { p.Bundle = "sha256:swapped" }), Want: gates.Fail, Check: gatetest.Says("sha256:swapped would be promoted")},
		{Name: "another bundle was judged", Request: func() gates.Request { r := about(t, nil); r.Run.BundleDigest = "sha256:judged"; return r }(), Want: gates.Fail},
		{Name: "a stage that failed", Request: about(t, func(p *evidence.Plan) { p.Stages[0].Outcome = "failed" }), Want: gates.Fail, Check: gatetest.Says("test failed")},
		{Name: "a stage that was skipped", Request: about(t, func(p *evidence.Plan) { p.Stages[0].Outcome = "skipped" }), Want: gates.Fail},
		{Name: "no such stage", Request: configured(about(t, nil), `{"stage": "pack"}`), Want: gates.Inconclusive},
		{Name: "no key", Request: about(t, func(p *evidence.Plan) { p.Stages[1].Key = "" }), Want: gates.Inconclusive},
		{Name: "no output", Request: about(t, func(p *evidence.Plan) { p.Stages[1].OutputDigest = "" }), Want: gates.Inconclusive},
		{Name: "not made again", Request: about(t, func(p *evidence.Plan) { p.Built = "" }), Want: gates.Inconclusive},
		{Name: "no stages", Request: about(t, func(p *evidence.Plan) { p.Stages = nil }), Want: gates.Inconclusive},
		{Name: "no plan", Request: gates.Request{}, Want: gates.Inconclusive},
		{Name: "a plan that cannot be read", Request: unreadable(t), Want: gates.Error},
	})
}

// try is [gatetest.Try] for cases whose request has its config already.
func try(t *testing.T, gate gates.Gate, cases []gatetest.Case) {
	t.Helper()
	for i := range cases {
		cases[i].Config = string(cases[i].Request.Config)
	}
	gatetest.Try(t, gate, cases)
}
