package cloudflare_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/localcloud/faults"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// goWrong sets what goes wrong from now on; nothing without rules.
func (p *place) goWrong(plan faults.Plan) {
	p.t.Helper()
	body, err := json.Marshal(plan)
	if err != nil {
		p.t.Fatal(err)
	}
	info := p.cloud.Info()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPut, strings.TrimSuffix(info.APIURL, "/client/v4")+"/local/faults", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatal(res, err)
	}
	_ = res.Body.Close()
}

// steps are the calls that a promotion of the rows app makes, one for each of its steps; the number of calls before it is that
// of one such step.
var promotionCalls = []string{
	"GET /accounts/*/workers/scripts/*/deployments",
	"GET /accounts/*/workers/scripts/*/versions",
	"GET /accounts/*/workers/scripts/*/versions/*",
	"GET /accounts/*/d1/database",
	"GET /accounts/*/d1/database/*/time_travel/bookmark",
	"POST /accounts/*/d1/database/*/export",
	"POST /accounts/*/d1/database/*/query",
	"POST /accounts/*/workers/scripts/*/versions",
	"POST /accounts/*/workers/scripts/*/deployments",
	"GET /accounts/*/workers/scripts/*/schedules",
	"PUT /accounts/*/workers/scripts/*/schedules",
	"GET /zones",
	"POST /zones/*/workers/routes",
	"PUT /accounts/*/workers/scripts/*/domains/records",
}

var callFaults = map[string]faults.Rule{
	"429":          {Status: 429, Times: 2},
	"503":          {Status: 503, Times: 2},
	"503 for long": {Status: 503},
	"lost request": {Lost: faults.LostRequest, Times: 1},
	"lost reply":   {Lost: faults.LostReply, Times: 1},
	"lost replies": {Lost: faults.LostReply},
	"expired":      {Status: 401},
	"no scope":     {Status: 403},
}

// TestEveryFaultAtEveryCallOfAPromotion promotes by a real ledger to real workerd and D1 while one kind of call goes wrong in
// one way, from its first time or its third. Every run ends completed or put back, the ledger says which, and what people get
// is that; the next run, without faults, completes.
func TestEveryFaultAtEveryCallOfAPromotion(t *testing.T) {
	t.Parallel()
	config := func(n int) string {
		return strings.Replace(rowsConfig, `"version_metadata"`, fmt.Sprintf(`"triggers": { "crons": ["%d 3 * * *"] }, "routes": [
		{ "pattern": "r%[1]d.example.com/*", "zone_name": "example.com" }, { "pattern": "d%[1]d.example.com", "custom_domain": true, "zone_name": "example.com" }
	], "version_metadata"`, n%60), 1)
	}
	p := newPlace(t, config(0), pipelines.Environment{Backup: pipelines.BackupExport, Steps: []float64{50, 100}})
	record, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	p.write("migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
	p.promote(rowsBundle(t, "v0", "users"), promotion.Completed)
	serving := "v0"
	n, outcomes := 0, map[promotion.Phase]int{}
	attempt := func(where string, wantsEnd bool) {
		t.Helper()
		n++
		word, id := fmt.Sprintf("v%d", n), fmt.Sprintf("p-%d", n)
		p.write("wrangler.jsonc", config(n))
		p.write(fmt.Sprintf("migrations/%04d_more.sql", n+1), fmt.Sprintf("CREATE TABLE t%d (id INTEGER PRIMARY KEY);", n))
		options := p.promotionOptions(id)
		cloudflare.Hurry(options.Target.(*cloudflare.Target))
		options.Journal, options.Run = record, "RUN-"+id
		options.Waits, options.Settle = []time.Duration{5 * time.Millisecond}, 20*time.Millisecond
		plan, err := promotion.MakePlan(t.Context(), options.Target, promotion.Basis{App: "rows", Environment: p.options.Environment, Bundle: rowsBundle(t, word, "users")})
		if err != nil {
			if !wantsEnd {
				return // nothing was begun
			}
			t.Fatalf("%s: the plan: %v", where, err)
		}
		result, err := promotion.Promote(t.Context(), options, plan)
		var stuck *promotion.PutBackError
		if errors.As(err, &stuck) {
			// It, or the one before it, could not be put back while the fault lasted. The record must say that there is no end.
			outcomes["stuck"]++
			state, err := record.Environment(t.Context(), "rows", "local")
			if err != nil || len(state.Unfinished) != 1 {
				t.Errorf("%s: %d are unfinished, %v", where, len(state.Unfinished), err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		outcomes[result.Phase]++
		past, err := record.Past(t.Context(), "rows", "local")
		if err != nil || len(past) == 0 || past[0].Promotion != id || past[0].State != result.Phase {
			t.Errorf("%s: told as %s, on record as %+v (%v)", where, result.Phase, past, err)
		}
		if result.Phase == promotion.Completed {
			serving = word
		} else if wantsEnd {
			t.Fatalf("%s: without faults it ended as %s: %v", where, result.Phase, result.Cause)
		}
		for range 5 {
			if got := p.get("/"); !strings.HasPrefix(got, "200 "+serving+" ") {
				t.Errorf("%s: ended as %s (%v), and people get %s, not %s", where, result.Phase, result.Cause, got, serving)
			}
		}
		told := fmt.Sprint(result.Cause)
		if strings.Contains(where, "no scope") && result.Cause != nil && !strings.Contains(told, "permission \"") {
			t.Errorf("%s: it does not say which permission is missing: %s", where, told)
		}
	}
	calls, names, times := promotionCalls, slices.Sorted(maps.Keys(callFaults)), []int{0, 2}
	if os.Getenv("PENSTOCK_SLOW") == "" { // all of them take minutes; these are the calls that change what people get
		calls, names, times = calls[6:9], []string{"503", "lost reply", "no scope"}, []int{0}
	}
	for _, call := range calls {
		for _, name := range names {
			rule := callFaults[name]
			for _, after := range times {
				rule.Call, rule.After = call, after
				where := fmt.Sprintf("%s at %s after %d", name, call, after)
				p.goWrong(faults.Plan{Calls: []faults.Rule{rule}})
				attempt(where, false)
				p.goWrong(faults.Plan{})
			}
		}
		attempt("after "+call, true)
	}
	t.Logf("%d promotions: %v", n, outcomes)
	if _, err := record.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if os.Getenv("PENSTOCK_SLOW") == "" {
		return
	}
	if outcomes[promotion.Completed] < 50 || outcomes[promotion.RolledBack] < 5 || outcomes[promotion.Failed] < 20 {
		t.Errorf("too few of some kind: %v", outcomes)
	}
}

// TestEveryFaultAtTheUploadOfStaticFiles: the version is served with the files that were built for it, or the one before it with
// its own; and the next promotion, without faults, completes.
func TestEveryFaultAtTheUploadOfStaticFiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t, siteConfig, pipelines.Environment{Smoke: pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/api/", Status: 200}}, Version: pipelines.ProofRequired}})
	n, served, outcomes := 0, "", map[promotion.Phase]int{}
	attempt := func(where string, wants promotion.Phase) {
		t.Helper()
		n++
		text := fmt.Sprintf("<p>%d</p>", n)
		p.write("public/index.html", text)
		p.write(fmt.Sprintf("public/%d.txt", n), text)
		b, options := p.siteBundle(fmt.Sprint(n)), p.promotionOptions(fmt.Sprintf("s%d", n))
		cloudflare.Hurry(options.Target.(*cloudflare.Target))
		options.Waits, options.Settle = []time.Duration{5 * time.Millisecond}, 20*time.Millisecond
		plan, err := promotion.MakePlan(t.Context(), options.Target, promotion.Basis{App: "site", Environment: p.options.Environment, Bundle: b})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		result, err := promotion.Promote(t.Context(), options, plan)
		if err != nil || wants != "" && result.Phase != wants {
			t.Fatalf("%s: %s, %v, %v", where, result.Phase, result.Cause, err)
		}
		outcomes[result.Phase]++
		if result.Phase == promotion.Completed {
			served = text
			if got := p.get(fmt.Sprintf("/%d.txt", n)); got != "200 "+text {
				t.Errorf("%s: the new file is %s", where, got)
			}
		}
		if got := p.get("/"); got != "200 "+served {
			t.Errorf("%s: ended as %s, and people get %s, not %s", where, result.Phase, got, served)
		}
	}
	attempt("at first", promotion.Completed)
	for _, call := range []string{"POST /accounts/*/workers/scripts/*/assets-upload-session", "POST /accounts/*/workers/assets/upload"} {
		for name, wants := range map[string]promotion.Phase{
			"429": promotion.Completed, "503": promotion.Completed, "lost request": promotion.Completed, "lost reply": promotion.Completed,
			"503 for long": promotion.Failed, "lost replies": promotion.Failed, "expired": promotion.Failed, "no scope": promotion.Failed,
		} {
			rule := callFaults[name]
			rule.Call = call
			if name == "lost replies" && strings.HasSuffix(call, "upload") {
				wants = promotion.Completed // the next session knows that the files are there
			}
			p.goWrong(faults.Plan{Calls: []faults.Rule{rule}})
			attempt(name+" at "+call, wants)
			p.goWrong(faults.Plan{})
		}
		attempt("after "+call, promotion.Completed)
	}
	t.Logf("%d promotions: %v", n, outcomes)
}
