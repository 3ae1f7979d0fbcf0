package cloudflare_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

var notice = cloudflare.Notice{Message: "Back at <14:00>.", RetryAfter: time.Minute}

// at asks the edge for a name, as a browser would whose DNS leads there.
func (p *place) at(host, path string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.cloud.Info().EdgeURL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(body)
	if res.StatusCode == http.StatusServiceUnavailable && strings.Contains(text, "Back at &#60;14:00&#62;.") && res.Header.Get("Retry-After") == "60" {
		return "maintenance"
	}
	return fmt.Sprintf("%d %s", res.StatusCode, text)
}

// refusesRollback: a rollback would end the maintenance, or could not be smoked beneath it.
func (p *place) refusesRollback() {
	p.t.Helper()
	r, err := promotion.MakeRollback(p.t.Context(), p.target(), p.past(), "rows", p.options.Environment, "")
	if !p.saysMaintenance(err) {
		p.t.Errorf("%+v", r)
	}
}

// saysMaintenance wants an answer that names the way out of a maintenance.
func (p *place) saysMaintenance(err error) bool {
	p.t.Helper()
	maintained, ok := errors.AsType[*promotion.MaintenanceError](err)
	ok = ok && strings.Contains(maintained.NextStep(), "`penstock maintenance off --env "+p.options.Environment.Name+"`")
	if !ok {
		p.t.Error(err)
	}
	return ok
}

func TestMaintenanceByRoutesAndDomains(t *testing.T) {
	t.Parallel()
	p := newPlace(t, strings.Replace(rowsConfig, `"version_metadata"`, `"routes": [
		{ "pattern": "guide.example.com/*", "zone_name": "example.com" }, { "pattern": "app.example.com", "custom_domain": true, "zone_name": "example.com" }
	], "version_metadata"`, 1), pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	zone := struct{ Result []struct{ ID string } }{}
	if err := json.Unmarshal(p.call("GET", "/zones?name=example.com", "", nil), &zone); err != nil || len(zone.Result) != 1 {
		t.Fatal(err)
	}
	// A route that somebody made by hand goes and comes with the others; one of another Worker's stays.
	p.call("POST", "/zones/"+zone.Result[0].ID+"/workers/routes", "application/json", []byte(`{"pattern":"old.example.com/*","script":"rows"}`))
	routes := func() string { return string(p.call("GET", "/zones/"+zone.Result[0].ID+"/workers/routes", "", nil)) }
	domains := func() string { return string(p.call("GET", "/accounts/ACCOUNT/workers/domains", "", nil)) }
	before, attached := routes(), domains()

	p.options.PublicURL = nil // on Cloudflare people come by routes and domains
	for range 2 {             // twice is once
		on, err := p.target().Suspend(t.Context(), "m1", notice)
		if err != nil || len(on.Routes) != 2 || len(on.Domains) != 1 || on.Version != "" {
			t.Fatalf("%+v, %v", on, err)
		}
	}
	for _, host := range []string{"guide.example.com", "app.example.com", "old.example.com"} {
		if got := p.at(host, "/"); got != "maintenance" {
			t.Errorf("%s: %s", host, got)
		}
	}
	// A promotion meets the page and says so.
	_, err := promotion.MakePlan(t.Context(), p.target(), promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: rowsBundle(t, "two", "users")})
	p.saysMaintenance(err)
	p.refusesRollback()
	was, err := p.target().Resume(t.Context())
	if err != nil || !was.On() {
		t.Fatalf("%+v, %v", was, err)
	}
	if diff := cmp.Diff(before, routes()); diff != "" {
		t.Errorf("the routes are not what they were: %s", diff)
	}
	if diff := cmp.Diff(attached, domains()); diff != "" {
		t.Errorf("the domains are not what they were: %s", diff)
	}
	if got := p.at("guide.example.com", "/"); got != "200 one 0" {
		t.Error(got)
	}
	if now, err := p.target().Maintenance(t.Context()); err != nil || now.On() {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestMaintenanceOfAWorkerByItsOwnAddress(t *testing.T) {
	t.Parallel()
	p := newPlace(t, counting("Counter"), pipelines.Environment{})
	p.promote(countBundle(t, "one", "Counter"), promotion.Completed)
	p.get("/COUNTER")
	live, err := p.target().Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	on, err := p.target().Suspend(t.Context(), "m1", notice)
	if err != nil || on.Version == "" || len(on.Before) != 1 || on.Before[0] != live.Shares[0] {
		t.Fatalf("%+v, %v", on, err)
	}
	if got := p.get("/COUNTER"); !strings.HasPrefix(got, "503") {
		t.Error(got)
	}
	_, err = promotion.MakePlan(t.Context(), p.target(), promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: countBundle(t, "two", "Counter")})
	p.saysMaintenance(err)
	if _, err := p.target().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/COUNTER"); got != "200 one 2" {
		t.Error(got)
	}
	now, err := p.target().Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live.Shares, now.Shares); diff != "" {
		t.Error(diff)
	}
}

func TestAReadOnlyDatabaseRefusesEveryWrite(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE "odd ""name" (a, b, PRIMARY KEY (a)) WITHOUT ROWID;
INSERT INTO "odd ""name" VALUES (1, 2); CREATE VIRTUAL TABLE docs USING fts5(text); CREATE TABLE docs_history (a); CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT 1; END;`)
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	p.get("/write")
	var databases struct{ Result []struct{ UUID string } }
	if err := json.Unmarshal(p.call("GET", "/accounts/ACCOUNT/d1/database", "", nil), &databases); err != nil || len(databases.Result) != 1 {
		t.Fatal(err)
	}
	refused := func(sql string) bool {
		info := p.cloud.Info()
		body, err := json.Marshal(map[string]string{"sql": sql})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, info.APIURL+"/accounts/"+info.AccountID+"/d1/database/"+databases.Result[0].UUID+"/query", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+info.Token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		said, err := io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusBadRequest && strings.Contains(string(said), "closed for today")
	}
	for range 2 {
		unprotected, err := p.target().Lock(t.Context(), "closed for today")
		if diff := cmp.Diff([]string{"rows-db.docs"}, unprotected); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	}
	for _, sql := range []string{
		"INSERT INTO users (name) VALUES ('x')", "INSERT OR REPLACE INTO users (id, name) VALUES (1, 'x')", "INSERT OR IGNORE INTO users (id) VALUES (9)",
		"REPLACE INTO users (id) VALUES (1)", "UPDATE users SET name = 'y'", "UPDATE OR IGNORE users SET name = 'y'", "DELETE FROM users", `DELETE FROM "odd ""name"`,
		"INSERT INTO users (id) VALUES (1) ON CONFLICT DO UPDATE SET name = 'z'", "INSERT INTO d1_migrations (name) VALUES ('x')",
		"INSERT INTO docs_history VALUES (1)", // no shadow table of docs, although its name begins like one
	} {
		if !refused(sql) {
			t.Errorf("it was not refused: %s", sql)
		}
	}
	if got := p.get("/"); got != "200 one 1" {
		t.Error(got)
	}
	if now, err := p.target().Maintenance(t.Context()); err != nil || len(now.Tables) != 4 {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := p.target().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/write"); got != "200 one 2" {
		t.Error(got)
	}
	if triggers := string(p.call("POST", "/accounts/ACCOUNT/d1/database/"+databases.Result[0].UUID+"/query", "application/json", []byte(`{"sql":"SELECT name FROM sqlite_master WHERE type = 'trigger'"}`))); strings.Contains(triggers, "penstock_") || !strings.Contains(triggers, "mine") {
		t.Errorf("what is left: %s", triggers)
	}
}

// A success that changes nothing would leave people at work on an app that is believed to be out of service.
func TestNothingThatCouldBeTakenOutOfServiceIsAnError(t *testing.T) {
	t.Parallel()
	p := newPlace(t, strings.Replace(secretConfig, `"version_metadata"`, `"routes": [{ "pattern": "guide.example.com/*", "zone_name": "example.com" }], "version_metadata"`, 1), pipelines.Environment{})
	if on, err := func() (cloudflare.Maintenance, error) {
		p.options.PublicURL = nil
		return p.target().Suspend(t.Context(), "m1", notice)
	}(); err == nil || on.On() || !strings.Contains(err.Error(), "secretive") {
		t.Errorf("%+v, %v", on, err)
	}
	if _, err := p.target().Lock(t.Context(), "closed"); err == nil || !strings.Contains(err.Error(), "no table") {
		t.Error(err)
	}
}

// A secret that is put makes a deployment of its own, which would not say any more what was live before the maintenance.
func TestNoSecretIsPutWhileTheMaintenanceVersionIsLive(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{})
	p.promote(secretBundle(t, "one"), promotion.Completed)
	if _, err := p.target().Suspend(t.Context(), "m1", notice); err != nil {
		t.Fatal(err)
	}
	_, err := p.target().PutSecret(t.Context(), "s1", "TOKEN", "first")
	if _, ok := errors.AsType[*promotion.MaintenanceError](err); !ok {
		t.Error(err)
	}
	if was, err := p.target().Resume(t.Context()); err != nil || !was.On() {
		t.Errorf("%+v, %v", was, err)
	}
	if got := p.get("/"); got != "200 one undefined undefined" {
		t.Error(got)
	}
}

// A maintenance version takes up a secret that waits. What was live comes back from there as it was, and the secret goes on waiting.
func TestMaintenanceWhileASecretWaits(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{Secrets: []string{"TOKEN"}})
	p.options.Secrets = map[string]string{"TOKEN": "first"}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	p.options.Secrets = nil
	if _, err := p.target().Upload(t.Context(), "u1", secretBundle(t, "two")); err != nil { // newer than what is live
		t.Fatal(err)
	}
	if put, err := p.target().PutSecret(t.Context(), "s1", "TOKEN", "second"); err != nil || put.Deployed {
		t.Fatal(put, err)
	}
	if on, err := p.target().Suspend(t.Context(), "m1", notice); err != nil || on.Version == "" {
		t.Fatalf("%+v, %v", on, err)
	}
	if _, err := p.target().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/"); got != "200 one first undefined" {
		t.Error(got)
	}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	if got := p.get("/"); got != "200 one second undefined" {
		t.Error(got)
	}
}

// Every new version takes its secrets from the newest one, which after a maintenance is the maintenance version.
func TestSecretsOutliveAMaintenance(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{Secrets: []string{"TOKEN"}})
	p.options.Secrets = map[string]string{"TOKEN": "first"}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	p.options.Secrets = nil
	if _, err := p.target().Suspend(t.Context(), "m1", notice); err != nil {
		t.Fatal(err)
	}
	if names, err := p.target().SecretNames(t.Context()); err != nil || len(names) != 1 || !names[0].Present {
		t.Errorf("in the maintenance: %+v, %v", names, err)
	}
	if _, err := p.target().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.promote(secretBundle(t, "two"), promotion.Completed)
	if got := p.get("/"); got != "200 two first undefined" {
		t.Error(got)
	}
}
