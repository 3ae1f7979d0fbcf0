package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "cloudflare") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	oldVersion = "0ld00000-0000-4000-8000-000000000000"
	newVersion = "new00000-0000-4000-8000-000000000000"
)

func number(n float64) *float64 { return &n }

// sound is an environment in which everything is as it should be: the old version is live, the new one takes no traffic.
func sound() evidence.Environment {
	bindings := []evidence.Binding{
		{Name: "DB", Type: "d1", Target: "db-1"}, {Name: "CACHE", Type: "kv_namespace", Target: "kv-1"}, {Name: "FILES", Type: "r2_bucket", Target: "files"},
		{Name: "JOBS", Type: "queue", Target: "jobs"}, {Name: "FAQ", Type: "vectorize", Target: "faq"},
		{Name: "LIMITER", Type: "durable_object_namespace", Target: "Limiter"}, {Name: "JWT_SECRET", Type: "secret_text"}, {Name: "GREETING", Type: "plain_text"},
	}
	consumer := evidence.Consumer{Type: "worker", Script: "guide", BatchSize: number(10), MaxRetries: number(2), DeadLetterQueue: "dead"}
	shares := []evidence.Share{{Version: oldVersion, Percentage: 100}, {Version: newVersion, Percentage: 0}}
	return evidence.Environment{
		Header: evidence.Header{TakenAt: noon}, App: "guide", Name: "production",
		Worker: evidence.Worker{
			Name: "guide", State: evidence.Present, URL: "https://guide.example.com", Shares: shares,
			Versions: []evidence.Version{
				{ID: newVersion, Tag: "p2", Bindings: bindings, BindingsState: evidence.Present},
				{ID: oldVersion, Tag: "p1", Bindings: bindings, BindingsState: evidence.Present},
			},
			Deployments: []evidence.Deployment{{At: noon, Shares: shares}},
		},
		Resources: []evidence.Resource{
			{Kind: evidence.ResourceD1, Name: "guide-db", Binding: "DB", ID: "db-1", State: evidence.Present,
				Database: &evidence.Database{MigrationsState: evidence.Present, Applied: []string{"0001.sql", "0002.sql"}}},
			{Kind: evidence.ResourceKV, Name: "cache", Binding: "CACHE", ID: "kv-1", State: evidence.Present},
			{Kind: evidence.ResourceR2, Name: "files", Binding: "FILES", ID: "files", State: evidence.Present, Bucket: &evidence.Bucket{Public: evidence.Missing}},
			{Kind: evidence.ResourceDurableObject, Name: "Limiter", Binding: "LIMITER", ID: "do-1", State: evidence.Present, Class: &evidence.Class{Name: "Limiter", Script: "guide"}},
			{Kind: evidence.ResourceQueue, Name: "jobs", Binding: "JOBS", ID: "q-1", State: evidence.Present,
				Queue: &evidence.Queue{Wanted: &consumer, Consumers: []evidence.Consumer{consumer}, ConsumersState: evidence.Present}},
			{Kind: evidence.ResourceQueue, Name: "dead", ID: "q-2", State: evidence.Present, Queue: &evidence.Queue{ConsumersState: evidence.Present, DeadLetter: true, From: []string{"jobs"}}},
			{Kind: evidence.ResourceVectorize, Name: "faq", Binding: "FAQ", ID: "faq", State: evidence.Present,
				Vectorize: &evidence.Vectorize{Dimensions: 768, Metric: "cosine", Vectors: 100, CountState: evidence.Present}},
		},
		Secrets:      evidence.Secrets{State: evidence.Present, Required: []string{"JWT_SECRET"}, Names: []string{"JWT_SECRET"}},
		Routes:       []evidence.Route{{Pattern: "guide.example.com/*", Host: "guide.example.com", Zone: "example.com", ZoneState: evidence.Present, ZoneStatus: "active", State: evidence.Present, LeadsTo: "guide"}},
		Certificates: []evidence.Certificate{{Host: "guide.example.com", State: evidence.Present, Status: "active", Expires: noon.AddDate(0, 0, 60)}},
		Crons:        evidence.Crons{State: evidence.Present, Wanted: []string{"0 3 * * *"}, Found: []string{"0 3 * * *"}},
		Drift:        evidence.Drift{State: evidence.Present, Last: &evidence.Promoted{Promotion: "p1", Version: oldVersion, At: noon.AddDate(0, 0, -1)}},
	}
}

// resource finds the first one of a kind, to be changed.
func resource(e *evidence.Environment, kind string) *evidence.Resource {
	for i := range e.Resources {
		if e.Resources[i].Kind == kind {
			return &e.Resources[i]
		}
	}
	panic("no " + kind)
}

// shown is a request about a sound environment after a change, in the phase promote.
func shown(t *testing.T, change func(*evidence.Environment)) gates.Request {
	t.Helper()
	found := sound()
	// A change must not reach other cases through shared slices.
	text, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	var own evidence.Environment
	if err := json.Unmarshal(text, &own); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&own)
	}
	path := filepath.Join(t.TempDir(), "environment.json")
	if err := evidence.Write(path, own); err != nil {
		t.Fatal(err)
	}
	return gates.Request{
		Phase: gates.PhasePromote, Run: gates.Run{App: "guide", Environment: "production", VersionID: newVersion},
		Reports: []gates.Report{{Kind: gates.ReportEnvironment, Path: path}},
	}
}

// switched is the same once the new version takes all of the traffic and bakes.
func switched(t *testing.T, change func(*evidence.Environment)) gates.Request {
	t.Helper()
	request := shown(t, func(e *evidence.Environment) {
		e.Worker.Shares = []evidence.Share{{Version: newVersion, Percentage: 100}}
		e.Drift.Differences = []evidence.Difference{{What: "version", Version: newVersion, Promoted: oldVersion, Live: newVersion + " takes 100 %"}}
		if change != nil {
			change(e)
		}
	})
	request.Phase = gates.PhaseBake
	return request
}

// A file that is no evidence, and one of another kind, are no pass for any gate.
func TestNoEvidenceIsNoPass(t *testing.T) {
	for _, gate := range set().Gates {
		for _, text := range []string{"", "{}", `{"kind": "environment", "format": 2}`, `{"kind": "environment", "format": 1}`} {
			request := gates.Request{
				Gate: gate.Describe().Name, Phase: gates.PhasePromote, Run: gates.Run{VersionID: newVersion},
				Reports: []gates.Report{{Kind: gates.ReportEnvironment, Path: gatetest.Written(t, text)}},
			}
			verdict, err := gate.Evaluate(t.Context(), &request)
			if err == nil && verdict.Outcome.Allows() {
				t.Errorf("%s of %q: %+v", request.Gate, text, verdict)
			}
		}
	}
}

func TestResources(t *testing.T) {
	for name, row := range map[string]struct {
		gate environmentGate
		kind string
		pass string
	}{
		"d1":              {d1Gate, evidence.ResourceD1, "D1 database guide-db exists; 2 migrations applied to guide-db"},
		"kv":              {kvGate, evidence.ResourceKV, "KV namespace cache exists"},
		"r2":              {r2Gate, evidence.ResourceR2, "R2 bucket files exists; files is not public"},
		"durable-objects": {durableObjectsGate, evidence.ResourceDurableObject, "Durable Object class Limiter exists"},
		"queues":          {queuesGate, evidence.ResourceQueue, "queue jobs exists; guide consumes it as wanted; queue dead exists"},
		"vectorize":       {vectorizeGate, evidence.ResourceVectorize, "Vectorize index faq exists"},
	} {
		t.Run(name, func(t *testing.T) {
			gatetest.Try(t, row.gate, []gatetest.Case{
				{Name: "sound", Request: shown(t, nil), Want: gates.Pass, Check: gatetest.Says(row.pass)},
				{Name: "while it bakes", Request: switched(t, nil), Want: gates.Pass},
				{Name: "missing", Want: gates.Fail, Check: gatetest.Says("does not exist"), Request: shown(t, func(e *evidence.Environment) {
					*resource(e, row.kind) = evidence.Resource{Kind: row.kind, Name: "x", Binding: "X", State: evidence.Missing}
				})},
				{Name: "cannot be asked", Want: gates.Inconclusive, Check: gatetest.Says("is not known", "cloudflare answered 403"), Request: shown(t, func(e *evidence.Environment) {
					*resource(e, row.kind) = evidence.Resource{Kind: row.kind, Name: "x", Binding: "X", State: evidence.Unknown, Reason: "cloudflare answered 403"}
				})},
				{Name: "a state that nobody knows", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { resource(e, row.kind).State = "perhaps" })},
				{Name: "not bound", Want: gates.Fail, Check: gatetest.Says("has no binding"), Request: shown(t, func(e *evidence.Environment) { resource(e, row.kind).Binding = "OTHER" })},
				{Name: "bound to another", Want: gates.Fail, Check: gatetest.Says("leads to"), Request: shown(t, func(e *evidence.Environment) {
					resource(e, row.kind).ID, resource(e, row.kind).Name = "another", "another"
				})},
				{Name: "bindings unknown", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Worker.Versions[0].BindingsState = evidence.Unknown })},
				{Name: "version unknown", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Worker.Versions = nil })},
				{Name: "none in the config", Want: gates.Inconclusive, Check: gatetest.Says("nothing to judge"), Request: shown(t, func(e *evidence.Environment) { e.Resources = nil })},
			})
		})
	}
}

func TestD1Migrations(t *testing.T) {
	gatetest.Try(t, d1Gate, []gatetest.Case{
		{Name: "pending", Want: gates.Fail, Check: gatetest.Says("1 migration is not applied to D1 database guide-db: 0003.sql"),
			Request: shown(t, func(e *evidence.Environment) {
				resource(e, evidence.ResourceD1).Database.Pending = []string{"0003.sql"}
			})},
		{Name: "unreadable", Want: gates.Inconclusive, Check: gatetest.Says("no such table"), Request: shown(t, func(e *evidence.Environment) {
			*resource(e, evidence.ResourceD1).Database = evidence.Database{MigrationsState: evidence.Unknown, Reason: "no such table"}
		})},
		{Name: "says nothing of them", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { resource(e, evidence.ResourceD1).Database = nil })},
	})
}

func TestR2Public(t *testing.T) {
	public := func(e *evidence.Environment) {
		*resource(e, evidence.ResourceR2).Bucket = evidence.Bucket{Public: evidence.Present, Domains: []string{"pub-1.r2.dev"}}
	}
	gatetest.Try(t, r2Gate, []gatetest.Case{
		{Name: "public", Want: gates.Fail, Check: gatetest.Says("everybody can read R2 bucket files at pub-1.r2.dev"), Request: shown(t, public)},
		{Name: "meant to be", Config: `{"public": ["files"]}`, Want: gates.Pass, Request: shown(t, public)},
		{Name: "unknown", Want: gates.Inconclusive, Check: gatetest.Says("who can read"), Request: shown(t, func(e *evidence.Environment) {
			*resource(e, evidence.ResourceR2).Bucket = evidence.Bucket{Public: evidence.Unknown, PublicReason: "403"}
		})},
	})
}

func TestQueueConsumers(t *testing.T) {
	queue := func(e *evidence.Environment) *evidence.Queue { return resource(e, evidence.ResourceQueue).Queue }
	gone := func(e *evidence.Environment) { queue(e).Consumers = nil }
	slower := func(e *evidence.Environment) { queue(e).Consumers[0].BatchSize = number(1) }
	gatetest.Try(t, queuesGate, []gatetest.Case{
		{Name: "no consumer before the switch", Want: gates.Pass, Check: gatetest.Says("is set up when the version takes all of the traffic"), Request: shown(t, gone)},
		{Name: "no consumer", Want: gates.Fail, Check: gatetest.Says("queue jobs has no consumer guide; it has none"), Request: switched(t, gone)},
		{Name: "another's consumer", Want: gates.Fail, Check: gatetest.Says("it has other"), Request: switched(t, func(e *evidence.Environment) { queue(e).Consumers[0].Script = "other" })},
		{Name: "other settings", Want: gates.Fail, Check: gatetest.Says("max_batch_size is 1, 10 is wanted"), Request: switched(t, slower)},
		{Name: "other settings at a tenth of the traffic", Want: gates.Pass, Request: switched(t, func(e *evidence.Environment) {
			slower(e)
			e.Worker.Shares = []evidence.Share{{Version: oldVersion, Percentage: 90}, {Version: newVersion, Percentage: 10}}
		})},
		{Name: "other dead letters", Want: gates.Fail, Check: gatetest.Says(`dead letters go to "", "dead" is wanted`), Request: switched(t, func(e *evidence.Environment) { queue(e).Consumers[0].DeadLetterQueue = "" })},
		{Name: "paused", Want: gates.Fail, Check: gatetest.Says("delivery is paused"), Request: shown(t, func(e *evidence.Environment) { queue(e).DeliveryPaused = true })},
		{Name: "consumers unknown", Want: gates.Inconclusive, Check: gatetest.Says("who consumes queue jobs"), Request: shown(t, func(e *evidence.Environment) {
			queue(e).ConsumersState, queue(e).Reason = evidence.Unknown, "503"
		})},
		{Name: "settings unknown", Want: gates.Inconclusive, Check: gatetest.Says("whether queue jobs delivers"), Request: switched(t, func(e *evidence.Environment) { queue(e).Reason = "503" })},
		{Name: "wrong and unknown is wrong", Want: gates.Fail, Check: gatetest.Says("no consumer"), Request: switched(t, func(e *evidence.Environment) {
			gone(e)
			queue(e).Reason = "503"
		})},
	})
}

func TestVectorizeShape(t *testing.T) {
	config := `{"indexes": {"faq": {"dimensions": 768, "metric": "cosine", "vectors": 100}}}`
	index := func(change func(*evidence.Vectorize)) gates.Request {
		return shown(t, func(e *evidence.Environment) { change(resource(e, evidence.ResourceVectorize).Vectorize) })
	}
	gatetest.Try(t, vectorizeGate, []gatetest.Case{
		{Name: "as wanted", Config: config, Request: shown(t, nil), Want: gates.Pass},
		{Name: "dimensions", Config: config, Want: gates.Fail, Check: gatetest.Says("has 384 dimensions, 768 are wanted"), Request: index(func(v *evidence.Vectorize) { v.Dimensions = 384 })},
		{Name: "metric", Config: config, Want: gates.Fail, Check: gatetest.Says("compares by euclidean"), Request: index(func(v *evidence.Vectorize) { v.Metric = "euclidean" })},
		{Name: "too few vectors", Config: config, Want: gates.Fail, Check: gatetest.Says("has 99 vectors"), Request: index(func(v *evidence.Vectorize) { v.Vectors = 99 })},
		{Name: "count unknown", Config: config, Want: gates.Inconclusive, Request: index(func(v *evidence.Vectorize) { v.CountState = evidence.Unknown })},
	})
}

// undeployed is a request that judges the environment alone, as doctor's does while nothing is live.
func undeployed(request gates.Request) gates.Request {
	request.Run.VersionID = ""
	return request
}

func TestSecrets(t *testing.T) {
	gatetest.Try(t, secretsGate, []gatetest.Case{
		{Name: "all there", Request: shown(t, nil), Want: gates.Pass, Check: gatetest.Says("secret JWT_SECRET has a value")},
		{Name: "missing", Want: gates.Fail, Check: gatetest.Says("OPENAI_API_KEY has no value in production"), Request: shown(t, func(e *evidence.Environment) {
			e.Secrets.Required = append(e.Secrets.Required, "OPENAI_API_KEY")
		})},
		{Name: "on a version that is not this one", Want: gates.Fail, Check: gatetest.Says("OPENAI_API_KEY is on the newest version of guide, and version new00000 does not have it"), Request: shown(t, func(e *evidence.Environment) {
			e.Secrets.Required = append(e.Secrets.Required, "OPENAI_API_KEY")
			e.Secrets.Names = append(e.Secrets.Names, "OPENAI_API_KEY")
		})},
		{Name: "a variable is no secret", Want: gates.Fail, Request: shown(t, func(e *evidence.Environment) { e.Secrets.Required = []string{"GREETING"} })},
		{Name: "before the first deployment", Want: gates.Fail, Check: gatetest.Says("JWT_SECRET has no value yet"), Request: undeployed(shown(t, func(e *evidence.Environment) {
			e.Secrets.State, e.Secrets.Names = evidence.Missing, nil
		}))},
		{Name: "nobody could be asked", Want: gates.Inconclusive, Request: undeployed(shown(t, func(e *evidence.Environment) {
			e.Secrets.State, e.Secrets.Reason, e.Secrets.Names = evidence.Unknown, "403", nil
		}))},
		{Name: "bindings unknown", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Worker.Versions[0].BindingsState = evidence.Unknown })},
		{Name: "none required", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Secrets.Required = nil })},
	})
}

func TestDomain(t *testing.T) {
	route := func(change func(*evidence.Route)) func(*evidence.Environment) {
		return func(e *evidence.Environment) { change(&e.Routes[0]) }
	}
	missing := route(func(r *evidence.Route) { r.State, r.LeadsTo = evidence.Missing, "" })
	gatetest.Try(t, domainGate, []gatetest.Case{
		{Name: "leads here", Request: shown(t, nil), Want: gates.Pass, Check: gatetest.Says("the route guide.example.com/* leads to guide")},
		{Name: "not yet", Want: gates.Pass, Check: gatetest.Says("is made when the version takes all of the traffic"), Request: shown(t, missing)},
		{Name: "missing", Want: gates.Fail, Check: gatetest.Says("does not exist"), Request: switched(t, missing)},
		{Name: "leads elsewhere", Want: gates.Fail, Check: gatetest.Says(`leads to Worker "old-guide", not to guide`), Request: shown(t, route(func(r *evidence.Route) { r.LeadsTo = "old-guide" }))},
		{Name: "no zone", Want: gates.Fail, Check: gatetest.Says("no zone of the account covers"), Request: shown(t, route(func(r *evidence.Route) { r.ZoneState, r.State = evidence.Missing, evidence.Missing }))},
		{Name: "zone pending", Want: gates.Fail, Check: gatetest.Says("the zone example.com is pending"), Request: shown(t, route(func(r *evidence.Route) { r.ZoneStatus = "pending" }))},
		{Name: "zone unknown", Want: gates.Inconclusive, Request: shown(t, route(func(r *evidence.Route) { r.ZoneState, r.Reason = evidence.Unknown, "403" }))},
		{Name: "route unknown", Want: gates.Inconclusive, Request: shown(t, route(func(r *evidence.Route) { r.State, r.Reason = evidence.Unknown, "403" }))},
		{Name: "no routes", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Routes = nil })},
	})
}

func TestCertificate(t *testing.T) {
	with := func(change func(*evidence.Certificate)) gates.Request {
		return shown(t, func(e *evidence.Environment) { change(&e.Certificates[0]) })
	}
	gatetest.Try(t, certificateGate, []gatetest.Case{
		{Name: "lasts", Request: shown(t, nil), Want: gates.Pass, Check: gatetest.All(gatetest.Says("holds until 2026-04-30"), gatetest.Measures("days left for guide.example.com", 60))},
		{Name: "too short for this one", Config: `{"days": 61}`, Request: shown(t, nil), Want: gates.Fail, Check: gatetest.Says("60 days; at least 61 are wanted")},
		{Name: "expires", Want: gates.Fail, Check: gatetest.Says("13 days; at least 14 are wanted"), Request: with(func(c *evidence.Certificate) { c.Expires = noon.AddDate(0, 0, 13) })},
		{Name: "expired", Want: gates.Fail, Check: gatetest.Says("expired on 2026-02-28"), Request: with(func(c *evidence.Certificate) { c.Expires = noon.AddDate(0, 0, -1) })},
		{Name: "pending", Want: gates.Fail, Check: gatetest.Says("is pending_validation, not active"), Request: with(func(c *evidence.Certificate) { c.Status = "pending_validation" })},
		{Name: "none", Want: gates.Fail, Check: gatetest.Says("no certificate covers guide.example.com"), Request: with(func(c *evidence.Certificate) { c.State = evidence.Missing })},
		{Name: "comes with the custom domain", Want: gates.Pass, Check: gatetest.Says("is made with its domain"), Request: shown(t, func(e *evidence.Environment) {
			e.Certificates[0].State, e.Routes[0].CustomDomain, e.Routes[0].State = evidence.Missing, true, evidence.Missing
		})},
		{Name: "comes with the zone", Want: gates.Pass, Check: gatetest.Says("is made with its domain"), Request: shown(t, func(e *evidence.Environment) {
			e.Certificates[0].State, e.Routes[0].ZoneState, e.Routes[0].State = evidence.Missing, evidence.Missing, evidence.Missing
		})},
		{Name: "unknown", Want: gates.Inconclusive, Check: gatetest.Says("403"), Request: with(func(c *evidence.Certificate) { c.State, c.Reason = evidence.Unknown, "403" })},
		{Name: "until when is unknown", Want: gates.Inconclusive, Request: with(func(c *evidence.Certificate) { c.Expires = time.Time{} })},
		{Name: "no hosts", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) { e.Certificates = nil })},
	})
}

func TestDrift(t *testing.T) {
	first := func(e *evidence.Environment) { e.Drift = evidence.Drift{State: evidence.Missing} }
	gatetest.Try(t, driftGate, []gatetest.Case{
		{Name: "as promoted", Request: shown(t, nil), Want: gates.Pass, Check: gatetest.Says("version 0ld00000 is live, as promotion p1")},
		{Name: "this promotion's own version", Request: switched(t, nil), Want: gates.Pass},
		{Name: "a secret was put by penstock", Want: gates.Pass, Check: gatetest.Says("version 0ld00000 is live", "penstock put secrets since, which made it version edited"), Request: shown(t, func(e *evidence.Environment) {
			e.Worker.Shares[0].Version, e.Drift.Edited = "edited", "edited"
		})},
		{Name: "somebody else's version", Want: gates.Fail, Check: gatetest.Says("hotfix takes 100 %, promoted was"), Request: shown(t, func(e *evidence.Environment) {
			e.Drift.Differences = []evidence.Difference{{What: "version", Version: "hotfix", Promoted: oldVersion, Live: "hotfix takes 100 %"}}
		})},
		{Name: "left by a promotion that died", Want: gates.Warn, Check: gatetest.Says("promotion p9 died: broken takes 10 %; it is put back to 0ld00000"), Request: shown(t, func(e *evidence.Environment) {
			e.Drift.Differences = []evidence.Difference{{What: "version", Version: "broken", Promoted: oldVersion, Live: "broken takes 10 %", Unfinished: "p9"}}
		})},
		{Name: "crons", Want: gates.Fail, Check: gatetest.Says("crons: none run, the config wants 0 3 * * *"), Request: switched(t, func(e *evidence.Environment) { e.Crons.Found = nil })},
		{Name: "unknown", Want: gates.Inconclusive, Check: gatetest.Says("503"), Request: shown(t, func(e *evidence.Environment) { e.Drift.State, e.Drift.Reason = evidence.Unknown, "503" })},
		{Name: "nothing live, nothing promoted", Want: gates.Pass, Check: gatetest.Says("nothing is live in production yet"), Request: shown(t, func(e *evidence.Environment) {
			first(e)
			e.Worker = evidence.Worker{Name: "guide", State: evidence.Missing}
		})},
		{Name: "live and never promoted", Want: gates.Warn, Check: gatetest.Says("knows of no promotion to production"), Request: shown(t, first)},
		{Name: "never promoted, and what is live is unknown", Want: gates.Inconclusive, Request: shown(t, func(e *evidence.Environment) {
			first(e)
			e.Worker.State = evidence.Unknown
		})},
	})
}
