package cloudflare_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/workerdtest"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// put puts a version on a Cloudflare of its own and returns what it answers there.
func (p *place) put(trial *cloudflare.Trial, version cloudflare.TrialVersion, migrated bool) string {
	p.t.Helper()
	cloud, err := localcloud.Start(p.t.Context(), localcloud.Options{Dir: p.t.TempDir(), Workerd: workerdtest.Binary(p.t)})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() {
		if err := cloud.Close(p.t.Context()); err != nil {
			p.t.Error(err)
		}
	}()
	info := cloud.Info()
	up, err := trial.Put(p.t.Context(), cloudflare.Options{BaseURL: info.APIURL, Token: info.Token, AccountID: info.AccountID, PublicURL: cloud.URL}, version, migrated)
	if err != nil {
		return "refused: " + err.Error()
	}
	return strings.TrimSpace(answered(p.t, up.Address.URL+"/write") + ", " + strings.Join(up.StandIns, " "))
}

// TestATrial asks versions on copies of real data, migrated and not, and wants the environment as it was.
func TestATrial(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{})
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	if _, err := p.target().NewTrial(t.TempDir()).Live(t.Context()); !errors.Is(err, cloudflare.ErrNothingLive) {
		t.Errorf("nothing is live: %v", err)
	}
	p.options.Secrets = map[string]string{"KEY": "known"}
	p.promote(rowsBundle(t, "one", "users"), promotion.Completed)
	p.options.Secrets = nil // what is stored cannot be read
	for range 3 {
		p.get("/write")
	}
	p.write("migrations/0002_people.sql", "ALTER TABLE users RENAME TO people;")
	trial := p.target().NewTrial(t.TempDir())
	live, err := trial.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next, err := trial.Next(t.Context(), rowsBundle(t, "two", "people"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tried := range []struct {
		name     string
		version  cloudflare.TrialVersion
		migrated bool
		want     string
	}{
		{"the live version on the data as it is", live, false, "200 one 4"},
		{"the live version after the migrations", live, true, "500"},
		{"the new version after the migrations", next, true, "200 two 4"},
		{"the new version before them", next, false, "500"},
	} {
		if got := p.put(trial, tried.version, tried.migrated); !strings.HasPrefix(got, tried.want) || !strings.HasSuffix(got, ", KEY") {
			t.Errorf("%s: %q, want %q and a stand-in for KEY", tried.name, got, tried.want)
		}
	}
	if got := p.get("/"); got != "200 one 3" {
		t.Errorf("the environment itself: %q", got)
	}
	if left := p.databases(); !slices.Equal(left, []string{"rows-db"}) {
		t.Errorf("databases: %q", left)
	}

	bound := bundleOf(t, `export default { fetch() { return new Response("x") } };`, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "OTHER", "type": "service", "service": "elsewhere"},
		},
	})
	next, err = trial.Next(t.Context(), bound)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.put(trial, next, true); !strings.Contains(got, "refused: binding OTHER: it is of the type service, of which there is no copy") {
		t.Errorf("a Worker that needs another: %q", got)
	}
}
