package cloudflare_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/workerdtest"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// place is an app in a Cloudflare on this machine, with real workerd and a real D1, which the target knows only by its API.
type place struct {
	t       *testing.T
	cloud   *localcloud.Cloud
	folder  string
	options cloudflare.Options
	journal *promotiontest.Journal
	n       int
}

const rowsConfig = `{
	"name": "rows", "main": "worker.js", "compatibility_date": "2026-01-01",
	"d1_databases": [{ "binding": "DB", "database_name": "rows-db", "database_id": "11111111-1111-1111-1111-111111111111" }],
	"version_metadata": { "binding": "VERSION" }
}`

// newPlace starts a Cloudflare of its own ([workerdtest.Binary]).
func newPlace(t *testing.T, config string, environment pipelines.Environment) *place {
	t.Helper()
	workerd := workerdtest.Binary(t)
	cloud, err := localcloud.Start(t.Context(), localcloud.Options{Dir: t.TempDir(), Workerd: workerd})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(t.Context()); err != nil {
			t.Log(err)
		}
	})
	p := &place{t: t, cloud: cloud, folder: t.TempDir(), journal: &promotiontest.Journal{}}
	p.write("wrangler.jsonc", config)
	info := cloud.Info()
	if environment.Name == "" {
		environment.Name = "local"
	}
	environment.Provision = true
	if environment.Smoke.Probes == nil {
		environment.Smoke = pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/", Status: 200}}, Version: pipelines.ProofRequired}
	}
	p.options = cloudflare.Options{
		BaseURL: info.APIURL, Token: info.Token, AccountID: info.AccountID, ConfigFile: "wrangler.jsonc", Environment: environment,
		AppDir: p.folder, BackupDir: filepath.Join(p.folder, ".backups"), Resources: cloudflare.ByName,
		PublicURL: cloud.URL,
	}
	return p
}

func (p *place) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) target() *cloudflare.Target {
	p.t.Helper()
	config, err := wrangler.Load(p.folder)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.options.Worker, err = config.For(""); err != nil {
		p.t.Fatal(err)
	}
	target, err := cloudflare.New(p.options)
	if err != nil {
		p.t.Fatal(err)
	}
	return target
}

// bundleOf is an upload of one module, as wrangler would write it.
func bundleOf(t *testing.T, code string, metadata map[string]any) *bundle.Bundle {
	t.Helper()
	var out bytes.Buffer
	form := multipart.NewWriter(&out)
	part := func(disposition, kind string, content []byte) {
		w, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {kind}})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	part(`form-data; name="metadata"`, "application/json", encoded)
	part(`form-data; name="worker.js"; filename="worker.js"`, "application/javascript+module", []byte(code))
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(&out, "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rowsBundle is code that writes and counts rows of a table.
func rowsBundle(t *testing.T, word, table string) *bundle.Bundle {
	code := fmt.Sprintf(`export default {
	async fetch(request, env) {
		const headers = { "x-version-id": env.VERSION.id };
		if (new URL(request.url).pathname === "/write") await env.DB.prepare("INSERT INTO %[2]s (name) VALUES ('x')").run();
		const row = await env.DB.prepare("SELECT count(*) AS n FROM %[2]s").first();
		return new Response("%[1]s " + row.n, { headers });
	},
};`, word, table)
	return bundleOf(t, code, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01",
		"bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "VERSION", "type": "version_metadata"},
		},
	})
}

func (p *place) promotionOptions(id string) promotion.Options {
	return promotion.Options{Target: p.target(), Journal: p.journal, Prober: probe.HTTP{}, Run: "RUN-" + id, Promotion: id}
}

// promote takes the bundle to its end.
func (p *place) promote(b *bundle.Bundle, want promotion.Phase) promotion.Result {
	p.t.Helper()
	p.n++
	options := p.promotionOptions(fmt.Sprintf("p%d", p.n))
	plan, err := promotion.MakePlan(p.t.Context(), options.Target, promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: b})
	if err != nil {
		p.t.Fatal(err)
	}
	result, err := promotion.Promote(p.t.Context(), options, plan)
	if err != nil || result.Phase != want {
		p.t.Fatalf("%s, %v, %v; want %s", result.Phase, result.Cause, err, want)
	}
	return result
}

func (p *place) get(path string) string {
	p.t.Helper()
	return answered(p.t, p.cloud.URL(p.options.Worker.Name)+path)
}

// answered is the status and the body that an address answers.
func answered(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

func (p *place) past() []promotion.Checkpoint {
	var past []promotion.Checkpoint
	for i := p.n; i > 0; i-- {
		past = append(past, p.journal.Last(fmt.Sprintf("p%d", i)))
	}
	return past
}

func TestARollbackWithRealData(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{Backup: pipelines.BackupExport})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;")
	first := p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	for range 3 {
		p.get("/write")
	}
	time.Sleep(time.Second) // a migrations table knows whole seconds
	p.write("migrations/0002_people.sql", "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people SELECT * FROM users; CREATE TABLE extra (id); DROP TABLE pairs;")
	second := p.promote(rowsBundle(t, "two", "people"), promotion.Completed)

	placed := p.journal.Last("p2")
	if len(placed.Migrations) != 1 || placed.Migrations[0].Breaks == "" || len(placed.Exports) != 1 {
		t.Fatalf("%+v", placed)
	}
	if dump, err := os.ReadFile(placed.Exports[0].File); err != nil || strings.Count(string(dump), "INSERT INTO \"users\"") != 3 {
		t.Errorf("the export: %v\n%s", err, dump)
	}
	p.get("/write")
	if _, err := http.Get(p.cloud.URL("rows")); err != nil {
		t.Fatal(err)
	}
	r, err := promotion.MakeRollback(t.Context(), p.target(), p.past(), "rows", p.options.Environment, "")
	if err != nil {
		t.Fatal(err)
	}
	if r.To.ID != first.Version || len(r.Breaking) != 1 || r.Bookmark != placed.Bookmark {
		t.Fatalf("%+v", r)
	}
	wanted := []promotion.Written{
		{Database: "rows-db", Table: "extra", Uncounted: "there was none of that name then"},
		{Database: "rows-db", Table: "people", Uncounted: "there was none of that name then"},
		{Database: "rows-db", Table: "users"},
	}
	if diff := cmp.Diff(wanted, r.Lost); diff != "" {
		t.Error(diff)
	}
	result, err := promotion.Return(t.Context(), p.promotionOptions("r1"), p.target(), r, promotion.DataRestored)
	if err != nil || result.Phase != promotion.Completed || result.Previous != second.Version {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := p.get("/write"); got != "200 one 4" {
		t.Error(got)
	}
	for moment, why := range map[time.Time]string{
		time.Now().Add(-31 * 24 * time.Hour): "31 days old", time.Now().Add(-24 * time.Hour): "does not know that moment", placed.UpdatedAt: "",
	} {
		if got, err := p.target().BeyondTimeTravel(t.Context(), moment); err != nil || !strings.Contains(got, why) || (why == "") != (got == "") {
			t.Errorf("%s: %q, %v", moment, got, err)
		}
	}
	// A slip of the pen is answered with where the right bookmark stands.
	_, err = p.target().RestoreData(t.Context(), "r2", "nowhere")
	var absent *cloudflare.AbsentError
	if !errors.As(err, &absent) || !strings.Contains(absent.What, "nowhere") || strings.Contains(absent.What, "/client/v4") || !strings.Contains(absent.NextStep, "penstock history RUN") {
		t.Errorf("a bookmark that does not exist: %v", err)
	}
	// What was replaced can be had again.
	if _, err := p.target().RestoreData(t.Context(), "r2", result.Bookmark); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/"); got != "200 one 3" {
		t.Error(got)
	}
}

const countConfig = `{
	"name": "counts", "main": "worker.js", "compatibility_date": "2026-01-01",
	"durable_objects": { "bindings": [%s] },
	"migrations": [%s],
	"version_metadata": { "binding": "VERSION" }
}`

// countBundle is code with one Durable Object class for each name.
func countBundle(t *testing.T, word string, classes ...string) *bundle.Bundle {
	code := "import { DurableObject } from 'cloudflare:workers';\n"
	bindings := []any{map[string]any{"name": "VERSION", "type": "version_metadata"}}
	for _, class := range classes {
		code += "export class " + class + " extends DurableObject { async fetch() { const n = (await this.ctx.storage.get('n') ?? 0) + 1; await this.ctx.storage.put('n', n); return new Response(n); } }\n"
		bindings = append(bindings, map[string]any{"name": strings.ToUpper(class), "type": "durable_object_namespace", "class_name": class})
	}
	code += `export default { async fetch(request, env) {
	const headers = { "x-version-id": env.VERSION.id };
	const binding = env[new URL(request.url).pathname.slice(1)];
	if (!binding) return new Response("` + word + `", { headers });
	return new Response("` + word + ` " + await (await binding.get(binding.idFromName("one")).fetch(request)).text(), { headers });
} };`
	return bundleOf(t, code, map[string]any{"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": bindings})
}

func counting(classes ...string) string {
	var bindings, migrations []string
	for i, class := range classes {
		bindings = append(bindings, fmt.Sprintf(`{ "name": %q, "class_name": %q }`, strings.ToUpper(class), class))
		migrations = append(migrations, fmt.Sprintf(`{ "tag": "v%d", "new_sqlite_classes": [%q] }`, i+1, class))
	}
	return fmt.Sprintf(countConfig, strings.Join(bindings, ", "), strings.Join(migrations, ", "))
}

// A Worker in use gets new classes without missing a request, with its objects' data as it was; what lies before them cannot be
// deployed again, and a version that fails goes back to the old code with the new classes.
func TestNewClassesOfAWorkerInUse(t *testing.T) {
	t.Parallel()
	p := newPlace(t, counting("Counter"), pipelines.Environment{})
	first := p.promote(countBundle(t, "one", "Counter"), promotion.Completed)
	for range 2 {
		p.get("/COUNTER")
	}
	p.write("wrangler.jsonc", counting("Counter", "Room"))
	stop, failed := make(chan struct{}), make(chan int)
	go func() {
		bad := 0
		for {
			select {
			case <-stop:
				failed <- bad
				return
			default:
				if res, err := http.Get(p.cloud.URL("counts") + "/"); err != nil || res.StatusCode != http.StatusOK {
					bad++
				} else {
					_ = res.Body.Close()
				}
			}
		}
	}()
	broken := countBundle(t, "broken", "Counter", "Room")
	broken = bundleOf(t, strings.Replace(string(broken.Modules[0].Body), "if (!binding)", "throw 1; if (!binding)", 1), map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01",
		"bindings": []any{
			map[string]any{"name": "VERSION", "type": "version_metadata"},
			map[string]any{"name": "COUNTER", "type": "durable_object_namespace", "class_name": "Counter"},
			map[string]any{"name": "ROOM", "type": "durable_object_namespace", "class_name": "Room"},
		},
	})
	p.promote(broken, promotion.RolledBack)
	if got := p.get("/COUNTER"); got != "200 one 3" {
		t.Errorf("after the put-back: %s", got)
	}
	p.promote(countBundle(t, "two", "Counter", "Room"), promotion.Completed)
	close(stop)
	if bad := <-failed; bad > 0 {
		t.Errorf("%d requests failed", bad)
	}
	for _, want := range []string{"/COUNTER 200 two 4", "/ROOM 200 two 1"} {
		path, answer, _ := strings.Cut(want, " ")
		if got := p.get(path); got != answer {
			t.Errorf("%s: %s, want %s", path, got, answer)
		}
	}
	r, err := promotion.MakeRollback(t.Context(), p.target(), p.past(), "rows", p.options.Environment, first.Version)
	if err != nil {
		t.Fatal(err)
	}
	result, err := promotion.Return(t.Context(), p.promotionOptions("r1"), p.target(), r, promotion.DataUndecided)
	if err != nil || result.Phase != promotion.Failed || !strings.Contains(result.Cause.Error(), "Durable Object migration") {
		t.Errorf("%+v, %v", result, err)
	}
	if got := p.get("/"); got != "200 two" {
		t.Errorf("after the refused rollback: %s", got)
	}
}
