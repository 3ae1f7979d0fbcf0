package cloudflare

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// observed is what the fake account has to show to whoever only looks.
type observed struct {
	classes      []map[string]any
	indexes      map[string]map[string]any
	bucketPublic bool
	paused       bool
	domains      []map[string]any
	packs        []map[string]any
	backlog      float64
	// groups are the analytics by dataset; refuses is a field that they do not know.
	groups  map[string][]map[string]any
	refuses string
	silent  string // dataset about which the answer says nothing
	queries []string
}

var datasetAsked = regexp.MustCompile(`(\w+Adaptive\w*)\(`)

// observe answers the calls of a survey; false when it is another call.
func (f *fake) observe(w http.ResponseWriter, r *http.Request, call, path string, body []byte) bool {
	o := &f.observed
	switch {
	case call == "GET /workers/durable_objects/namespaces":
		f.page(w, r, o.classes)
	case strings.HasPrefix(call, "GET /vectorize/v2/indexes/"):
		name, info := strings.CutSuffix(strings.TrimPrefix(path, "/vectorize/v2/indexes/"), "/info")
		index, found := o.indexes[name]
		switch {
		case !found:
			f.fail(w, 404, 3000, "vectorize.index.not_found")
		case info:
			f.ok(w, map[string]any{"vectorCount": 7})
		default:
			f.ok(w, index)
		}
	case strings.HasSuffix(call, "/domains/managed"):
		f.ok(w, map[string]any{"domain": "pub-1.r2.dev", "enabled": o.bucketPublic})
	case strings.HasSuffix(call, "/domains/custom"):
		f.ok(w, map[string]any{"domains": []any{map[string]any{"domain": "off.example.com", "enabled": false}}})
	case r.Method == http.MethodGet && strings.HasSuffix(call, "/metrics"):
		f.ok(w, map[string]any{"backlog_count": o.backlog, "backlog_bytes": 10 * o.backlog})
	case r.Method == http.MethodGet && regexp.MustCompile(`^/queues/[^/]+$`).MatchString(path):
		f.ok(w, map[string]any{"settings": map[string]any{"delivery_paused": o.paused}})
	case call == "GET /workers/domains":
		f.ok(w, slices.DeleteFunc(slices.Clone(o.domains), func(d map[string]any) bool { return d["hostname"] != r.URL.Query().Get("hostname") }))
	case call == "GET /zones/zone-1/ssl/certificate_packs":
		f.page(w, r, o.packs)
	case call == "POST /graphql":
		f.graphql(w, body)
	default:
		return false
	}
	return true
}

func (f *fake) graphql(w http.ResponseWriter, body []byte) {
	var asked struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		f.t.Error(err)
	}
	f.observed.queries = append(f.observed.queries, fmt.Sprintf("%s %v", asked.Query, asked.Variables))
	refuse := func(code, message string) {
		_ = json.NewEncoder(w).Encode(map[string]any{"data": nil, "errors": []any{map[string]any{"message": message, "extensions": map[string]any{"code": code}}}})
	}
	dataset := datasetAsked.FindStringSubmatch(asked.Query)[1]
	if f.observed.silent == dataset {
		owner := map[bool]string{true: "zones", false: "accounts"}[strings.Contains(asked.Query, "zones(")]
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"viewer": map[string]any{owner: []any{map[string]any{}}}}, "errors": nil})
		return
	}
	if f.observed.refuses == dataset {
		refuse("authz", "account does not have access to the path")
		return
	}
	if f.observed.refuses != "" && strings.Contains(asked.Query, f.observed.refuses) {
		refuse("", "unknown field \""+f.observed.refuses+"\"")
		return
	}
	// What lies in the stretch that is asked for, with the time under the dimension that is asked for.
	groups := []any{}
	for _, group := range f.observed.groups[dataset] {
		at := group["at"].(string)
		if at < asked.Variables["datetimeStart"].(string) || at >= asked.Variables["datetimeEnd"].(string) {
			continue
		}
		dimensions := map[string]any{"datetime": at, "datetimeMinute": at[:len(at)-3] + "00Z"}
		for name, value := range group["dimensions"].(map[string]any) {
			dimensions[name] = value
		}
		shown := map[string]any{"dimensions": dimensions}
		for _, part := range []string{"sum", "avg", "quantiles", "count"} {
			if value, has := group[part]; has && strings.Contains(asked.Query, part) {
				shown[part] = value
			}
		}
		groups = append(groups, shown)
	}
	owner := "accounts"
	if strings.Contains(asked.Query, "zones(") {
		owner = "zones"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"viewer": map[string]any{owner: []any{map[string]any{dataset: groups}}}}, "errors": nil})
}
