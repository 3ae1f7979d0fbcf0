package cloudflare_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// writer is a client that writes rows all the time and keeps account of what it was told.
type writer struct {
	stop   chan struct{}
	done   sync.WaitGroup
	mu     sync.Mutex
	acked  int
	failed []string
	seen   map[string]int
}

func (p *place) startWriter() *writer {
	w := &writer{stop: make(chan struct{}), seen: map[string]int{}}
	url := p.cloud.URL(p.options.Worker.Name) + "/write"
	for range 3 {
		w.done.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
					w.write(url)
				}
			}
		})
	}
	return w
}

func (w *writer) write(url string) {
	res, err := http.Get(url)
	text := []byte{}
	if err == nil {
		text, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
	}
	word, _, _ := strings.Cut(string(text), " ")
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = append(w.failed, err.Error())
		return
	}
	w.acked++
	w.seen[word]++
}

func (w *writer) end() { close(w.stop); w.done.Wait() }

// TestStory promotes with a migration in the middle while a client writes all the time: nothing is lost and nothing fails, in
// shifting, in a rollback. A version that breaks under real traffic
// at 10 % is put back by itself in its bake.
func TestStory(t *testing.T) {
	t.Parallel()
	p := newPlace(t, rowsConfig, pipelines.Environment{Backup: pipelines.BackupExport, Steps: []float64{10, 50, 100}, StepBake: 400 * time.Millisecond, Bake: 300 * time.Millisecond})
	record, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	options := func() promotion.Options {
		p.n++
		id := fmt.Sprintf("p%d", p.n)
		target := p.target()
		cloudflare.Hurry(target)
		return promotion.Options{Target: target, Journal: record, Prober: probe.HTTP{}, Watcher: probe.HTTP{Patience: 300 * time.Millisecond, Settle: time.Millisecond}, Run: "RUN-" + id, Promotion: id, BakeInterval: 20 * time.Millisecond, Settle: 50 * time.Millisecond}
	}
	promote := func(code string, want promotion.Phase) promotion.Result {
		t.Helper()
		o := options()
		b := bundleOf(t, code, map[string]any{"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"}, map[string]any{"name": "VERSION", "type": "version_metadata"},
		}})
		plan, err := promotion.MakePlan(t.Context(), o.Target, promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: b})
		if err != nil {
			t.Fatal(err)
		}
		result, err := promotion.Promote(t.Context(), o, plan)
		if err != nil || result.Phase != want {
			t.Fatalf("%s (%v), %v; want %s", result.Phase, result.Cause, err, want)
		}
		return result
	}
	code := func(word string) string { return string(rowsBundle(t, word, "users").Modules[0].Body) }

	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);")
	first := promote(code("one"), promotion.Completed)
	client := p.startWriter()

	p.write("migrations/0002_nick.sql", "ALTER TABLE users ADD COLUMN nick TEXT; CREATE INDEX by_nick ON users(nick); CREATE TABLE logins (id INTEGER PRIMARY KEY, user INTEGER);")
	promote(strings.Replace(code("two"), "(name) VALUES ('x')", "(name, nick) VALUES ('x', 'y')", 1), promotion.Completed)

	past, err := record.Past(t.Context(), "rows", "local")
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	back, err := promotion.MakeRollback(t.Context(), o.Target.(promotion.Rewinder), past, "rows", p.options.Environment, "")
	if err != nil || len(back.Since) != 1 || len(back.Breaking) != 0 {
		t.Fatalf("%+v, %v", back, err)
	}
	if returned, err := promotion.Return(t.Context(), o, o.Target.(promotion.Rewinder), back, promotion.DataUndecided); err != nil || returned.Version != first.Version {
		t.Fatalf("%+v, %v", returned, err)
	}
	third := promote(code("three"), promotion.Completed)
	client.end()
	if len(client.failed) > 0 {
		t.Errorf("%d requests failed: %v", len(client.failed), client.failed[:min(3, len(client.failed))])
	}
	for _, word := range []string{"one", "two", "three"} {
		if client.seen[word] == 0 {
			t.Errorf("version %s answered nobody: %v", word, client.seen)
		}
	}
	if got := p.get("/"); got != fmt.Sprintf("200 three %d", client.acked) {
		t.Errorf("%d rows were told to be written, and there are %s", client.acked, got)
	}
	t.Logf("%d rows written, by version: %v", client.acked, client.seen)

	// It passes every smoke, and breaks under the load of real people.
	client = p.startWriter()
	breaks := "let n = 0;\n" + strings.Replace(code("four"), "const row", "if (++n > 12) throw new Error('too many'); const row", 1)
	p.options.Environment.StepBake = time.Minute // so that enough people come, however slow the machine; it ends as soon as it is seen
	began := time.Now()
	result := promote(breaks, promotion.RolledBack)
	took := time.Since(began)
	client.end()
	if smoke, ok := errors.AsType[*promotion.SmokeError](result.Cause); !ok || smoke.Moment != "while-shifting" {
		t.Errorf("%v", result.Cause)
	}
	if client.seen["four"]+len(client.failed) == 0 { // what failed was its answer, too
		t.Error("nobody got the version that broke")
	}
	if got := p.get("/"); !strings.HasPrefix(got, "200 three ") {
		t.Error(got)
	}
	state, err := record.Environment(t.Context(), "rows", "local")
	if err != nil || state.Version != third.Version || len(state.Unfinished) != 0 {
		t.Errorf("%+v, %v", state, err)
	}
	t.Logf("put back after %s; %d of its answers failed", took.Round(time.Millisecond), len(client.failed))
}
