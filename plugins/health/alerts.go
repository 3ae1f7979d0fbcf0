package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// alertsGate judges the app's own alerts.yml over how the new version fares since it takes traffic.
type alertsGate struct{}

type alertsConfig struct {
	File     string `json:"file"`
	Requests int    `json:"requests"`
}

func (alertsGate) Describe() gates.Description {
	return gates.Description{
		Name:    "alerts",
		Title:   "none of the app's alerts fires while the version takes traffic",
		Phases:  []gates.Phase{gates.PhaseBake},
		Reports: []gates.Report{{Kind: gates.ReportMetrics}},
		Needs:   gates.Needs{Source: true},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"file": {"type": "string", "minLength": 1, "not": {"pattern": "(^/)|\\\\|(^|/)\\.\\.(/|$)"}, "default": "alerts.yml", "description": "where the alerts are, relative to the app's folder"},
				"requests": {"type": "integer", "minimum": 1, "default": 10, "description": "how many requests must have been seen in an alert's time before it can be judged"}
			}
		}`,
	}
}

func (alertsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := alertsConfig{File: "alerts.yml", Requests: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportMetrics)
	if len(reports) == 0 || request.SourceDir == "" {
		return gates.Undecided("report this: penstock gathers the evidence for each gate that names it", "nobody asked how the version fares"), nil
	}
	rules, err := readRules(request.SourceDir, config.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gates.Undecided("write the alerts as the production guide does, or take the gate out of penstock.yaml", "there is no %s", config.File), nil
	case err != nil:
		return notRules(config.File, err), nil
	}
	metrics, err := evidence.ReadMetrics(reports[0].Path)
	if err != nil {
		return nil, err
	}
	since, takes := metrics.Since[request.Run.VersionID]
	if !takes || request.Run.VersionID == "" {
		return gates.Undecided("`penstock status` shows which version takes how much", "since when version %s takes traffic is not known%s", short(request.Run.VersionID), gap(metrics)), nil
	}
	watch := &vigil{metrics: metrics, config: config, since: since, age: metrics.TakenAt.Sub(since)}
	watch.choose(request.Run.VersionID)
	for _, rule := range rules {
		watch.judge(rule)
	}
	return watch.verdict(), nil
}

// notRules is the verdict on a file that cannot be read as alerts: what it asks for cannot be judged.
func notRules(file string, err error) *gates.Verdict {
	verdict := gates.CouldNotAsk("correct the lines that are named", "%s cannot be read: %s", file, strings.ReplaceAll(err.Error(), "\n", "; "))
	problems := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		problems = joined.Unwrap()
	}
	for _, problem := range problems {
		finding := gates.Finding{Level: gates.LevelError, Rule: "unreadable", Message: problem.Error(), File: file}
		var at *ruleError
		if errors.As(problem, &at) {
			finding.Line, finding.Message = at.line, at.what
		}
		verdict.Findings = append(verdict.Findings, finding)
	}
	return verdict
}

func short(id string) string { return id[:min(len(id), 8)] }

// vigil is one judgement of all rules.
type vigil struct {
	metrics evidence.Metrics
	config  alertsConfig
	since   time.Time // the version takes traffic
	age     time.Duration

	series   evidence.Series
	whose    string // "version 7f3c1a2b", or "all versions together" where the account does not tell them apart
	fired    []string
	doubted  []string
	warned   []string
	findings []gates.Finding
	measured []gates.Measurement
}

// choose takes the version's own series; where the account tells no versions apart, that of all.
func (v *vigil) choose(version string) {
	v.whose = "version " + short(version)
	if v.metrics.VersionsState == evidence.Present {
		v.series, _ = v.metrics.Of(version)
		return
	}
	v.series, v.whose = v.metrics.Total, "all versions together"
}

// answer is what one rule came to.
type answerOfRule struct {
	known bool
	fires bool
	value float64 // over the whole of its time
	why   string  // when it is not known
}

// window is the time over which a rule is judged: its duration, or as long as the version takes traffic when that is
// shorter. A version that was bad for all of its short life has met the condition for as long as it could.
func (v *vigil) window(rule rule) (from time.Time, length time.Duration) {
	length = min(rule.duration, v.age)
	return v.metrics.TakenAt.Add(-length), length
}

func (v *vigil) judge(rule rule) {
	from, length := v.window(rule)
	var said answerOfRule
	switch rule.metric {
	case errorRate:
		said = v.errorRate(rule, from)
	case p50Latency, p95Latency, p99Latency:
		said = v.latency(rule, from)
	case memoryUsage:
		said = v.memory(rule, from)
	case databaseErrs:
		said = v.databaseErrors(rule, from)
	case queueBacklog:
		said = v.backlog(rule, from, length)
	}
	v.note(rule, length, said)
}

func (v *vigil) note(rule rule, length time.Duration, said answerOfRule) {
	finding := gates.Finding{File: v.config.File, Line: rule.line, Rule: rule.name, Level: gates.LevelError}
	if !rule.critical {
		finding.Level = gates.LevelWarning
	}
	lasted := gates.Span(length.Round(time.Second))
	switch {
	case !said.known:
		finding.Message = fmt.Sprintf("%s (%s for %s) cannot be judged: %s", rule.name, rule.condition(), gates.Span(rule.duration), said.why)
		if rule.critical {
			v.doubted = append(v.doubted, finding.Message)
		} else {
			v.warned = append(v.warned, finding.Message)
		}
	case said.fires:
		finding.Message = fmt.Sprintf("%s: %s held for %s, it is %s%s", rule.name, rule.condition(), lasted, readable(said.value), units[rule.metric])
		if rule.critical {
			v.fired = append(v.fired, finding.Message)
		} else {
			v.warned = append(v.warned, finding.Message)
		}
	}
	if finding.Message != "" {
		v.findings = append(v.findings, finding)
	}
	if said.known {
		better := "lower"
		if !rule.over {
			better = "higher"
		}
		v.measured = append(v.measured, gates.Measurement{Name: rule.name + ": " + rule.metric, Value: tenth(said.value), Unit: unitWord(rule.metric), Limit: &rule.limit, Better: better})
	}
}

func readable(value float64) string { return fmt.Sprintf("%.4g", value) }

func unitWord(metric string) string {
	if unit := units[metric]; unit != "" {
		return unit
	}
	return "count"
}

func (v *vigil) verdict() *gates.Verdict {
	verdict := &gates.Verdict{Outcome: gates.Pass, Findings: v.findings, Measurements: v.measured}
	switch {
	case len(v.fired) > 0:
		verdict.Outcome, verdict.Summary = gates.Fail, strings.Join(v.fired, "; ")
		verdict.NextStep = "see the Worker's log (`wrangler tail`) for what the new version does that the old one did not"
	case len(v.doubted) > 0:
		verdict.Outcome, verdict.Summary = gates.Inconclusive, strings.Join(v.doubted, "; ")
		verdict.NextStep = "give the environment a longer bake (and stepBake, when it shifts in steps), so that there is traffic to judge by"
	case len(v.warned) > 0:
		verdict.Outcome, verdict.Summary, verdict.NextStep = gates.Warn, strings.Join(v.warned, "; "), "look at it; the version goes on"
	default:
		verdict.Summary = fmt.Sprintf("no alert fires: %s judged over %s of %s", gates.Counted(len(v.measured), "alert"), gates.Span(v.age.Round(time.Second)), v.whose)
	}
	return verdict
}

// slices is into how many parts a rule's time is divided. The condition must hold in each of which anything is known, as an
// alert's evaluations must one after the other: one bad moment is no alert, and neither is what has ended.
const slicesOfWindow = 5

// slice is one part of a rule's time.
type slice[T any] struct {
	points []T
}

// divided puts the points of a time into its parts. Points before it are left out.
func divided[T any](points []T, from, to time.Time, at func(T) (time.Time, time.Time)) []slice[T] {
	parts := make([]slice[T], slicesOfWindow)
	length := to.Sub(from)
	if length <= 0 {
		return parts
	}
	for _, point := range points {
		begin, end := at(point)
		middle := begin.Add(end.Sub(begin) / 2)
		if middle.Before(from) {
			// A point that is longer than the part of it that counts would be judged by what came before.
			continue
		}
		if middle.After(to) {
			middle = to
		}
		i := int(float64(slicesOfWindow) * float64(middle.Sub(from)) / float64(length))
		i = min(i, slicesOfWindow-1)
		parts[i].points = append(parts[i].points, point)
	}
	return parts
}

// invoked are the points of the version's series in each part, and all of them.
func (v *vigil) invoked(from time.Time) (parts []slice[evidence.Point], all []evidence.Point, requests int64) {
	parts = divided(v.series.Points, from, v.metrics.TakenAt, func(p evidence.Point) (time.Time, time.Time) { return p.From, p.To })
	for _, part := range parts {
		for _, point := range part.points {
			all = append(all, point)
			requests += point.Requests
		}
	}
	return parts, all, requests
}

// tooLittle says why the series cannot be judged; "" when it can.
func (v *vigil) tooLittle(requests int64) string {
	switch {
	case v.series.State == evidence.Unknown || (v.metrics.VersionsState != evidence.Present && v.metrics.Total.State != evidence.Present):
		return firstOf(v.series.Reason, v.metrics.Total.Reason, "the analytics do not say how the version fares")
	case requests < int64(v.config.Requests):
		return fmt.Sprintf("%s of %s were seen, %d are wanted", gates.Counted(int(requests), "request"), v.whose, v.config.Requests)
	default:
		return ""
	}
}

// gap is the first thing that kept penstock from asking all; "" when nothing did.
func gap(metrics evidence.Metrics) string {
	if len(metrics.Gaps) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", metrics.Gaps[0].What, metrics.Gaps[0].Reason)
}

func firstOf(texts ...string) string {
	return texts[slices.IndexFunc(texts, func(text string) bool { return text != "" })]
}

// held evaluates a condition part by part. value is asked for each part; ok is false where nothing is known of it.
func held[T any](rule rule, parts []slice[T], value func([]T) (float64, bool)) (fires bool, known int) {
	fires = true
	for _, part := range parts {
		if len(part.points) == 0 {
			continue
		}
		if got, ok := value(part.points); ok {
			known++
			fires = fires && rule.fires(got)
		}
	}
	return fires && known > 0, known
}

func (v *vigil) errorRate(rule rule, from time.Time) answerOfRule {
	parts, all, requests := v.invoked(from)
	rate := func(points []evidence.Point) (float64, bool) {
		var requests, errs int64
		for _, point := range points {
			requests, errs = requests+point.Requests, errs+point.Errors
		}
		return 100 * float64(errs) / float64(max(requests, 1)), requests > 0
	}
	edge := v.edgeErrors(rule, from)
	if why := v.tooLittle(requests); why != "" {
		if edge.known && edge.fires {
			return edge
		}
		return answerOfRule{why: why}
	}
	fires, _ := held(rule, parts, rate)
	value, _ := rate(all)
	if !fires && edge.known && edge.fires {
		return edge
	}
	return answerOfRule{known: true, fires: fires, value: value}
}

// edgeErrors looks at what the hosts answered, whichever version did: an app that catches its errors answers 500, which is no
// failed invocation.
func (v *vigil) edgeErrors(rule rule, from time.Time) answerOfRule {
	var points []evidence.AnswerPoint
	for _, host := range v.metrics.Answers {
		points = append(points, host.Points...)
	}
	parts := divided(points, from, v.metrics.TakenAt, func(p evidence.AnswerPoint) (time.Time, time.Time) { return p.From, p.To })
	rate := func(points []evidence.AnswerPoint) (float64, bool) {
		var requests, failed int64
		for _, point := range points {
			requests, failed = requests+point.Requests, failed+point.Failed
		}
		return 100 * float64(failed) / float64(max(requests, 1)), requests > 0
	}
	var all []evidence.AnswerPoint
	var requests int64
	for _, part := range parts {
		all = append(all, part.points...)
		for _, point := range part.points {
			requests += point.Requests
		}
	}
	if requests < int64(v.config.Requests) {
		return answerOfRule{}
	}
	fires, _ := held(rule, parts, rate)
	value, _ := rate(all)
	return answerOfRule{known: true, fires: fires, value: value}
}

func (v *vigil) latency(rule rule, from time.Time) answerOfRule {
	parts, all, requests := v.invoked(from)
	if why := v.tooLittle(requests); why != "" {
		return answerOfRule{why: why}
	}
	q := map[string]float64{p50Latency: 0.5, p95Latency: 0.95, p99Latency: 0.99}[rule.metric]
	quantile := func(points []evidence.Point) (float64, bool) {
		mixed := mix(points, func(p evidence.Point) *evidence.Quantiles { return p.Wall })
		return mixed.quantile(q), mixed.total > 0
	}
	fires, known := held(rule, parts, quantile)
	if known == 0 {
		return answerOfRule{why: "the analytics do not say how long invocations took"}
	}
	value, _ := quantile(all)
	return answerOfRule{known: true, fires: fires, value: value}
}

func (v *vigil) memory(rule rule, from time.Time) answerOfRule {
	parts, all, requests := v.invoked(from)
	if why := v.tooLittle(requests); why != "" {
		return answerOfRule{why: why}
	}
	used := func(points []evidence.Point) (share float64, ok bool) {
		for _, point := range points {
			if point.Memory == nil {
				continue
			}
			for _, bytes := range []*float64{point.Memory.P99, point.Memory.P95} {
				if bytes != nil {
					share, ok = max(share, 100**bytes/evidence.MemoryLimit), true
					break
				}
			}
		}
		return share, ok
	}
	fires, known := held(rule, parts, used)
	if known == 0 {
		return answerOfRule{why: "the analytics do not say how much memory is used"}
	}
	value, _ := used(all)
	return answerOfRule{known: true, fires: fires, value: value}
}

// databaseErrors counts the queries that failed within the rule's time. The analytics have no entry for a time without
// queries, so that "none" is known only where they are known to come.
func (v *vigil) databaseErrors(rule rule, from time.Time) answerOfRule {
	if len(v.metrics.Databases) == 0 {
		return answerOfRule{why: "the app has no database"}
	}
	failed, queries := int64(0), int64(0)
	for _, database := range v.metrics.Databases {
		if database.State != evidence.Present && database.State != evidence.Missing {
			return answerOfRule{why: firstOf(database.Reason, "the analytics do not say how many queries of "+database.Database+" failed")}
		}
		for _, point := range database.Points {
			if point.From.Before(from.Truncate(time.Second)) || point.Errors == nil {
				continue
			}
			failed, queries = failed+*point.Errors, queries+point.Queries
		}
	}
	_, _, requests := v.invoked(from)
	if why := v.tooLittle(requests); queries == 0 && why != "" {
		return answerOfRule{why: why}
	}
	return answerOfRule{known: true, fires: rule.fires(float64(failed)), value: float64(failed)}
}

// backlog looks at each queue. What waits now is known at once; that it waited for the whole time, only from the points.
func (v *vigil) backlog(rule rule, from time.Time, length time.Duration) answerOfRule {
	if len(v.metrics.Queues) == 0 {
		return answerOfRule{why: "the app has no queue"}
	}
	most := answerOfRule{known: true}
	for _, queue := range v.metrics.Queues {
		said := backlogOf(rule, queue, from, length)
		switch {
		case !said.known:
			return said
		case said.fires && !most.fires, said.fires == most.fires && said.value > most.value:
			most = said
		}
	}
	return most
}

func backlogOf(rule rule, queue evidence.Backlog, from time.Time, length time.Duration) answerOfRule {
	var seen []evidence.BacklogPoint
	for _, point := range queue.Points {
		if !point.To.Before(from) {
			seen = append(seen, point)
		}
	}
	if len(seen) == 0 {
		return answerOfRule{why: firstOf(queue.Reason, "nothing is known of queue "+queue.Queue)}
	}
	last := seen[len(seen)-1]
	if !rule.fires(last.Messages) {
		return answerOfRule{known: true, value: last.Messages} // it does not hold now, so it did not hold all the time
	}
	for _, point := range seen {
		if !rule.fires(point.Messages) {
			return answerOfRule{known: true, value: last.Messages}
		}
	}
	if last.To.Sub(seen[0].From) < length/2 {
		return answerOfRule{why: fmt.Sprintf("%g messages wait in queue %s now; for how long is not known yet", last.Messages, queue.Queue)}
	}
	return answerOfRule{known: true, fires: true, value: last.Messages}
}
