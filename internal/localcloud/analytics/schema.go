package analytics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func number(n int) string { return strconv.Itoa(n) }

// dataset describes what can be asked of one dataset: Cloudflare's names, as far as something here measures them, and
// those that nothing here can measure, which answer null.
type dataset struct {
	name       string
	zone       bool // below zones, not accounts
	count      bool
	dimensions []string
	// The rest are members of the objects of the same names; those in unmeasured are null.
	sum, max, avg, quantiles []string
	unmeasured               []string
}

// Sources: https://developers.cloudflare.com/analytics/graphql-api/tutorials/querying-workers-metrics/,
// https://developers.cloudflare.com/d1/observability/metrics-analytics/, https://developers.cloudflare.com/queues/observability/metrics/
// and https://developers.cloudflare.com/r2/platform/metrics-analytics/.
var datasets = []dataset{
	{
		name: Invocations, dimensions: []string{"scriptName", "scriptVersion", "status"},
		sum:       []string{"requests", "errors", "subrequests", "clientDisconnects", "cpuTimeUs", "duration", "wallTime", "responseBodySize"},
		max:       []string{"cpuTime", "wallTime"},
		quantiles: []string{"cpuTimeP25", "cpuTimeP50", "cpuTimeP75", "cpuTimeP90", "cpuTimeP95", "cpuTimeP99", "cpuTimeP999", "wallTimeP25", "wallTimeP50", "wallTimeP75", "wallTimeP90", "wallTimeP95", "wallTimeP99", "wallTimeP999"},
		// workerd reports no CPU time and no subrequests to whoever runs it.
		unmeasured: []string{"subrequests", "cpuTimeUs", "cpuTime"},
	},
	{
		name: HTTPRequests, zone: true, count: true, dimensions: []string{"clientRequestHTTPHost", "edgeResponseStatus"},
		sum: []string{"edgeResponseBytes"}, avg: []string{"edgeTimeToFirstByteMs"},
	},
	{name: QueueBacklog, dimensions: []string{"queueId"}, avg: []string{"messages", "bytes"}},
	{
		name: D1Analytics, dimensions: []string{"databaseId"},
		sum: []string{"readQueries", "writeQueries", "rowsRead", "rowsWritten"}, avg: []string{"queryBatchTimeMs"}, quantiles: []string{"queryBatchTimeMsP50", "queryBatchTimeMsP90", "queryBatchTimeMsP95", "queryBatchTimeMsP99"},
	},
	{
		name: D1Queries, count: true, dimensions: []string{"databaseId", "error"},
		sum: []string{"queryDurationMs", "rowsRead", "rowsWritten"}, avg: []string{"queryDurationMs"}, quantiles: []string{"queryDurationMsP50", "queryDurationMsP95", "queryDurationMsP99"},
	},
	{name: D1Storage, dimensions: []string{"databaseId"}, max: []string{"databaseSizeBytes"}},
	{name: R2Storage, dimensions: []string{"bucketName"}, max: []string{"objectCount", "payloadSize", "metadataSize", "uploadCount"}, unmeasured: []string{"metadataSize", "uploadCount"}},
}

// timeDimensions are the moments by which every dataset can be grouped and filtered, and how coarse each is.
var timeDimensions = []string{"date", "datetime", "datetimeMinute", "datetimeFiveMinutes", "datetimeFifteenMinutes", "datetimeHour"}

// limitMost is how many groups one dataset gives at once.
const limitMost = 10000

func (d dataset) typeName() string {
	owner := "Account"
	if d.zone {
		owner = "Zone"
	}
	return owner + strings.ToUpper(d.name[:1]) + d.name[1:]
}

// describe writes the dataset's types in GraphQL's schema language.
func (d dataset) describe() string {
	var b strings.Builder
	object := func(name, scalar string, fields []string) {
		if len(fields) > 0 {
			fmt.Fprintf(&b, "type %s%s {\n  %s: %s\n}\n", d.typeName(), name, strings.Join(fields, ": "+scalar+"\n  "), scalar)
		}
	}
	object("Dimensions", "string", slices.Concat(d.dimensions, timeDimensions))
	object("Sum", "float64", d.sum)
	object("Max", "float64", d.max)
	object("Avg", "float64", slices.Concat(d.avg, []string{"sampleInterval"}))
	object("Quantiles", "float64", d.quantiles)
	fmt.Fprintf(&b, "type %s {\n  dimensions: %[1]sDimensions\n  avg: %[1]sAvg\n", d.typeName())
	if d.count {
		b.WriteString("  count: uint64\n")
	}
	for _, part := range []struct {
		name   string
		fields []string
	}{{"Sum", d.sum}, {"Max", d.max}, {"Quantiles", d.quantiles}} {
		if len(part.fields) > 0 {
			fmt.Fprintf(&b, "  %s: %s%s\n", strings.ToLower(part.name), d.typeName(), part.name)
		}
	}
	fmt.Fprintf(&b, "}\ninput %sFilter_InputObject {\n  AND: [%[1]sFilter_InputObject]\n  OR: [%[1]sFilter_InputObject]\n", d.typeName())
	for _, name := range d.dimensions {
		fmt.Fprintf(&b, "  %s: string\n  %[1]s_neq: string\n  %[1]s_in: [string]\n  %[1]s_notin: [string]\n  %[1]s_like: string\n", name)
		fmt.Fprintf(&b, "  %s_geq: string\n  %[1]s_gt: string\n  %[1]s_leq: string\n  %[1]s_lt: string\n", name)
	}
	for _, name := range timeDimensions {
		fmt.Fprintf(&b, "  %s: Time\n  %[1]s_geq: Time\n  %[1]s_gt: Time\n  %[1]s_leq: Time\n  %[1]s_lt: Time\n", name)
	}
	fmt.Fprintf(&b, "}\nenum %sOrderBy {\n", d.typeName())
	order := slices.Concat(d.dimensions, timeDimensions)
	for _, part := range []struct {
		name   string
		fields []string
	}{{"sum", d.sum}, {"max", d.max}, {"avg", d.avg}, {"quantiles", d.quantiles}} {
		for _, field := range part.fields {
			order = append(order, part.name+"_"+field)
		}
	}
	if d.count {
		order = append(order, "count")
	}
	for _, name := range order {
		fmt.Fprintf(&b, "  %s_ASC\n  %[1]s_DESC\n", name)
	}
	b.WriteString("}\n")
	return b.String()
}

// schema is the description of all that can be asked. It is made when somebody asks: that takes longer than a program should to start.
var schema = sync.OnceValue(func() *ast.Schema {
	var b strings.Builder
	b.WriteString("scalar string\nscalar float64\nscalar uint64\nscalar Time\n" +
		"type Query { viewer: viewer\n cost: uint64 }\ntype viewer {\n" +
		"  accounts(filter: AccountFilter_InputObject, limit: uint64): [account!]\n  zones(filter: ZoneFilter_InputObject, limit: uint64): [zone!]\n}\n" +
		"input AccountFilter_InputObject { accountTag: string }\ninput ZoneFilter_InputObject { zoneTag: string\n zoneTag_in: [string] }\n")
	var account, zone strings.Builder
	for _, d := range datasets {
		to := &account
		if d.zone {
			to = &zone
		}
		fmt.Fprintf(to, "  %s(filter: %sFilter_InputObject, limit: uint64!, orderBy: [%[2]sOrderBy!]): [%[2]s!]!\n", d.name, d.typeName())
		b.WriteString(d.describe())
	}
	b.WriteString("type account {\n  accountTag: string\n" + account.String() + "}\ntype zone {\n  zoneTag: string\n" + zone.String() + "}\n")
	return gqlparser.MustLoadSchema(&ast.Source{Name: "analytics", Input: b.String()})
})
