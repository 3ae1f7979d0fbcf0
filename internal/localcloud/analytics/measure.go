package analytics

import "time"

// Datasets, by Cloudflare's names.
const (
	Invocations  = "workersInvocationsAdaptive"
	HTTPRequests = "httpRequestsAdaptiveGroups"
	QueueBacklog = "queueBacklogAdaptiveGroups"
	D1Analytics  = "d1AnalyticsAdaptiveGroups"
	D1Queries    = "d1QueriesAdaptiveGroups"
	D1Storage    = "d1StorageAdaptiveGroups"
	R2Storage    = "r2StorageAdaptiveGroups"
)

// Invocation statuses, by Cloudflare's names.
// Source: https://developers.cloudflare.com/workers/observability/metrics-and-analytics/#invocation-statuses
const (
	Success            = "success"
	ClientDisconnected = "clientDisconnected"
	ThrewException     = "scriptThrewException"
	ExceededResources  = "exceededResources"
	InternalError      = "internalError"
)

// Invocation is one call of a version of a Worker.
type Invocation struct {
	At              time.Time
	Script, Version string
	Status          string // an invocation status
	Duration        time.Duration
	ResponseBytes   int64
}

// Sample counts it. What a Worker answers does not matter: an answer of 500 is a success of the Worker, an exception that
// it does not catch is an error.
func (i Invocation) Sample() Sample {
	errors, gone := 0.0, 0.0
	switch i.Status {
	case Success:
	case ClientDisconnected:
		gone = 1
	default:
		errors = 1
	}
	micros := float64(i.Duration.Microseconds())
	return Sample{
		Dataset: Invocations, At: i.At, Count: 1,
		Dimensions: map[string]string{"scriptName": i.Script, "scriptVersion": i.Version, "status": i.Status},
		Sums: map[string]float64{
			"requests": 1, "errors": errors, "clientDisconnects": gone, "wallTime": micros, "responseBodySize": float64(i.ResponseBytes),
			// Cloudflare's duration is time times 128 MB of memory.
			"duration": i.Duration.Seconds() * 0.128,
		},
		Levels: map[string]Level{"wallTime": measured(micros)},
		Spread: map[string]Histogram{"wallTime": spread(micros)},
	}
}

// Visit is one request for a host of a zone.
type Visit struct {
	At       time.Time
	Zone     string // its ID
	Host     string
	Status   int // of the answer
	Bytes    int64
	Duration time.Duration
}

// Sample counts it.
func (v Visit) Sample() Sample {
	millis := float64(v.Duration) / float64(time.Millisecond)
	return Sample{
		Dataset: HTTPRequests, At: v.At, Count: 1,
		Dimensions: map[string]string{"zoneTag": v.Zone, "clientRequestHTTPHost": v.Host, "edgeResponseStatus": number(v.Status)},
		Sums:       map[string]float64{"edgeResponseBytes": float64(v.Bytes)},
		Levels:     map[string]Level{"edgeTimeToFirstByteMs": measured(millis)},
	}
}

// Backlog is what waits in a queue at a moment.
func Backlog(at time.Time, queue string, messages, bytes int64) Sample {
	return Sample{
		Dataset: QueueBacklog, At: at, Count: 1, Dimensions: map[string]string{"queueId": queue},
		Levels: map[string]Level{"messages": measured(float64(messages)), "bytes": measured(float64(bytes))},
	}
}

// DatabaseQuery is a batch of statements to a D1 database.
type DatabaseQuery struct {
	At                    time.Time
	Database              string
	Reads, Writes         int // statements
	RowsRead, RowsWritten int64
	Duration              time.Duration
	Failed                bool
}

// Samples counts it in both datasets about queries.
func (q DatabaseQuery) Samples() []Sample {
	millis := float64(q.Duration) / float64(time.Millisecond)
	failed := "0"
	if q.Failed {
		failed = "1"
	}
	rows := map[string]float64{"rowsRead": float64(q.RowsRead), "rowsWritten": float64(q.RowsWritten)}
	return []Sample{{
		Dataset: D1Analytics, At: q.At, Count: 1, Dimensions: map[string]string{"databaseId": q.Database},
		Sums: map[string]float64{
			"readQueries": float64(q.Reads), "writeQueries": float64(q.Writes), "rowsRead": rows["rowsRead"], "rowsWritten": rows["rowsWritten"],
		},
		Levels: map[string]Level{"queryBatchTimeMs": measured(millis)},
		Spread: map[string]Histogram{"queryBatchTimeMs": spread(millis)},
	}, {
		Dataset: D1Queries, At: q.At, Count: 1, Dimensions: map[string]string{"databaseId": q.Database, "error": failed},
		Sums:   map[string]float64{"queryDurationMs": millis, "rowsRead": rows["rowsRead"], "rowsWritten": rows["rowsWritten"]},
		Levels: map[string]Level{"queryDurationMs": measured(millis)},
		Spread: map[string]Histogram{"queryDurationMs": spread(millis)},
	}}
}

// DatabaseSize is how large a D1 database is at a moment.
func DatabaseSize(at time.Time, database string, bytes int64) Sample {
	return Sample{
		Dataset: D1Storage, At: at, Count: 1, Dimensions: map[string]string{"databaseId": database},
		Levels: map[string]Level{"databaseSizeBytes": measured(float64(bytes))},
	}
}

// BucketSize is what an R2 bucket holds at a moment.
func BucketSize(at time.Time, bucket string, objects, bytes int64) Sample {
	return Sample{
		Dataset: R2Storage, At: at, Count: 1, Dimensions: map[string]string{"bucketName": bucket},
		Levels: map[string]Level{"objectCount": measured(float64(objects)), "payloadSize": measured(float64(bytes))},
	}
}
