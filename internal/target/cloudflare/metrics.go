package cloudflare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

const (
	// metricsWindow is how far back is looked: long enough for a baseline, and for an alert that must hold for a while.
	metricsWindow = time.Hour
	// fineWindow is for how long after the last deployment points are seconds rather than minutes: a version is judged in
	// its first minute too. Every second is a group in the answer, and an answer has 10000 of them at most.
	fineWindow = 10 * time.Minute
	maxGroups  = 10000
)

// Metrics asks the account's analytics how the Worker fared in the last hour. It changes nothing.
//
// What cannot be asked is [evidence.Unknown] at its place, with the reason, and a gap. The error is only for a ctx that
// ended.
func (t *Target) Metrics(ctx context.Context) (evidence.Metrics, error) {
	now := time.Now().UTC().Truncate(time.Second)
	m := &metricsLook{target: t, found: evidence.Metrics{
		Header: evidence.Header{TakenAt: now}, Worker: t.Worker.Name, From: now.Add(-metricsWindow).Truncate(time.Minute), To: now.Add(time.Second),
		Versions: []evidence.Series{}, VersionsState: evidence.Unknown, Answers: []evidence.Answers{}, Queues: []evidence.Backlog{},
		Databases: []evidence.DatabaseIO{}, Since: map[string]time.Time{}, Gaps: []evidence.Gap{},
		Total: evidence.Series{State: evidence.Unknown, Points: []evidence.Point{}},
	}}
	m.since(ctx)
	m.invocations(ctx)
	m.answers(ctx)
	m.queues(ctx)
	m.databases(ctx)
	if err := ctx.Err(); err != nil {
		return evidence.Metrics{}, fmt.Errorf("ask how Worker %s fares: %w", t.Worker.Name, context.Cause(ctx))
	}
	return m.found, nil
}

// metricsLook is one look.
type metricsLook struct {
	target *Target
	found  evidence.Metrics
	// fine is from when on points are seconds; the window's end when none are.
	fine time.Time
}

func (m *metricsLook) gap(what string, err error) string {
	m.found.Gaps = append(m.found.Gaps, evidence.Gap{What: what, Reason: err.Error()})
	return err.Error()
}

// since finds out when what takes traffic began to.
func (m *metricsLook) since(ctx context.Context) {
	m.fine = m.found.To
	deployments, err := m.target.api.Deployments(ctx, m.target.Worker.Name)
	if errors.Is(err, api.ErrNotFound) {
		return
	}
	if err != nil {
		m.gap("since when each version takes its traffic", err)
		return
	}
	worker := evidence.Worker{}
	for _, deployment := range deployments {
		divided := evidence.Deployment{At: deployment.CreatedOn}
		for _, share := range shares(deployment) {
			divided.Shares = append(divided.Shares, evidence.Share{Version: share.Version, Percentage: share.Percentage})
		}
		worker.Deployments = append(worker.Deployments, divided)
	}
	if len(worker.Deployments) == 0 {
		return
	}
	for _, share := range worker.Deployments[0].Shares {
		if since, ok := worker.TookTraffic(share.Version); ok {
			m.found.Since[share.Version] = since
			if since = since.Truncate(time.Minute); since.Before(m.fine) && m.found.To.Sub(since) < fineWindow {
				m.fine = since
			}
		}
	}
}

// stretches are the parts of the window, each with the dimension that it is divided by.
func (m *metricsLook) stretches() []stretch {
	var parts []stretch
	if m.found.From.Before(m.fine) {
		parts = append(parts, stretch{m.found.From, m.fine, "datetimeMinute", time.Minute})
	}
	if m.fine.Before(m.found.To) {
		parts = append(parts, stretch{m.fine, m.found.To, "datetime", time.Second})
	}
	return parts
}

type stretch struct {
	from, to  time.Time
	dimension string
	length    time.Duration // of a point
}

// window are the variables of a query about it.
func (s stretch) window(more map[string]any) map[string]any {
	variables := map[string]any{"datetimeStart": s.from.Format(time.RFC3339), "datetimeEnd": s.to.Format(time.RFC3339)}
	maps.Copy(variables, more)
	return variables
}

// group is one group of any dataset; what was not asked for is zero.
type group struct {
	Dimensions map[string]any      `json:"dimensions"`
	Count      float64             `json:"count"`
	Sum        map[string]*float64 `json:"sum"`
	Avg        map[string]*float64 `json:"avg"`
	Quantiles  map[string]*float64 `json:"quantiles"`
}

func (g group) text(dimension string) string {
	switch value := g.Dimensions[dimension].(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		return map[bool]string{true: "1", false: "0"}[value]
	default:
		return ""
	}
}

func (g group) sum(name string) float64 {
	if value := g.Sum[name]; value != nil {
		return *value
	}
	return 0
}

// ask puts a query about one dataset. The query's variables are the window and what more has.
func (m *metricsLook) ask(ctx context.Context, dataset, declared, filter, fields string, part stretch, more map[string]any) ([]group, error) {
	query := fmt.Sprintf(`query Penstock($accountTag: string, $datetimeStart: Time, $datetimeEnd: Time%s) {
  viewer {
    accounts(filter: {accountTag: $accountTag}) {
      %s(limit: %d, filter: {%s, datetime_geq: $datetimeStart, datetime_lt: $datetimeEnd}, orderBy: [%s_ASC]) {
        dimensions { %s }
        %s
      }
    }
  }
}`, declared, dataset, maxGroups, filter, part.dimension, part.dimension+" "+dimensionsOf(dataset), fields)
	var got map[string][]group
	if err := m.target.api.Analytics(ctx, query, part.window(more), &got); err != nil {
		return nil, err
	}
	groups, answered := got[dataset]
	switch {
	case !answered:
		return nil, fmt.Errorf("the analytics did not answer about %s", dataset)
	case len(groups) >= maxGroups:
		return nil, fmt.Errorf("the analytics have more than %d groups of %s; not all of them were seen", maxGroups, dataset)
	}
	return groups, nil
}

// dimensionsOf are those that are asked for besides the time.
func dimensionsOf(dataset string) string {
	return map[string]string{
		datasetInvocations: "scriptVersion", datasetBacklog: "queueId", datasetQueries: "databaseId error",
	}[dataset]
}

// at is when a group's stretch began.
func (g group) at(part stretch) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, g.text(part.dimension))
	if err != nil {
		return time.Time{}, fmt.Errorf("the analytics gave %q as a time", g.text(part.dimension))
	}
	return at.UTC(), nil
}

// The datasets that are asked.
// Sources: https://developers.cloudflare.com/analytics/graphql-api/tutorials/querying-workers-metrics/,
// https://developers.cloudflare.com/queues/observability/metrics/ and
// https://developers.cloudflare.com/d1/observability/metrics-analytics/.
const (
	datasetInvocations = "workersInvocationsAdaptive"
	datasetBacklog     = "queueBacklogAdaptiveGroups"
	datasetQueries     = "d1QueriesAdaptiveGroups"
	datasetRequests    = "httpRequestsAdaptiveGroups" // of a zone
)

const (
	invocationFields = `sum { requests errors }
        avg { sampleInterval }
        quantiles { cpuTimeP50 cpuTimeP75 cpuTimeP99 wallTimeP50 wallTimeP75 wallTimeP99`
	tailFields   = " cpuTimeP95 wallTimeP95"
	memoryFields = " memoryUsageBytesP50 memoryUsageBytesP95 memoryUsageBytesP99"
)

func (m *metricsLook) invocations(ctx context.Context) {
	versions := map[string][]evidence.Point{}
	for _, part := range m.stretches() {
		groups, err := m.invocationGroups(ctx, part)
		for _, group := range groups {
			var point evidence.Point
			if point, err = invocationPoint(group, part); err != nil {
				break
			}
			version := group.text("scriptVersion")
			versions[version] = append(versions[version], point)
		}
		if err != nil {
			reason := m.gap("the invocations of Worker "+m.target.Worker.Name, err)
			m.found.Total.Reason = reason
			return
		}
	}
	m.found.VersionsState = evidence.Present
	m.found.Total.State = evidence.Missing
	totals := map[time.Time]evidence.Point{}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		points := versions[version]
		for _, point := range points {
			totals[point.From] = added(totals[point.From], point)
		}
		if version == "" { // an account, or a time, without versions
			m.found.VersionsState = evidence.Unknown
			continue
		}
		m.found.Versions = append(m.found.Versions, evidence.Series{Version: version, State: evidence.Present, Points: points})
	}
	for _, from := range slices.SortedFunc(maps.Keys(totals), time.Time.Compare) {
		m.found.Total.State = evidence.Present
		m.found.Total.Points = append(m.found.Total.Points, totals[from])
	}
}

// invocationGroups asks for all that Cloudflare's analytics are known to have, and for less where they do not know it: memory
// and the 95th percentile are in no documentation.
func (m *metricsLook) invocationGroups(ctx context.Context, part stretch) ([]group, error) {
	var first error
	for _, fields := range []string{tailFields + memoryFields, tailFields, ""} {
		groups, err := m.ask(ctx, datasetInvocations, ", $scriptName: string", "scriptName: $scriptName", invocationFields+fields+" }", part,
			map[string]any{"scriptName": m.target.Worker.Name})
		if err == nil && first != nil && !slices.ContainsFunc(m.found.Gaps, func(g evidence.Gap) bool { return g.What == gapDetail }) {
			m.gap(gapDetail, first)
		}
		if err == nil || errors.Is(err, api.ErrDenied) || errors.Is(err, promotion.ErrUnreachable) {
			return groups, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

const gapDetail = "all that is asked of each invocation"

func invocationPoint(g group, part stretch) (evidence.Point, error) {
	from, err := g.at(part)
	if err != nil {
		return evidence.Point{}, err
	}
	point := evidence.Point{
		From: from, To: from.Add(part.length), Requests: int64(g.sum("requests")), Errors: int64(g.sum("errors")),
		CPU: g.quantiles("cpuTime", 1000), Wall: g.quantiles("wallTime", 1000), Memory: g.quantiles("memoryUsageBytes", 1),
	}
	if interval := g.Avg["sampleInterval"]; interval != nil {
		point.SampleInterval = *interval
	}
	return point, nil
}

// quantiles reads those of a measure and divides them; Cloudflare's times are in microseconds.
func (g group) quantiles(measure string, divisor float64) *evidence.Quantiles {
	read := func(name string) *float64 {
		value := g.Quantiles[measure+name]
		if value == nil {
			return nil
		}
		return new(*value / divisor)
	}
	quantiles := evidence.Quantiles{P50: read("P50"), P75: read("P75"), P95: read("P95"), P99: read("P99")}
	if quantiles == (evidence.Quantiles{}) {
		return nil
	}
	return &quantiles
}

// added is two points of the same stretch together. Quantiles cannot be added.
func added(a, b evidence.Point) evidence.Point {
	if a.To.IsZero() {
		return b
	}
	return evidence.Point{
		From: a.From, To: a.To, Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors,
		SampleInterval: max(a.SampleInterval, b.SampleInterval),
	}
}

// answers asks the zones of the Worker's routes what their edge answered.
func (m *metricsLook) answers(ctx context.Context) {
	s := &survey{target: m.target}
	seen := map[string]bool{}
	for _, route := range m.target.Worker.AllRoutes() {
		host := routeHost(route.Pattern)
		if seen[host] {
			continue
		}
		seen[host] = true
		found := evidence.Answers{Host: host, State: evidence.Unknown, Points: []evidence.AnswerPoint{}}
		zone, err := s.findZone(ctx, route)
		switch {
		case err == nil && zone.ID == "":
			found.State = evidence.Missing
		case err == nil:
			found.Points, err = m.answersOf(ctx, zone.ID, host)
			if found.State = evidence.Present; len(found.Points) == 0 {
				found.State = evidence.Missing
			}
		}
		if err != nil {
			found.State, found.Reason = evidence.Unknown, m.gap("what "+host+" answered", err)
		}
		m.found.Answers = append(m.found.Answers, found)
	}
}

func (m *metricsLook) answersOf(ctx context.Context, zone, host string) ([]evidence.AnswerPoint, error) {
	points := []evidence.AnswerPoint{}
	for _, part := range m.stretches() {
		query := fmt.Sprintf(`query Penstock($zoneTag: string, $host: string, $datetimeStart: Time, $datetimeEnd: Time) {
  viewer {
    zones(filter: {zoneTag: $zoneTag}) {
      %s(limit: %d, filter: {clientRequestHTTPHost: $host, datetime_geq: $datetimeStart, datetime_lt: $datetimeEnd}, orderBy: [%[3]s_ASC]) {
        dimensions { %[3]s edgeResponseStatus }
        count
      }
    }
  }
}`, datasetRequests, maxGroups, part.dimension)
		var got map[string][]group
		if err := m.target.api.ZoneAnalytics(ctx, query, part.window(map[string]any{"zoneTag": zone, "host": host}), &got); err != nil {
			return points, err
		}
		if _, answered := got[datasetRequests]; !answered {
			return points, fmt.Errorf("the analytics did not answer about %s", datasetRequests)
		}
		if len(got[datasetRequests]) >= maxGroups {
			return points, fmt.Errorf("the analytics have more than %d groups of %s; not all of them were seen", maxGroups, datasetRequests)
		}
		for _, group := range got[datasetRequests] {
			from, err := group.at(part)
			if err != nil {
				return points, err
			}
			if len(points) == 0 || !points[len(points)-1].From.Equal(from) {
				points = append(points, evidence.AnswerPoint{From: from, To: from.Add(part.length)})
			}
			last := &points[len(points)-1]
			last.Requests += int64(group.Count)
			if status, err := strconv.Atoi(group.text("edgeResponseStatus")); err == nil && status >= 500 {
				last.Failed += int64(group.Count)
			}
		}
	}
	return points, nil
}

// queues asks how much waits in the queues that the Worker uses: over time, and now.
func (m *metricsLook) queues(ctx context.Context) {
	ids, err := m.target.queues(ctx)
	for _, name := range m.target.queueNames() {
		found := evidence.Backlog{Queue: name, State: evidence.Missing, Points: []evidence.BacklogPoint{}}
		switch {
		case err != nil:
			found.State, found.Reason = evidence.Unknown, m.gap("the backlog of queue "+name, err)
		case ids[name] != "":
			m.backlog(ctx, ids[name], &found)
		}
		m.found.Queues = append(m.found.Queues, found)
	}
}

func (m *metricsLook) backlog(ctx context.Context, id string, found *evidence.Backlog) {
	var problem error
	for _, part := range m.stretches() {
		part.dimension, part.length = "datetimeMinute", time.Minute // what waits is measured a few times a minute
		groups, err := m.ask(ctx, datasetBacklog, ", $queueId: string", "queueId: $queueId", "avg { messages bytes }", part, map[string]any{"queueId": id})
		problem = errors.Join(problem, err)
		for _, group := range groups {
			from, err := group.at(part)
			if problem = errors.Join(problem, err); err != nil || group.Avg["messages"] == nil {
				continue
			}
			point := evidence.BacklogPoint{From: from, To: from.Add(part.length), Messages: *group.Avg["messages"]}
			if bytes := group.Avg["bytes"]; bytes != nil {
				point.Bytes = *bytes
			}
			found.Points = append(found.Points, point)
		}
	}
	now, err := m.target.api.Backlog(ctx, id)
	if err == nil {
		found.Points = append(found.Points, evidence.BacklogPoint{From: m.found.TakenAt, To: m.found.TakenAt, Messages: now.Messages, Bytes: now.Bytes})
	}
	if len(found.Points) > 0 {
		found.State = evidence.Present
	}
	if problem = errors.Join(problem, err); problem != nil {
		found.Reason = m.gap("the backlog of queue "+found.Queue, problem)
		if len(found.Points) == 0 {
			found.State = evidence.Unknown
		}
	}
}

// databases asks how many queries failed.
func (m *metricsLook) databases(ctx context.Context) {
	for _, database := range m.target.Worker.D1Databases {
		name := m.target.databaseName(database)
		found := evidence.DatabaseIO{Database: name, State: evidence.Missing, Points: []evidence.DatabasePoint{}}
		id, err := m.target.findDatabase(ctx, database)
		if err == nil && id != "" {
			found.Points, err = m.queriesOf(ctx, id)
			if len(found.Points) > 0 {
				found.State = evidence.Present
			}
		}
		if err != nil {
			found.State, found.Reason = evidence.Unknown, m.gap("the queries of D1 database "+name, err)
		}
		m.found.Databases = append(m.found.Databases, found)
	}
}

func (m *metricsLook) queriesOf(ctx context.Context, id string) ([]evidence.DatabasePoint, error) {
	points := map[time.Time]evidence.DatabasePoint{}
	for _, part := range m.stretches() {
		groups, err := m.ask(ctx, datasetQueries, ", $databaseId: string", "databaseId: $databaseId", "count", part, map[string]any{"databaseId": id})
		if err != nil {
			return nil, err
		}
		for _, group := range groups {
			from, err := group.at(part)
			if err != nil {
				return nil, err
			}
			point := points[from]
			if point.Errors == nil {
				point = evidence.DatabasePoint{From: from, To: from.Add(part.length), Errors: new(int64)}
			}
			point.Queries += int64(group.Count)
			if failed := group.text("error"); failed != "" && failed != "0" {
				*point.Errors += int64(group.Count)
			}
			points[from] = point
		}
	}
	return slices.SortedFunc(maps.Values(points), func(a, b evidence.DatabasePoint) int { return cmp.Compare(a.From.UnixNano(), b.From.UnixNano()) }), nil
}
