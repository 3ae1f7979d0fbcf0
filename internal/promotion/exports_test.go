package promotion_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

func TestTheNearestExportIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exported := func(name string, at time.Duration, kept bool) promotion.Checkpoint {
		file := filepath.Join(dir, name)
		if kept {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return promotion.Checkpoint{Promotion: name, UpdatedAt: noon.Add(at), Exports: []promotion.Export{{File: file}}}
	}
	past := []promotion.Checkpoint{
		exported("late", time.Hour, true), {Promotion: "none", UpdatedAt: noon}, exported("pruned", 0, false), exported("near", -time.Hour, true), exported("old", -2*time.Hour, true),
	}
	if text := promotion.InsteadText("production", promotion.ExportsBefore(past, noon)); !strings.Contains(text, "near'") {
		t.Error(text)
	}
	if got := promotion.ExportsBefore(past, noon.Add(-3*time.Hour)); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestWhichExportsAreSpared(t *testing.T) {
	t.Parallel()
	environment := pipelines.Environment{KeepExports: 2, KeepExportsFor: 24 * time.Hour}
	past := func(change func(i int, c *promotion.Checkpoint)) []promotion.Checkpoint {
		var list []promotion.Checkpoint
		for i := range 6 { // newest first, a day apart
			one := promotion.Checkpoint{Promotion: fmt.Sprint(i), State: promotion.Completed, UpdatedAt: noon.Add(-time.Duration(i) * 24 * time.Hour), Exports: []promotion.Export{{File: "x"}}}
			if change != nil {
				change(i, &one)
			}
			list = append(list, one)
		}
		return list
	}
	for name, row := range map[string]struct {
		change      func(i int, c *promotion.Checkpoint)
		environment pipelines.Environment
		want        string
	}{
		"a number and an age": {environment: environment, want: "2 3 4 5"},
		"the age":             {environment: pipelines.Environment{KeepExports: 1, KeepExportsFor: 75 * time.Hour}, want: "4 5"},
		"the defaults":        {want: ""},
		"without an export": {environment: environment, change: func(i int, c *promotion.Checkpoint) {
			if i < 2 {
				c.Exports = nil
			}
		}, want: "4 5"},
		"the last good one": {environment: environment, change: func(i int, c *promotion.Checkpoint) {
			if i < 4 {
				c.State = promotion.RolledBack
			}
		}, want: "2 3 5"},
		"one without an end": {environment: environment, change: func(i int, c *promotion.Checkpoint) {
			if i == 3 {
				c.State = promotion.Shifting
			}
		}, want: "2 4 5"},
		"one that waits": {environment: environment, change: func(i int, c *promotion.Checkpoint) {
			if i == 5 {
				c.State = promotion.AwaitingApproval
			}
		}, want: "2 3 4"},
		"what a rollback may go below": {environment: environment, change: func(i int, c *promotion.Checkpoint) {
			if i == 4 {
				c.Migrations = []promotion.Migration{breaking}
			}
		}, want: "2 3 5"},
	} {
		var got []string
		for _, one := range promotion.SparedExports(past(row.change), row.environment, noon) {
			got = append(got, one.Promotion)
		}
		if !slices.Equal(got, strings.Fields(row.want)) {
			t.Errorf("%s: %v, want %s", name, got, row.want)
		}
	}
}
