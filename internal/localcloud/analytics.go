package localcloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/analytics"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) analyticsRoutes() []route {
	return []route{{"POST /graphql", c.graphQL}}
}

// graphQL answers queries about what was measured here; package analytics knows which there are.
func (c *Cloud) graphQL(w http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[analytics.Request](r)
	if err != nil {
		return nil, err
	}
	if err := c.keepMeasured(r.Context()); err != nil {
		return nil, err
	}
	response, err := analytics.Answer(r.Context(), measured{c}, c.identity.AccountID, request, time.Now())
	if err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "application/json")
	// GraphQL has an envelope of its own. Writing fails only when the client has gone.
	_ = json.NewEncoder(w).Encode(response)
	return nil, nil
}

// measured is what was measured as package analytics reads it.
type measured struct{ cloud *Cloud }

func (m measured) Samples(ctx context.Context, dataset string, from, until time.Time) ([]analytics.Sample, error) {
	samples, err := m.cloud.store.Samples(ctx, dataset, from, until)
	if err != nil {
		return nil, err
	}
	now, err := m.cloud.levels(ctx, dataset)
	return append(samples, now...), err
}

func (m measured) Zone(ctx context.Context, id string) (bool, error) {
	_, err := m.cloud.store.Zone(ctx, id)
	return err == nil, ignoreNotFound(err)
}

// levels measures what can be looked at now. They are dated a moment back, so that a query for all until now has them.
func (c *Cloud) levels(ctx context.Context, dataset string) ([]analytics.Sample, error) {
	at := time.Now().Add(-2 * time.Second).Truncate(time.Second)
	var out []analytics.Sample
	switch dataset {
	case analytics.QueueBacklog:
		queues, err := c.store.Queues(ctx)
		if err != nil {
			return nil, err
		}
		for _, queue := range queues {
			backlog, err := c.store.QueueBacklog(ctx, queue.Name)
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, err
			}
			out = append(out, analytics.Backlog(at, queue.ID, backlog.Count, backlog.Bytes))
		}
	case analytics.D1Storage:
		databases, err := c.store.Databases(ctx)
		if err != nil {
			return nil, err
		}
		for _, database := range databases {
			size, err := c.databases.Size(database.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, analytics.DatabaseSize(at, database.ID, size))
		}
	case analytics.R2Storage:
		buckets, err := c.store.Buckets(ctx)
		if err != nil {
			return nil, err
		}
		for _, bucket := range buckets {
			objects, bytes, err := c.store.R2Usage(ctx, bucket.Name)
			if err != nil {
				return nil, err
			}
			out = append(out, analytics.BucketSize(at, bucket.Name, objects, bytes))
		}
	}
	return out, nil
}

// observer counts what the runtime tells, and passes traces on to those who tail.
type observer struct{ cloud *Cloud }

func (o observer) Invocation(i runtime.Invocation) {
	o.cloud.samples.Add(analytics.Invocation{
		At: i.At.Add(i.Duration), Script: i.Script, Version: i.Version, Status: invocationStatus(i), Duration: i.Duration, ResponseBytes: i.Bytes,
	}.Sample())
}

// invocationStatus is Cloudflare's name for how a call ended. One of which workerd told nothing, since its process was
// replaced meanwhile, is judged by its answer.
func invocationStatus(i runtime.Invocation) string {
	switch i.Outcome {
	case "ok":
		return analytics.Success
	case "exception":
		return analytics.ThrewException
	case "canceled", "responseStreamDisconnected":
		return analytics.ClientDisconnected
	case "exceededCpu", "exceededMemory":
		return analytics.ExceededResources
	case "":
		switch {
		case i.ClientGone:
			return analytics.ClientDisconnected
		case i.Status < http.StatusInternalServerError:
			return analytics.Success
		}
	}
	return analytics.InternalError
}

func (o observer) Query(q runtime.Query) { o.cloud.samples.Add(databaseQuery(q).Samples()...) }

// reading is how a statement begins that changes nothing.
var reading = regexp.MustCompile(`(?i)^[\s(]*(select|pragma|explain|values)\b`)

func databaseQuery(q runtime.Query) analytics.DatabaseQuery {
	out := analytics.DatabaseQuery{At: q.At.Add(q.Duration), Database: q.Database, Duration: q.Duration, Failed: q.Failed}
	for _, statement := range q.Statements {
		if reading.MatchString(statement.SQL) {
			out.Reads++
		} else {
			out.Writes++
		}
	}
	for _, result := range q.Results {
		out.RowsRead += result.Meta.RowsRead
		out.RowsWritten += result.Meta.RowsWritten
	}
	return out
}

const (
	// keepEvery is how much of what was measured a killed process may lose.
	keepEvery = time.Second
	// levelEvery is how often levels are looked at.
	levelEvery = 15 * time.Second
	// fineFor is how long samples are kept by the second; later they are merged by minute.
	fineFor = time.Hour
)

// keepMeasured writes down what was measured until now.
func (c *Cloud) keepMeasured(ctx context.Context) error {
	samples := c.samples.Take()
	if len(samples) == 0 {
		return nil
	}
	err := c.store.AddSamples(context.WithoutCancel(ctx), samples)
	if err != nil {
		c.samples.Add(samples...)
	}
	return err
}

// measure writes down what was measured, and looks at levels, until the Cloud closes.
func (c *Cloud) measure() {
	keep, look := time.NewTicker(keepEvery), time.NewTicker(levelEvery)
	defer keep.Stop()
	defer look.Stop()
	for {
		var err error
		select {
		case <-c.stopping.Done():
			return
		case <-keep.C:
			err = c.keepMeasured(c.stopping)
		case <-look.C:
			var samples []analytics.Sample
			if samples, err = c.levels(c.stopping, analytics.QueueBacklog); err == nil {
				c.samples.Add(samples...)
				err = c.store.CompactSamples(c.stopping, time.Now().Add(-fineFor), time.Now().Add(-analytics.Retention))
			}
		}
		if err != nil && c.stopping.Err() == nil {
			c.log.Error("what was measured was not kept", "error", err)
		}
	}
}

// visited counts a request for a host of a zone.
func (c *Cloud) visited(zone store.Zone, host string, status int, bytes int64, began time.Time) {
	c.samples.Add(analytics.Visit{
		At: time.Now(), Zone: zone.ID, Host: strings.ToLower(host), Status: status, Bytes: bytes, Duration: time.Since(began),
	}.Sample())
}
