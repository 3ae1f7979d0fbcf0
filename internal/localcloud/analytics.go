package localcloud

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

func (c *Cloud) analyticsRoutes() []route {
	return []route{{"POST /graphql", c.graphQL}}
}

// graphQL answers one query: workersInvocationsAdaptive of one script, a group per version. It reads the variables, not
// the query's text: scriptName, and datetimeStart or datetime_geq. Other datasets are answered with no data, as Cloudflare
// answers for a resource that nobody used.
// Source: https://developers.cloudflare.com/analytics/graphql-api/tutorials/querying-workers-metrics/
func (c *Cloud) graphQL(w http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}](r)
	if err != nil {
		return nil, err
	}
	account := map[string]any{}
	if strings.Contains(request.Query, "workersInvocationsAdaptive") {
		account["workersInvocationsAdaptive"] = c.invocations(request.Variables)
	}
	w.Header().Set("Content-Type", "application/json")
	// GraphQL has an envelope of its own. Writing fails only when the client has gone.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"data": map[string]any{"viewer": map[string]any{"accounts": []any{account}}}, "errors": nil,
	})
	return nil, nil
}

func (c *Cloud) invocations(variables map[string]any) []map[string]any {
	text := func(names ...string) string {
		for _, name := range names {
			if value, isText := variables[name].(string); isText {
				return value
			}
		}
		return ""
	}
	script := text("scriptName", "script")
	since, _ := time.Parse(time.RFC3339, text("datetimeStart", "datetime_geq", "since")) // absent: from the beginning
	groups := []map[string]any{}
	for _, version := range c.workers.StatsSince(script, since) {
		if version.Requests == 0 {
			continue
		}
		micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
		groups = append(groups, map[string]any{
			"dimensions": map[string]any{"scriptName": script, "scriptVersion": version.VersionID, "status": "success"},
			"sum":        map[string]any{"requests": version.Requests, "errors": version.Errors, "subrequests": 0, "duration": version.Duration.Seconds()},
			"quantiles":  map[string]any{"wallTimeP50": micros(version.P50), "wallTimeP99": micros(version.P99)}, // CPU time is not measured
		})
	}
	return groups
}
