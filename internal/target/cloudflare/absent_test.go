package cloudflare_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestBeforeTheFirstDeployment tries what needs one. Each answer names the command that helps, and none is Cloudflare's own words.
func TestBeforeTheFirstDeployment(t *testing.T) {
	t.Parallel()
	config := strings.Replace(rowsConfig, `"name": "rows"`, `"name": "not-there"`, 1)
	p := newPlace(t, config, pipelines.Environment{Secrets: []string{"TOKEN"}})
	target := p.target()
	for name, tc := range map[string]struct {
		do   func() error
		next string
	}{
		"a secret that the pipeline names": {func() error { _, err := target.PutSecret(t.Context(), "s1", "TOKEN", "x"); return err }, "give it to the first deployment, in its process's environment: `TOKEN=… penstock deploy --env local`"},
		"another secret":                   {func() error { _, err := target.PutSecret(t.Context(), "s1", "OTHER", "x"); return err }, "name OTHER under `secrets` of environment local in penstock.yaml; then give it"},
		"tail":                             {func() error { return target.Tail(t.Context(), cloudflare.TailFilter{}, nil) }, "`penstock deploy --env local` makes"},
		"backup":                           {func() error { _, err := target.Savable(t.Context()); return err }, "`penstock provision --env local"},
		"a bucket": {func() error {
			p.write("kept.sql", "SELECT 1;")
			_, err := target.Store(t.Context(), "nowhere", "kept.sql", filepath.Join(p.folder, "kept.sql"))
			return err
		}, "`wrangler r2 bucket create nowhere`"},
	} {
		absent, ok := errors.AsType[*cloudflare.AbsentError](tc.do())
		if !ok || !strings.Contains(absent.NextStep, tc.next) {
			t.Errorf("%s: %+v", name, absent)
		}
	}
	names, err := target.SecretNames(t.Context())
	if err != nil || len(names) != 1 || !strings.Contains(names[0].NextStep, "first deployment") {
		t.Errorf("%+v, %v", names, err)
	}
}
