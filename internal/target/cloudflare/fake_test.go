package cloudflare

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testAccount = "0123456789abcdef0123456789abcdef"
	testToken   = "token-for-tests"
)

// fake is a Cloudflare account in memory, as far as the target sees one. It is written from Cloudflare's documentation and
// what wrangler was seen to send, and shares nothing with package localcloud.
type fake struct {
	t   *testing.T
	url string

	mu           sync.Mutex
	calls        []string // "METHOD path" of every request, without the account
	faults       []*fault
	uploads      []upload // of versions, as they came in
	placeholder  string   // code of the PUT
	exists       bool
	migrationTag string
	versions     []map[string]any // newest first
	deployments  []map[string]any // newest first
	stale        int              // that many deployment lists still show the one before
	secrets      []string
	databases    []map[string]any
	namespaces   []map[string]any
	buckets      []string
	queues       []map[string]any
	consumers    map[string][]map[string]any
	crons        []string
	settings     json.RawMessage
	zones        []map[string]any
	routes       []map[string]any
	tables       []string
	rows         []string // names in the migrations table
	executed     []string // SQL that changed something
	export       map[string]any
	observed     observed
}

// fault is something that goes wrong with a call.
type fault struct {
	call  string // regular expression over "METHOD path"
	kind  string // lost: done, and the connection cut; unavailable: 503, not done; ratelimit: 429, not done; denied; refused: success false
	times int    // how often
	skip  int    // how many calls go well first
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, consumers: map[string][]map[string]any{}, zones: []map[string]any{{"id": "zone-1", "name": "example.com"}}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL + "/client/v4"
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+testToken {
		f.fail(w, 401, 10000, "Authentication error")
		return
	}
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/client/v4"), "/accounts/"+testAccount)
	call := r.Method + " " + path
	f.calls = append(f.calls, call)
	fault := f.fault(call)
	switch fault {
	case "unavailable":
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html>no envelope</html>")
	case "ratelimit":
		w.Header().Set("Retry-After", "0.01")
		f.fail(w, 429, 971, "Please wait and consider throttling your request speed")
	case "banned":
		w.Header().Set("Retry-After", "300")
		f.fail(w, 429, 971, "Please wait and consider throttling your request speed")
	case "denied":
		f.fail(w, 403, 10000, "Authentication error")
	case "refused":
		f.fail(w, 200, 1234, "it did not work")
	case "nonsense":
		_, _ = io.WriteString(w, `{"hello":"I am a proxy"}`)
	case "lost":
		f.answer(httptest.NewRecorder(), r, call, path, body)
		panic(http.ErrAbortHandler)
	default:
		f.answer(w, r, call, path, body)
	}
}

func (f *fake) fault(call string) string {
	for _, fault := range f.faults {
		if fault.times > 0 && regexp.MustCompile("^"+fault.call+"$").MatchString(call) {
			if fault.skip > 0 {
				fault.skip--
				continue
			}
			fault.times--
			return fault.kind
		}
	}
	return ""
}

func (f *fake) fail(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "errors": []any{map[string]any{"code": code, "message": message}}, "messages": []any{}, "result": nil})
}

func (f *fake) ok(w http.ResponseWriter, result any) {
	w.Header().Set("Content-Type", "text/plain") // JSON often comes so
	_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result})
}

// page answers a list that is served in pages.
func (f *fake) page(w http.ResponseWriter, r *http.Request, list []map[string]any) {
	page, size := 1, 20
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	_, _ = fmt.Sscan(r.URL.Query().Get("per_page"), &size)
	from := min((page-1)*size, len(list))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"success": true, "errors": []any{}, "messages": []any{}, "result": list[from:min(from+size, len(list))],
		"result_info": map[string]any{"page": page, "per_page": size, "total_count": len(list)},
	})
}

const scriptPath = "/workers/scripts/fixture"

func (f *fake) answer(w http.ResponseWriter, r *http.Request, call, path string, body []byte) {
	var sent map[string]any
	_ = json.Unmarshal(body, &sent)
	if f.observe(w, r, call, path, body) {
		return
	}
	if strings.HasPrefix(path, scriptPath+"/") && !f.exists {
		f.fail(w, 404, 10007, "workers.api.error.script_not_found")
		return
	}
	switch {
	case call == "GET /workers/scripts":
		list := []any{}
		if f.exists {
			list = append(list, map[string]any{"id": "fixture", "migration_tag": f.migrationTag})
		}
		f.ok(w, list)
	case call == "PUT "+scriptPath:
		f.put(w, r, body)
	case call == "GET "+scriptPath+"/versions":
		f.ok(w, map[string]any{"items": f.versions})
	case call == "POST "+scriptPath+"/versions":
		f.createVersion(w, r, body)
	case strings.HasPrefix(call, "GET "+scriptPath+"/versions/"):
		for _, version := range f.versions {
			if version["id"] == strings.TrimPrefix(path, scriptPath+"/versions/") {
				f.ok(w, version)
				return
			}
		}
		f.fail(w, 404, 10007, "no such version")
	case call == "GET "+scriptPath+"/deployments":
		shown := f.deployments
		if f.stale > 0 && len(shown) > 1 {
			f.stale--
			shown = shown[1:]
		}
		f.ok(w, map[string]any{"deployments": shown})
	case call == "POST "+scriptPath+"/deployments":
		f.deployments = append([]map[string]any{sent}, f.deployments...)
		f.ok(w, sent)
	case call == "GET "+scriptPath+"/secrets":
		list := []any{}
		for _, name := range f.secrets {
			list = append(list, map[string]any{"name": name, "type": "secret_text"})
		}
		f.ok(w, list)
	case call == "GET "+scriptPath+"/schedules":
		list := []any{}
		for _, cron := range f.crons {
			list = append(list, map[string]any{"cron": cron})
		}
		f.ok(w, map[string]any{"schedules": list})
	case call == "PUT "+scriptPath+"/schedules":
		f.crons = nil
		var schedules []struct{ Cron string }
		_ = json.Unmarshal(body, &schedules)
		for _, schedule := range schedules {
			f.crons = append(f.crons, schedule.Cron)
		}
		f.ok(w, map[string]any{"schedules": schedules})
	case call == "PATCH "+scriptPath+"/script-settings":
		f.settings = body
		f.ok(w, sent)
	case call == "GET "+scriptPath+"/subdomain":
		f.ok(w, map[string]any{"enabled": false})
	case call == "POST "+scriptPath+"/subdomain":
		f.ok(w, sent)
	case call == "GET /workers/subdomain":
		f.ok(w, map[string]any{"subdomain": "anna"})
	case call == "GET /d1/database":
		f.page(w, r, f.databases)
	case call == "POST /d1/database":
		f.databases = append(f.databases, map[string]any{"uuid": fmt.Sprintf("db-%d", len(f.databases)), "name": sent["name"]})
		f.ok(w, f.databases[len(f.databases)-1])
	case strings.HasSuffix(call, "/time_travel/bookmark"):
		f.ok(w, map[string]any{"bookmark": fmt.Sprintf("bookmark-%d", len(f.executed))})
	case strings.HasSuffix(call, "/export"):
		f.ok(w, f.export)
	case strings.HasSuffix(call, "/query"):
		f.query(w, sent["sql"].(string))
	case call == "GET /storage/kv/namespaces":
		f.page(w, r, f.namespaces)
	case call == "POST /storage/kv/namespaces":
		f.namespaces = append(f.namespaces, map[string]any{"id": fmt.Sprintf("kv-%d", len(f.namespaces)), "title": sent["title"]})
		f.ok(w, f.namespaces[len(f.namespaces)-1])
	case strings.HasPrefix(call, "GET /r2/buckets/"):
		if !slices.Contains(f.buckets, strings.TrimPrefix(path, "/r2/buckets/")) {
			f.fail(w, 404, 10006, "The specified bucket does not exist.")
			return
		}
		f.ok(w, map[string]any{"name": "x"})
	case call == "POST /r2/buckets":
		f.buckets = append(f.buckets, sent["name"].(string))
		f.ok(w, sent)
	case call == "GET /queues":
		f.page(w, r, f.queues)
	case call == "POST /queues":
		f.queues = append(f.queues, map[string]any{"queue_id": fmt.Sprintf("q-%d", len(f.queues)), "queue_name": sent["queue_name"]})
		f.ok(w, f.queues[len(f.queues)-1])
	case strings.HasPrefix(path, "/queues/"):
		f.consumer(w, r, strings.Split(path, "/"), sent)
	case call == "GET /zones":
		f.ok(w, slices.DeleteFunc(slices.Clone(f.zones), func(z map[string]any) bool { return z["name"] != r.URL.Query().Get("name") }))
	case call == "GET /zones/zone-1/workers/routes":
		f.ok(w, f.routes)
	case call == "POST /zones/zone-1/workers/routes":
		f.routes = append(f.routes, sent)
		f.ok(w, sent)
	default:
		f.t.Errorf("the fake does not know %s", call)
		f.fail(w, 404, 7003, "Could not route to "+path)
	}
}

func (f *fake) consumer(w http.ResponseWriter, r *http.Request, parts []string, sent map[string]any) {
	queue := parts[2]
	switch r.Method {
	case http.MethodGet:
		f.ok(w, f.consumers[queue])
	case http.MethodPost:
		sent["consumer_id"] = fmt.Sprintf("c-%d", len(f.consumers[queue]))
		sent["service"] = sent["script_name"] // the older name, which is all that some answers have
		delete(sent, "script_name")
		f.consumers[queue] = append(f.consumers[queue], sent)
		f.ok(w, sent)
	case http.MethodPut:
		for i, consumer := range f.consumers[queue] {
			if consumer["consumer_id"] == parts[4] {
				sent["consumer_id"] = parts[4]
				f.consumers[queue][i] = sent
			}
		}
		f.ok(w, sent)
	}
}

// multipart reads an upload as Cloudflare does: one JSON part "metadata", modules by name.
func (f *fake) multipart(r *http.Request, body []byte) (u upload, modules map[string]string, ok bool) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return upload{}, nil, false
	}
	modules = map[string]string{}
	reader := multipart.NewReader(strings.NewReader(string(body)), params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err != nil {
			break
		}
		content, _ := io.ReadAll(part)
		if part.FormName() != "metadata" {
			modules[part.FormName()] = string(content)
			continue
		}
		if json.Unmarshal(content, &u.rest) != nil || json.Unmarshal(u.rest["bindings"], &u.bindings) != nil {
			return upload{}, nil, false
		}
	}
	var main string
	_ = json.Unmarshal(u.rest["main_module"], &main)
	_, found := modules[main]
	return u, modules, found
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, body []byte) {
	u, modules, ok := f.multipart(r, body)
	if !ok {
		f.fail(w, 400, 10021, "bad metadata")
		return
	}
	f.exists = true
	f.placeholder = modules["placeholder.js"]
	var migrations struct {
		NewTag string `json:"new_tag"`
	}
	_ = json.Unmarshal(u.rest["migrations"], &migrations)
	f.migrationTag = migrations.NewTag
	version := f.addVersion(u)
	f.deployments = append([]map[string]any{{"versions": []any{map[string]any{"version_id": version["id"], "percentage": 100}}}}, f.deployments...)
	f.ok(w, map[string]any{"id": "fixture", "deployment_id": version["id"]})
}

func (f *fake) createVersion(w http.ResponseWriter, r *http.Request, body []byte) {
	u, _, ok := f.multipart(r, body)
	if !ok || r.URL.Query().Get("bindings_inherit") != "strict" {
		f.fail(w, 400, 10021, "bad metadata")
		return
	}
	if _, has := u.rest["migrations"]; has {
		f.fail(w, 400, 10211, "migrations cannot go through versions")
		return
	}
	f.uploads = append(f.uploads, u)
	f.ok(w, f.addVersion(u))
}

func (f *fake) addVersion(u upload) map[string]any {
	number := len(f.versions) + 1
	bindings := []binding{}
	for _, b := range u.bindings {
		stored := binding{}
		for key, value := range b {
			if b.text("type") != "secret_text" || key != "text" {
				stored[key] = value
			}
		}
		bindings = append(bindings, stored)
	}
	version := map[string]any{
		"id": fmt.Sprintf("%08d-0000-4000-8000-000000000000", number), "number": number,
		"metadata":    map[string]any{"created_on": time.Date(2026, 11, 22, 12, 0, number, 0, time.UTC)},
		"annotations": u.rest["annotations"],
		"resources": map[string]any{
			"bindings": bindings,
			"script_runtime": map[string]any{
				"compatibility_date": u.rest["compatibility_date"], "compatibility_flags": u.rest["compatibility_flags"],
			},
		},
	}
	f.versions = append([]map[string]any{version}, f.versions...)
	return version
}

var (
	creates = regexp.MustCompile(`CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
	inserts = regexp.MustCompile(`INSERT (?:OR IGNORE )?INTO d1_migrations \(name\) VALUES \('((?:[^']|'')*)'\)`)
	marked  = regexp.MustCompile(`AS (c[0-9]+)`)
	renames = regexp.MustCompile(`UPDATE d1_migrations SET name = '([^']*)' WHERE name = '([^']*)'`)
)

// query is as much of a database as the migrations need. SQL with BOOM in it fails, with SILENT it fails without a word.
func (f *fake) query(w http.ResponseWriter, sql string) {
	rows := func(names []string) {
		list := []any{}
		for _, name := range names {
			list = append(list, map[string]any{"name": name})
		}
		f.ok(w, []any{map[string]any{"success": true, "results": list, "meta": map[string]any{}}})
	}
	hasTable := slices.Contains(f.tables, "d1_migrations")
	switch {
	case strings.Contains(sql, "FROM sqlite_master"):
		rows(f.tables)
	case strings.Contains(sql, "max(_rowid_)"):
		row := map[string]any{}
		for _, match := range marked.FindAllStringSubmatch(sql, -1) {
			row[match[1]] = 7
		}
		f.ok(w, []any{map[string]any{"success": true, "results": []any{row}}})
	case strings.HasPrefix(sql, "SELECT name FROM d1_migrations") && !hasTable:
		f.fail(w, 400, 7500, "no such table: d1_migrations: SQLITE_ERROR")
	case strings.HasPrefix(sql, "SELECT name FROM d1_migrations WHERE name = "):
		name := strings.Trim(strings.TrimPrefix(sql, "SELECT name FROM d1_migrations WHERE name = "), "'")
		if slices.Contains(f.rows, name) {
			rows([]string{name})
			return
		}
		rows(nil)
	case strings.HasPrefix(sql, "SELECT name FROM d1_migrations"):
		rows(f.rows)
	case strings.Contains(sql, "BOOM"):
		f.fail(w, 400, 7500, `near "BOOM": syntax error at offset 0: SQLITE_ERROR`)
	case strings.Contains(sql, "SILENT"):
		f.ok(w, []any{map[string]any{"success": true, "results": []any{}}, map[string]any{"success": false, "results": []any{}}})
	default:
		f.executed = append(f.executed, sql)
		for _, match := range creates.FindAllStringSubmatch(sql, -1) {
			if !slices.Contains(f.tables, match[1]) {
				f.tables = append(f.tables, match[1])
			}
		}
		for _, match := range inserts.FindAllStringSubmatch(sql, -1) {
			if !slices.Contains(f.rows, match[1]) {
				f.rows = append(f.rows, match[1])
			}
		}
		for _, match := range renames.FindAllStringSubmatch(sql, -1) {
			if i := slices.Index(f.rows, match[2]); i >= 0 {
				f.rows[i] = match[1]
			}
		}
		rows(nil)
	}
}

// count is how often a call was made.
func (f *fake) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, made := range f.calls {
		if regexp.MustCompile("^" + call + "$").MatchString(made) {
			n++
		}
	}
	return n
}
