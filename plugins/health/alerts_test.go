package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	oldVersion = "0ld00000-0000-4000-8000-000000000000"
	newVersion = "new00000-0000-4000-8000-000000000000"
)

// guideAlerts are the guide's, word for word.
const guideAlerts = `# alerts.yml - Configure in monitoring service
alerts:
  - name: High Error Rate
    condition: error_rate > 5%
    duration: 5m
    severity: critical

  - name: High Latency
    condition: p95_latency > 1000ms
    duration: 5m
    severity: warning

  - name: Database Connection Issues
    condition: db_connection_errors > 10
    duration: 2m
    severity: critical

  - name: Memory Usage High
    condition: memory_usage > 90%
    duration: 10m
    severity: warning

  - name: Queue Backlog
    condition: queue_backlog > 1000
    duration: 5m
    severity: warning
`

// traffic is a minute of a version at one request a second, told second by second.
type traffic struct {
	seconds   int
	fails     func(second int) bool // nil: never
	wall      float64               // ms
	memory    float64               // bytes; 0: not measured
	requests  int64                 // a second
	untilThen time.Duration         // before the evidence was taken
}

func (tr traffic) points() []evidence.Point {
	var points []evidence.Point
	for second := range tr.seconds {
		from := noon.Add(-tr.untilThen - time.Duration(tr.seconds-second)*time.Second)
		point := evidence.Point{From: from, To: from.Add(time.Second), Requests: max(tr.requests, 1), Wall: &evidence.Quantiles{P50: &tr.wall, P95: &tr.wall, P99: &tr.wall}}
		if tr.fails != nil && tr.fails(second) {
			point.Errors = point.Requests
		}
		if tr.memory > 0 {
			point.Memory = &evidence.Quantiles{P95: &tr.memory, P99: &tr.memory}
		}
		points = append(points, point)
	}
	return points
}

// well is a version that took traffic a minute ago and fares well.
func well() traffic { return traffic{seconds: 60, wall: 100, memory: 30 << 20} }

// faring is a bake of the new version with the app's alerts.
func faring(t *testing.T, alerts string, fresh traffic, change func(*evidence.Metrics)) gates.Request {
	t.Helper()
	since := noon.Add(-fresh.untilThen - time.Duration(fresh.seconds)*time.Second)
	none := int64(0)
	metrics := evidence.Metrics{
		Header: evidence.Header{TakenAt: noon}, Worker: "guide", From: noon.Add(-time.Hour), To: noon, VersionsState: evidence.Present,
		Versions: []evidence.Series{
			{Version: newVersion, State: evidence.Present, Points: fresh.points()},
			{Version: oldVersion, State: evidence.Present, Points: traffic{seconds: 600, wall: 100}.points()},
		},
		Total:     evidence.Series{State: evidence.Present},
		Queues:    []evidence.Backlog{{Queue: "jobs", State: evidence.Present, Points: []evidence.BacklogPoint{{From: noon, To: noon, Messages: 3}}}},
		Databases: []evidence.DatabaseIO{{Database: "db", State: evidence.Present, Points: []evidence.DatabasePoint{{From: noon.Add(-30 * time.Second), To: noon, Queries: 100, Errors: &none}}}},
		Since:     map[string]time.Time{oldVersion: noon.Add(-24 * time.Hour), newVersion: since},
	}
	if change != nil {
		change(&metrics)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "metrics.json")
	if err := evidence.Write(path, metrics); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(folder, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if alerts != "" {
		if err := os.WriteFile(filepath.Join(source, "alerts.yml"), []byte(alerts), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return gates.Request{
		Phase: gates.PhaseBake, Run: gates.Run{VersionID: newVersion}, SourceDir: source,
		Reports: []gates.Report{{Kind: gates.ReportMetrics, Path: path}},
	}
}

func TestAlerts(t *testing.T) {
	always := func(int) bool { return true }
	failing := func(fails func(int) bool) traffic {
		tr := well()
		tr.fails = fails
		return tr
	}
	slow := well()
	slow.wall = 1500
	heavy := well()
	heavy.memory = 125 << 20
	young := traffic{seconds: 3, wall: 100, fails: always}
	busy := traffic{seconds: 3, wall: 100, requests: 20, fails: always}
	waiting := func(messages ...float64) func(*evidence.Metrics) {
		return func(m *evidence.Metrics) {
			m.Queues[0].Points = nil
			for i, count := range messages {
				at := noon.Add(-time.Duration(len(messages)-1-i) * 20 * time.Second)
				m.Queues[0].Points = append(m.Queues[0].Points, evidence.BacklogPoint{From: at, To: at, Messages: count})
			}
		}
	}
	databaseErrors := func(count int64) func(*evidence.Metrics) {
		return func(m *evidence.Metrics) { m.Databases[0].Points[0].Errors = &count }
	}
	gatetest.Try(t, alertsGate{}, []gatetest.Case{
		{Name: "well", Request: faring(t, guideAlerts, well(), nil), Want: gates.Pass, Check: gatetest.All(gatetest.Says("no alert fires: 5 alerts judged over 1 m of version new00000"), gatetest.Measures("High Latency: p95_latency", 100))},
		{Name: "every request fails", Request: faring(t, guideAlerts, failing(always), nil), Want: gates.Fail, Check: gatetest.All(
			gatetest.Says("High Error Rate: error_rate > 5% held for 1 m, it is 100%"),
			func(t *testing.T, v gates.Verdict) {
				if f := v.Findings[0]; f.File != "alerts.yml" || f.Line != 3 || f.Level != gates.LevelError {
					t.Errorf("%+v", f)
				}
			})},
		{Name: "one in ten fails all the time", Request: faring(t, guideAlerts, failing(func(s int) bool { return s%10 == 0 }), nil), Want: gates.Fail},
		{Name: "one in thirty fails", Request: faring(t, guideAlerts, failing(func(s int) bool { return s%30 == 0 }), nil), Want: gates.Pass},
		{Name: "failed, and does so no more", Request: faring(t, guideAlerts, failing(func(s int) bool { return s < 40 }), nil), Want: gates.Pass},
		{Name: "one bad moment", Request: faring(t, guideAlerts, failing(func(s int) bool { return s > 20 && s < 30 }), nil), Want: gates.Pass},
		{Name: "fails since a moment ago", Request: faring(t, guideAlerts, failing(func(s int) bool { return s > 50 }), nil), Want: gates.Pass},
		{Name: "too young to be judged", Request: faring(t, guideAlerts, young, nil), Want: gates.Inconclusive, Check: gatetest.Says("3 requests of version new00000 were seen, 10 are wanted")},
		{Name: "young and asked often", Request: faring(t, guideAlerts, busy, nil), Want: gates.Fail, Check: gatetest.Says("held for 3 s")},
		{Name: "fewer will do", Config: `{"requests": 3}`, Request: faring(t, guideAlerts, young, nil), Want: gates.Fail},
		{Name: "slow", Request: faring(t, guideAlerts, slow, nil), Want: gates.Warn, Check: gatetest.Says("High Latency: p95_latency > 1000ms held for 1 m, it is 1500ms")},
		{Name: "slow, and it is critical", Request: faring(t, "alerts: [{name: Slow, condition: p95_latency > 1s, duration: 1m, severity: critical}]", slow, nil), Want: gates.Fail},
		{Name: "memory", Request: faring(t, guideAlerts, heavy, nil), Want: gates.Warn, Check: gatetest.Says("Memory Usage High: memory_usage > 90% held for 1 m, it is 97.66%")},
		{Name: "memory is not measured", Request: faring(t, guideAlerts, traffic{seconds: 60, wall: 100}, nil), Want: gates.Warn, Check: gatetest.Says("do not say how much memory is used")},
		{Name: "queries fail", Request: faring(t, guideAlerts, well(), databaseErrors(11)), Want: gates.Fail, Check: gatetest.Says("Database Connection Issues: db_connection_errors > 10")},
		{Name: "few queries fail", Request: faring(t, guideAlerts, well(), databaseErrors(10)), Want: gates.Pass},
		{Name: "databases cannot be asked", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			m.Databases[0] = evidence.DatabaseIO{Database: "db", State: evidence.Unknown, Reason: "403"}
		}), Want: gates.Inconclusive, Check: gatetest.Says("403")},
		{Name: "messages pile up", Request: faring(t, guideAlerts, well(), waiting(1500, 2000, 2500)), Want: gates.Warn, Check: gatetest.Says("Queue Backlog: queue_backlog > 1000 held for 1 m, it is 2500")},
		{Name: "messages were fewer", Request: faring(t, guideAlerts, well(), waiting(900, 2000, 2500)), Want: gates.Pass},
		{Name: "many messages, for how long is not known", Request: faring(t, guideAlerts, well(), waiting(2500)), Want: gates.Warn, Check: gatetest.Says("for how long is not known yet")},
		{Name: "the old version's errors are not its own", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			m.Versions[1].Points = traffic{seconds: 600, wall: 100, fails: always}.points()
		}), Want: gates.Pass},
		{Name: "errors that the app answers itself", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			points := []evidence.AnswerPoint{}
			for second := range 60 {
				at := noon.Add(-time.Duration(60-second) * time.Second)
				points = append(points, evidence.AnswerPoint{From: at, To: at.Add(time.Second), Requests: 10, Failed: 1})
			}
			m.Answers = []evidence.Answers{{Host: "guide.example.com", State: evidence.Present, Points: points}}
		}), Want: gates.Fail, Check: gatetest.Says("error_rate > 5% held for 1 m, it is 10%")},
		{Name: "no traffic", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) { m.Versions = m.Versions[1:] }), Want: gates.Inconclusive, Check: gatetest.Says("0 requests of version new00000 were seen")},
		{Name: "analytics cannot be asked", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			m.Versions, m.VersionsState, m.Total = nil, evidence.Unknown, evidence.Series{State: evidence.Unknown, Reason: "the token may not"}
		}), Want: gates.Inconclusive, Check: gatetest.Says("the token may not")},
		{Name: "takes no traffic", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) { delete(m.Since, newVersion) }), Want: gates.Inconclusive, Check: gatetest.Says("since when version new00000 takes traffic is not known")},
		{Name: "no alerts.yml", Request: faring(t, "", well(), nil), Want: gates.Inconclusive, Check: gatetest.Says("there is no alerts.yml")},
		{Name: "versions are not told apart", Request: faring(t, guideAlerts, well(), func(m *evidence.Metrics) {
			m.Total.Points, m.Versions, m.VersionsState = failing(always).points(), nil, evidence.Unknown
		}), Want: gates.Fail, Check: gatetest.Says("100%")},
	})
}

// TestAlertsThatCannotBeRead: whatever is not understood blocks, and is named with its line.
func TestAlertsThatCannotBeRead(t *testing.T) {
	var cases []gatetest.Case
	for says, text := range map[string]string{
		`alerts.yml:3: the condition "cpu_load > 5" is about "cpu_load"`: "alerts:\n  - name: A\n    condition: cpu_load > 5\n    duration: 5m\n    severity: critical\n",
		`alerts.yml:4: "soon" is no duration`:                            "alerts:\n  - name: A\n    condition: error_rate > 5%\n    duration: soon\n    severity: critical\n",
		`alerts.yml:5: the severity "loud" is unknown`:                   "alerts:\n  - name: A\n    condition: error_rate > 5%\n    duration: 5m\n    severity: loud\n",
		`alerts.yml:3: the condition "error_rate > 5ms": error_rate has`: "alerts:\n  - name: A\n    condition: error_rate > 5ms\n    duration: 5m\n    severity: critical\n",
		`alerts.yml:3: the condition "many errors" is not of the form`:   "alerts:\n  - name: A\n    condition: many errors\n    duration: 5m\n    severity: critical\n",
		`alerts.yml:6: the key "unless" is unknown`:                      "alerts:\n  - name: A\n    condition: error_rate > 5%\n    duration: 5m\n    severity: critical\n    unless: never\n",
		`alerts.yml:2: the alert "A" has no duration`:                    "alerts:\n  - name: A\n    condition: error_rate > 5%\n    severity: critical\n",
		`alerts.yml:1: there is no list "alerts"`:                        "rules: []\n",
		`alerts.yml:2: `:                    "alerts:\n\t- x\n",
		`alerts.yml:2: an alert has a name`: "alerts:\n  - just words\n",
	} {
		cases = append(cases, gatetest.Case{Name: says, Request: faring(t, text, well(), nil), Want: gates.Error, Check: gatetest.Says(says)})
	}
	gatetest.Try(t, alertsGate{}, cases)
}

// TestMixture compares what is made of quantiles with what is known of the values.
func TestMixture(t *testing.T) {
	t.Parallel()
	wall := func(p evidence.Point) *evidence.Quantiles { return p.Wall }
	var single []evidence.Point
	for i := range 100 {
		value := float64(i + 1)
		single = append(single, evidence.Point{Requests: 1, Wall: &evidence.Quantiles{P50: &value, P95: &value, P99: &value}})
	}
	if got := mix(single, wall).quantile(0.95); got < 94 || got > 96 {
		t.Errorf("the 95th percentile of 1…100 is %g", got)
	}
	p50, p95, p99 := 10.0, 50.0, 90.0
	whole := []evidence.Point{{Requests: 1000, Wall: &evidence.Quantiles{P50: &p50, P95: &p95, P99: &p99}}, {Requests: 5}}
	for q, want := range map[float64]float64{0.5: 10, 0.95: 50, 0.99: 90} {
		if got := mix(whole, wall).quantile(q); got != want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	if low, high, known := mix(whole, wall).tail(); low > 50 || high < 50 || !known {
		t.Errorf("%g to %g, %v", low, high, known)
	}
	if _, _, known := mix(single[:10], wall).tail(); known {
		t.Error("ten requests say nothing of the 95th percentile")
	}
}
