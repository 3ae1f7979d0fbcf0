package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// serveGood serves gates that keep the contract, some of which do in their Evaluate what a bad gate would do. It goes
// through the public door, so what the host is shown here is what the SDK makes of it.
func serveGood(name string) {
	set := gates.Set{Name: name, Version: "1.2.3", Gates: []gates.Gate{
		gate{name: "pass", schema: limitSchema, ask: pass},
		gate{name: "fail", ask: fail},
		gate{name: "pending", ask: pending},
		gate{name: "full", ask: full},
		gate{name: "echo", reports: []gates.ReportKind{gates.ReportJUnit}, needs: gates.Needs{Secrets: []string{"TOKEN"}}, ask: echo},
		gate{name: "source", needs: gates.Needs{Source: true}, ask: readSource},
		gate{name: "historian", needs: gates.Needs{History: true}, ask: readHistory},
		gate{name: "network", needs: gates.Needs{Hosts: []string{"127.0.0.1:1", os.Getenv("NOT_SET")}}, ask: dialGranted},
		gate{name: "prober", phases: []gates.Phase{gates.PhasePromote, gates.PhaseBake}, needs: gates.Needs{Version: true}, ask: askVersion},
		gate{name: "blind", phases: []gates.Phase{gates.PhasePromote}, ask: spy},
		gate{name: "traveller", needs: gates.Needs{Hosts: []string{"127.0.0.1:1"}}, ask: spy},
		gate{name: "slow", ask: slow},
		gate{name: "error", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { return nil, errors.New("no such luck") }},
		gate{name: "nothing", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { return nil, nil }},
		gate{name: "panic", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { panic("gone wrong") }},
		gate{name: "deadline", ask: tellDeadline},
		gate{name: "leak", needs: gates.Needs{Secrets: []string{"TOKEN"}}, ask: leak},
		gate{name: "spy", ask: spy},
		gate{name: "hang", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { select {} }},
		gate{name: "crash", ask: crash},
		gate{name: "exit", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { os.Exit(0); return nil, nil }},
		gate{name: "hungry", ask: hungry},
		gate{name: "orphan", needs: gates.Needs{History: true}, ask: orphan}, // with git it may start processes
		gate{name: "greedy", needs: gates.Needs{History: true}, ask: greedy},
		gate{name: "noisy", ask: noisy},
		gate{name: "long-winded", ask: longWinded},
	}}
	for i := range 20 {
		set.Gates = append(set.Gates, gate{name: "many-" + strconv.Itoa(i), ask: pass}, gate{name: "meets-" + strconv.Itoa(i), ask: together})
	}
	gates.Serve(set)
}

const limitSchema = `{
	"type": "object", "additionalProperties": false,
	"properties": {"limit": {"type": "number", "minimum": 0, "maximum": 100}}
}`

type gate struct {
	name    string
	schema  string
	phases  []gates.Phase // the build phase when nil
	reports []gates.ReportKind
	needs   gates.Needs
	ask     func(context.Context, *gates.Request) (*gates.Verdict, error)
}

func (g gate) Describe() gates.Description {
	description := gates.Description{
		Name: g.name, Title: "answers as the tests need it", Phases: []gates.Phase{gates.PhaseBuild}, Config: g.schema, Needs: g.needs,
	}
	if g.phases != nil {
		description.Phases = g.phases
	}
	for _, kind := range g.reports {
		description.Reports = append(description.Reports, gates.Report{Kind: kind})
	}
	return description
}

func (g gate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	return g.ask(ctx, request)
}

func pass(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	request.Progress("looking at %s", request.Run.App)
	config := struct{ Limit float64 }{Limit: 80}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: fmt.Sprintf("nothing is wrong, limit %v", config.Limit)}, nil
}

func fail(context.Context, *gates.Request) (*gates.Verdict, error) {
	return &gates.Verdict{Outcome: gates.Fail, Summary: "it is wrong", NextStep: "make it right"}, nil
}

func pending(context.Context, *gates.Request) (*gates.Verdict, error) {
	return &gates.Verdict{Outcome: gates.Pending, Summary: "not yet", Pending: &gates.Clearance{By: "ada", AskAgain: time.Minute}}, nil
}

func full(context.Context, *gates.Request) (*gates.Verdict, error) {
	limit, baseline := 80.0, 81.5
	return &gates.Verdict{
		Outcome: gates.Warn, Summary: "all there \xff is", NextStep: "look",
		Findings: []gates.Finding{{
			Level: gates.LevelWarning, Rule: "R1", Message: "m\x1b[31mred\x1b[0m\u202e", File: "src/a.ts", Line: 3, Column: 4, Detail: "one\ntwo",
		}, {
			Level: "heavy", Message: "outside", File: "../../etc/passwd", Line: 1,
		}},
		Measurements: []gates.Measurement{{Name: "lines", Value: 79.5, Unit: "%", Limit: &limit, Baseline: &baseline, Better: "higher"}},
		Evidence:     []gates.Evidence{{Name: "junit.xml", Digest: "sha256:" + fmt.Sprintf("%064x", 7)}},
	}, nil
}

// tellDeadline answers whether the context's deadline crossed the wire.
func tellDeadline(ctx context.Context, _ *gates.Request) (*gates.Verdict, error) {
	deadline, has := ctx.Deadline()
	if !has {
		return nil, errors.New("the context has no deadline")
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: time.Until(deadline).Round(time.Second).String()}, nil
}

// slow keeps the contract: it returns when it is told to.
func slow(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	for i := range 1000 {
		request.Progress("step %d", i)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: "done at last"}, nil
}

// echo answers with what it was given, one finding for each thing.
func echo(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	verdict := &gates.Verdict{Outcome: gates.Pass, Summary: "as asked"}
	add := func(rule, message string) {
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelNote, Rule: rule, Message: message})
	}
	for _, report := range request.Reports {
		content, err := os.ReadFile(report.Path)
		add("report "+string(report.Kind), fmt.Sprintf("%s %v", content, err != nil))
		if err == nil {
			add("write", fmt.Sprint(os.WriteFile(report.Path, []byte("forged"), 0o600) == nil))
		}
	}
	for _, stage := range request.Stages {
		content, err := os.ReadFile(stage.Log)
		add("log "+stage.Name, fmt.Sprintf("%s %v", content, err != nil))
	}
	add("secrets", strconv.Itoa(len(request.Secrets)))
	add("run", fmt.Sprintf("%+v", request.Run))
	add("phase", string(request.Phase))
	add("source", request.SourceDir)
	return verdict, nil
}

func readSource(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	content, err := os.ReadFile(request.SourceDir + "/package.json")
	if err != nil {
		return nil, err
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: string(content)}, nil
}

// readHistory answers with what git says of the history, and with what becomes of reading the files that it is told.
func readHistory(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	if request.History == nil {
		return &gates.Verdict{Outcome: gates.Inconclusive, Summary: "no history", NextStep: "grant it"}, nil
	}
	said, err := exec.CommandContext(ctx, "git", "--git-dir="+request.History.Dir, "log", "--format=%s", "--patch").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	verdict := &gates.Verdict{Outcome: gates.Pass, Summary: request.History.Folder, Findings: []gates.Finding{{Level: gates.LevelNote, Message: string(said)}}}
	for path := range strings.Lines(request.Run.App) {
		_, err := os.ReadFile(strings.TrimSpace(path))
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelNote, Message: fmt.Sprintf("read: %v", err == nil)})
	}
	return verdict, nil
}

func leak(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	secret := request.Secrets["TOKEN"]
	request.Progress("the token is %s", secret)
	return &gates.Verdict{
		Outcome: gates.Fail, Summary: "the token is " + secret, NextStep: secret,
		Findings: []gates.Finding{{Level: gates.LevelError, Rule: secret, Message: secret[:3] + "\x00" + secret[3:], File: secret, Detail: secret}},
	}, nil
}

func noisy(context.Context, *gates.Request) (*gates.Verdict, error) {
	for i := range 200_000 {
		fmt.Println("out", i)
		fmt.Fprintln(os.Stderr, "err", i)
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: "said much"}, nil
}

var (
	meeting atomic.Int32
	allMet  = make(chan struct{})
)

// together answers once twenty gates are asked at the same time.
func together(ctx context.Context, _ *gates.Request) (*gates.Verdict, error) {
	if meeting.Add(1) == 20 {
		close(allMet)
	}
	select {
	case <-allMet:
		return &gates.Verdict{Outcome: gates.Pass, Summary: "all are here"}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// longWinded prints a line that is longer than any reader of lines takes.
func longWinded(context.Context, *gates.Request) (*gates.Verdict, error) {
	_, err := fmt.Println(strings.Repeat("and so on, ", 200_000))
	return &gates.Verdict{Outcome: gates.Pass, Summary: "said it in one line"}, err
}
