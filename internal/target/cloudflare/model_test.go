package cloudflare_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// lived is a promotiontest.Place on a local Cloudflare, with real versions and a real database.
type lived struct {
	*place
	bundles, migrations, others int
}

func (l *lived) hurried() *cloudflare.Target {
	target := l.target()
	cloudflare.Hurry(target)
	return target
}

func (l *lived) Ports() (promotion.Rewinder, promotion.Prober, promotion.Journal) {
	l.journal.HolderDied()
	return l.hurried(), probe.HTTP{Patience: 200 * time.Millisecond, Settle: time.Millisecond}, l.journal
}

func (l *lived) Environment() pipelines.Environment { return l.options.Environment }

func (l *lived) Held() bool                   { return l.journal.Held() }
func (l *lived) Past() []promotion.Checkpoint { return l.journal.Past() }

// Restores is what the record says: the target itself does not count.
func (l *lived) Restores() int {
	n := 0
	for _, past := range l.journal.Past() {
		if past.Undo != "" {
			n++
		}
	}
	return n
}

func (l *lived) Bundle(health promotiontest.Health) *bundle.Bundle {
	l.bundles++
	b := rowsBundle(l.t, fmt.Sprintf("%s-%d", health, l.bundles), "users")
	broken := map[promotiontest.Health]string{
		promotiontest.Good: "",
		promotiontest.Bad:  "throw new Error('bad');",
		promotiontest.Late: "if (!request.headers.get('Cloudflare-Workers-Version-Overrides')) throw new Error('late');",
	}[health]
	code := strings.Replace(string(b.Modules[0].Body), "fetch(request, env) {", "fetch(request, env) { "+broken, 1)
	return bundleOf(l.t, code, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01",
		"bindings": []any{
			map[string]any{"name": "DB", "type": "d1", "id": "11111111-1111-1111-1111-111111111111"},
			map[string]any{"name": "VERSION", "type": "version_metadata"},
		},
	})
}

func (l *lived) Add(breaking bool) {
	l.migrations++
	sql := fmt.Sprintf("CREATE TABLE t%d (id INTEGER PRIMARY KEY);", l.migrations)
	if breaking {
		sql += fmt.Sprintf(" DROP TABLE t%d;", l.migrations)
	}
	l.write(fmt.Sprintf("migrations/%04d_more.sql", l.migrations+1), sql)
}

func (l *lived) Live() []promotion.Share {
	state, err := l.hurried().Inspect(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return state.Shares
}

func (l *lived) Upload() string {
	l.others++
	version, err := l.hurried().Upload(l.t.Context(), fmt.Sprintf("other-%d", l.others), l.Bundle(promotiontest.Good))
	if err != nil {
		l.t.Fatal(err)
	}
	return version
}

func (l *lived) Deploy(shares ...promotion.Share) {
	if err := l.hurried().Route(l.t.Context(), "", promotion.Routing{Shares: shares, Message: "by hand"}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lived) PutSecret() {
	l.others++
	if _, err := l.hurried().PutSecret(l.t.Context(), fmt.Sprintf("secret-%d", l.others), "TOKEN", fmt.Sprint(l.others)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lived) Suspend() {
	if _, err := l.hurried().Suspend(l.t.Context(), fmt.Sprintf("m%d", l.others), notice); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lived) Resume() {
	if _, err := l.hurried().Resume(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// TestStories tells random stories of an app on a local Cloudflare; what must hold is said at promotiontest.Story.
func TestStories(t *testing.T) {
	t.Parallel()
	telling := promotiontest.Telling{Steps: 8, LastsSlow: 90 * time.Second, InCI: 1}
	if os.Getenv("PENSTOCK_SLOW") != "" {
		telling.Steps, telling.InCI = 40, 12
	}
	promotiontest.Stories(t, telling, func() promotiontest.Place {
		p := newPlace(t, rowsConfig, pipelines.Environment{Name: "production"})
		p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
		return &lived{place: p}
	})
}
