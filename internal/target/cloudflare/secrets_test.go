package cloudflare_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

func secretBundle(t *testing.T, word string) *bundle.Bundle {
	return bundleOf(t, `export default { async fetch(request, env) {
	console.log("asked for", new URL(request.url).pathname, { word: "`+word+`" });
	if (request.url.endsWith("/break")) return new Response("broken", { status: 500, headers: { "x-version-id": env.VERSION.id } });
	if (request.url.endsWith("/throw")) throw new Error("thrown");
	return new Response("`+word+` " + env.TOKEN + " " + env.OTHER, { headers: { "x-version-id": env.VERSION.id } });
} };`, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{map[string]any{"name": "VERSION", "type": "version_metadata"}},
	})
}

const secretConfig = `{ "name": "secretive", "main": "worker.js", "compatibility_date": "2026-01-01", "version_metadata": { "binding": "VERSION" } }`

func TestSecretsArePutWithoutTouchingWhatIsBeingShifted(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{Secrets: []string{"TOKEN", "LACKING"}})
	p.options.Secrets = map[string]string{"TOKEN": "first", "LACKING": "x"}
	first := p.promote(secretBundle(t, "one"), promotion.Completed)
	p.options.Secrets = nil

	// The newest version is live: Cloudflare deploys the edited one at once.
	put, err := p.target().PutSecret(t.Context(), "s1", "TOKEN", "second")
	if err != nil || !put.Deployed || put.Version == first.Version || put.Base != first.Version {
		t.Fatalf("%+v, %v", put, err)
	}
	if got := p.get("/"); got != "200 one second undefined" {
		t.Error(got)
	}
	// A version that is newer than the live one takes no traffic: neither does the secret.
	target := p.target()
	newest, err := target.Upload(t.Context(), "u1", secretBundle(t, "two"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := target.PutSecret(t.Context(), "s2", "OTHER", "third")
	if err != nil || made.Deployed || made.Version == newest || made.Base != put.Version {
		t.Fatalf("%+v, %v", made, err)
	}
	if again, err := target.PutSecret(t.Context(), "s2", "OTHER", "third"); err != nil || again.Version == "" {
		t.Errorf("%+v, %v", again, err)
	}
	if got := p.get("/"); got != "200 one second undefined" {
		t.Error(got)
	}
	p.promote(secretBundle(t, "three"), promotion.Completed)
	if got := p.get("/"); got != "200 three second third" {
		t.Error(got)
	}
	names, err := p.target().SecretNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []cloudflare.SecretName{{Name: "LACKING", Required: true, Present: true}, {Name: "OTHER", Present: true}, {Name: "TOKEN", Required: true, Present: true}}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	// Maintenance makes a version too, and the next one inherits from it.
	if _, err := p.target().Suspend(t.Context(), "m1", notice); err != nil {
		t.Fatal(err)
	}
	if _, err := p.target().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.promote(secretBundle(t, "four"), promotion.Completed)
	if got := p.get("/"); got != "200 four second third" {
		t.Errorf("after maintenance: %s", got)
	}
	if _, err := p.target().PutSecret(t.Context(), "s3", "no name", "x"); err == nil {
		t.Error("a secret without a proper name")
	}
}

// A secret that no traffic has yet is a change: the same code is deployed again for it.
func TestASecretThatWaitsIsDeployedWithTheSameCode(t *testing.T) {
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
	// Whoever approved a plan with one value has not approved it with another.
	made := func() string {
		t.Helper()
		plan, err := promotion.MakePlan(t.Context(), p.target(), promotion.Basis{App: "app", Bundle: secretBundle(t, "one")})
		if err != nil {
			t.Fatal(err)
		}
		return plan.Digest
	}
	before, again := made(), made()
	if _, err := p.target().PutSecret(t.Context(), "s2", "TOKEN", "second"); err != nil {
		t.Fatal(err)
	}
	if before != again || before == made() {
		t.Errorf("the plan is %s, %s and, after another value was put, %s", before, again, made())
	}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	if got := p.get("/"); got != "200 one second undefined" {
		t.Errorf("after the deployment that was to make it live: %s", got)
	}
	live, err := p.target().Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	if again, err := p.target().Inspect(t.Context()); err != nil || again.Live() != live.Live() {
		t.Errorf("deployed once more: %s, %v", again.Live(), err)
	}
}

func TestTailTellsOfWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{})
	live := p.promote(secretBundle(t, "one"), promotion.Completed)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	seen := make(chan cloudflare.TailEvent, 100)
	ended := make(chan error, 1)
	target := p.target()
	go func() {
		ended <- target.Tail(ctx, cloudflare.TailFilter{Statuses: []string{"5xx"}, Version: live.Version}, func(e cloudflare.TailEvent) { seen <- e })
	}()
	deadline := time.After(30 * time.Second)
	for {
		p.get("/")
		p.get("/break")
		select {
		case e := <-seen:
			if e.Status != 500 || e.Version != live.Version || !strings.HasPrefix(e.What, "GET ") || !strings.HasSuffix(e.What, "/break") || e.Outcome != "ok" {
				t.Errorf("%+v", e)
			}
			if len(e.Logs) != 1 || e.Logs[0].Level != "log" || e.Logs[0].Text != `asked for /break {"word":"one"}` {
				t.Errorf("%+v", e.Logs)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			return
		case <-deadline:
			t.Fatal("nothing was told")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestStatusesThatAreNone(t *testing.T) {
	t.Parallel()
	for status, good := range map[string]bool{"200": true, "5xx": true, "5XX": true, "": false, "6xx": false, "50": false, "5x0": false, "abc": false} {
		if err := (cloudflare.TailFilter{Statuses: []string{status}}).CheckStatuses(); (err == nil) != good {
			t.Error(fmt.Sprintf("%q", status), err)
		}
	}
}

// A version whose secrets are not those of the version before it goes back all the same: Cloudflare refuses that (10220) where
// the version before is not part of the deployment any more.
func TestAVersionWithAnotherSecretThatFailsIsPutBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{Secrets: []string{"TOKEN"}})
	p.options.Secrets = map[string]string{"TOKEN": "first"}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	p.options.Secrets = map[string]string{"TOKEN": "second"}
	late := secretBundle(t, "two")
	fails := strings.Replace(string(late.Modules[0].Body), "fetch(request, env) {", "fetch(request, env) {\n\tif (!request.headers.get('Cloudflare-Workers-Version-Overrides')) throw new Error('late');", 1)
	result := p.promote(bundleOf(t, fails, map[string]any{
		"main_module": "worker.js", "compatibility_date": "2026-01-01", "bindings": []any{map[string]any{"name": "VERSION", "type": "version_metadata"}},
	}), promotion.RolledBack)
	if got := p.get("/"); got != "200 one first undefined" {
		t.Errorf("%s: %v", got, result.Cause)
	}
}

// A version that somebody made with wrangler while another one is live is what the next one inherits its secrets from: the plan
// says so, an approval from before is void, and nothing is taken for up to date.
func TestASecretPutByOtherMeansIsAChange(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{Secrets: []string{"TOKEN"}})
	p.options.Secrets = map[string]string{"TOKEN": "first"}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	p.options.Secrets = nil
	plan := func() promotion.Plan {
		t.Helper()
		made, err := promotion.MakePlan(t.Context(), p.target(), promotion.Basis{App: "app", Bundle: secretBundle(t, "one")})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	before := plan()
	if !before.Diff.UpToDate {
		t.Fatalf("%+v", before.Diff)
	}
	byWrangler := func(secrets ...any) {
		t.Helper()
		b := bundleOf(t, string(secretBundle(t, "one").Modules[0].Body), map[string]any{
			"main_module": "worker.js", "compatibility_date": "2026-01-01", "annotations": map[string]string{"workers/message": "by hand"},
			"bindings":      append([]any{map[string]any{"name": "VERSION", "type": "version_metadata"}}, secrets...),
			"keep_bindings": []string{"secret_key"}, // as wrangler says when it replaces or deletes secrets
		})
		var body bytes.Buffer
		kind, err := b.Encode(&body, b.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		p.call("POST", "/accounts/ACCOUNT/workers/scripts/secretive/versions", kind, body.Bytes())
	}
	changes := func() string {
		t.Helper()
		var said []string
		made := plan()
		for _, change := range made.Diff.Changes {
			if change.Kind == "secret" {
				said = append(said, change.Action+" "+change.Name)
			}
		}
		if made.Diff.UpToDate || made.Digest == before.Digest {
			t.Error("the plan is the one from before")
		}
		return strings.Join(said, ", ")
	}
	byWrangler(map[string]any{"name": "TOKEN", "type": "secret_text", "text": "second"}, map[string]any{"name": "OTHER", "type": "secret_text", "text": "third"})
	if got := changes(); got != "create OTHER, update TOKEN" {
		t.Error(got)
	}
	p.promote(secretBundle(t, "one"), promotion.Completed)
	if got := p.get("/"); got != "200 one second third" {
		t.Error(got)
	}
	if after := plan(); !after.Diff.UpToDate {
		t.Errorf("%+v", after.Diff.Changes)
	}
	byWrangler(map[string]any{"name": "OTHER", "type": "secret_text", "text": "third"})
	if got := changes(); got != "update OTHER, remove TOKEN" {
		t.Error(got)
	}
}
