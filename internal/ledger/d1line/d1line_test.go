package d1line_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/ledger/d1line"
	"github.com/penstock-ci/penstock/internal/ledger/linetest"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/workerdtest"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// store is a database and a bucket in a Cloudflare of its own with a real D1 ([workerdtest.Binary]).
func store(t *testing.T) (*cloudflare.Store, cloudflare.StoreOptions) {
	t.Helper()
	workerd := workerdtest.Binary(t)
	cloud, err := localcloud.Start(t.Context(), localcloud.Options{Dir: t.TempDir(), Workerd: workerd})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Log(err)
		}
	})
	info := cloud.Info()
	options := cloudflare.StoreOptions{
		BaseURL: info.APIURL, Token: info.Token, AccountID: info.AccountID, Database: "penstock-ledger", Bucket: "penstock-vault", Folder: "penstock-ledger",
	}
	if err := cloudflare.MakeStore(t.Context(), options, cloudflare.Lacking{Database: true, Bucket: true}); err != nil {
		t.Fatal(err)
	}
	opened, err := cloudflare.OpenStore(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return opened, options
}

// The real D1 keeps a line as the one in memory does.
func TestALineInD1(t *testing.T) {
	t.Parallel()
	opened, _ := store(t)
	linetest.Contract(t, d1line.In(opened))
	for _, statement := range []string{"DELETE FROM penstock_ledger", "UPDATE penstock_ledger SET body = ''"} {
		if _, err := opened.Execute(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// A line whose tables were dropped is one that has moved, and is not begun anew by somebody who has seen it.
func TestALineThatIsGone(t *testing.T) {
	t.Parallel()
	opened, _ := store(t)
	line := d1line.In(opened)
	first := linetest.Chain(ledger.Head{}, "one")
	if err := line.Append(t.Context(), ledger.Head{}, first); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Execute(t.Context(), "DROP TABLE penstock_ledger"); err != nil {
		t.Fatal(err)
	}
	head := linetest.HeadOf(first[0])
	if err := line.Append(t.Context(), head, linetest.Chain(head, "two")); err == nil || !strings.Contains(err.Error(), ledger.ErrMoved.Error()) {
		t.Errorf("append: %v", err)
	}
	if page, err := line.Since(t.Context(), 1); err != nil || page.Last != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// Many and large entries come in several answers, each bounded, and one that is larger than an answer comes alone.
func TestPages(t *testing.T) {
	t.Parallel()
	opened, _ := store(t)
	line := d1line.In(opened)
	var all []ledger.Link
	head := ledger.Head{}
	for i := range 8 {
		bodies := []string{fmt.Sprintf("%d%s", i, strings.Repeat("x", 1_500_000))}
		if i%2 == 0 {
			bodies = slices.Repeat([]string{"small"}, 400)
		}
		links := linetest.Chain(head, bodies...)
		if err := line.Append(t.Context(), head, links); err != nil {
			t.Fatal(err)
		}
		all = append(all, links...)
		head = linetest.HeadOf(links[len(links)-1])
	}
	var got []ledger.Link
	pages := 0
	for {
		page, err := line.Since(t.Context(), int64(len(got)+1))
		if err != nil || len(page.Links) == 0 || page.Last != head.Seq {
			t.Fatalf("page %d: %d links, last %d, %v", pages, len(page.Links), page.Last, err)
		}
		pages++
		got = append(got, page.Links...)
		if page.Links[len(page.Links)-1].Seq == page.Last {
			break
		}
	}
	if !slices.Equal(got, all) || pages < 2 || pages > 5 {
		t.Errorf("%d of %d links in %d pages", len(got), len(all), pages)
	}
	if err := line.Append(t.Context(), head, linetest.Chain(head, `{"kind":"gate.finished","x":"`+strings.Repeat("y", 2_000_000)+`"}`)); !errors.Is(err, ledger.ErrTooLarge) || !strings.Contains(err.Error(), "gate.finished") {
		t.Errorf("D1 does not take as much: %v", err)
	}
}

// The ledger keeps its contract on a real D1.
func TestALedgerOnD1(t *testing.T) {
	t.Parallel()
	opened, _ := store(t)
	var n atomic.Int64
	promotiontest.JournalContract(t, func(t *testing.T) promotion.Journal {
		l, err := ledger.OpenShared(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), d1line.In(renamed{opened, fmt.Sprint(n.Add(1))}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	})
}

// renamed gives each test tables of its own in one database.
type renamed struct {
	*cloudflare.Store
	as string
}

func (r renamed) name(sql string) string {
	return strings.ReplaceAll(sql, "penstock_", "penstock_"+r.as+"_")
}

func (r renamed) Select(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error) {
	return r.Store.Select(ctx, r.name(sql), params...)
}

func (r renamed) Execute(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error) {
	return r.Store.Execute(ctx, r.name(sql), params...)
}

// breaking loses one of the calls that change something.
type breaking struct {
	d1line.Database
	lose  int // its number, from 1
	calls int
}

func (b *breaking) Execute(ctx context.Context, sql string, params ...string) ([]json.RawMessage, error) {
	if b.calls++; b.calls == b.lose {
		return nil, linetest.ErrLost
	}
	return b.Database.Execute(ctx, sql, params...)
}

// Whatever call is lost while the tables are made, a line with an entry has all of them: without penstock_heard no holder of a lease would
// be heard of, and without the triggers entries could be changed.
func TestHalfMadeTables(t *testing.T) {
	t.Parallel()
	opened, _ := store(t)
	for lose := 1; lose <= 6; lose++ {
		own := renamed{opened, fmt.Sprintf("lost%d", lose)}
		network := &breaking{Database: own, lose: lose}
		l, err := ledger.OpenShared(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), d1line.In(network))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Acquire(t.Context(), "app", "production", "p1"); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := d1line.In(own).Beat(t.Context(), 1); err != nil {
			t.Errorf("call %d was lost, and nobody is heard of: %v", lose, err)
		}
		if _, err := own.Execute(t.Context(), "UPDATE penstock_ledger SET body = ''"); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("call %d was lost, and entries can be changed: %v", lose, err)
		}
	}
}
