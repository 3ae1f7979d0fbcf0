package cli

import (
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// guideList is one checklist of the production guide.
type guideList struct {
	title string
	lines []guideLine
}

// guideLine is one line of it, and the gates that know whether it holds.
type guideLine struct {
	text  string
	gates []string
	// absent says why the line does not apply to this Worker, in an environment; nil for one that always does.
	absent func(wrangler.Worker) string
}

// guideLists are the guide's three, with what its sections on hardening and monitoring add to them.
var guideLists = []guideList{
	{"Code quality", []guideLine{
		{text: "All tests passing", gates: []string{"quality/tests"}},
		{text: "TypeScript compilation clean", gates: []string{"quality/typecheck"}},
		{text: "Lint checks passing", gates: []string{"quality/lint"}},
		{text: "Security audit clean", gates: []string{"security/audit"}},
		{text: "Performance benchmarks met", gates: []string{"quality/benchmark"}},
		{text: "Code coverage > 80 %", gates: []string{"quality/coverage"}},
	}},
	{"Security", []guideLine{
		{text: "All secrets configured", gates: []string{"cloudflare/secrets"}},
		{text: "No hardcoded credentials in code", gates: []string{"security/secrets"}},
		{text: "HTTPS enforced for all endpoints", gates: []string{"security/https"}},
		{text: "CORS properly configured", gates: []string{"security/cors"}},
		{text: "Rate limiting implemented", gates: []string{"security/ratelimit"}},
		{text: "Input validation with schemas", gates: []string{"security/input"}},
		{text: "SQL injection prevention verified", gates: []string{"security/sql"}},
		{text: "XSS protection enabled", gates: []string{"security/xss"}},
		{text: "Security headers set", gates: []string{"security/headers"}},
		{text: "Errors without stack traces", gates: []string{"security/errors"}},
	}},
	{"Infrastructure", []guideLine{
		{"D1 database created and migrated", []string{"cloudflare/d1"}, without("D1 database", func(w wrangler.Worker) int { return len(w.D1Databases) })},
		{"All KV namespaces configured", []string{"cloudflare/kv"}, without("KV namespace", func(w wrangler.Worker) int { return len(w.KVNamespaces) })},
		{"R2 buckets created", []string{"cloudflare/r2"}, without("R2 bucket", func(w wrangler.Worker) int { return len(w.R2Buckets) })},
		{"Durable Objects deployed", []string{"cloudflare/durable-objects"}, without("Durable Object", func(w wrangler.Worker) int { return len(w.DurableObjects.Bindings) })},
		{"Queue consumers configured", []string{"cloudflare/queues"}, without("queue", func(w wrangler.Worker) int { return len(w.Queues.Producers) + len(w.Queues.Consumers) })},
		{"Vectorize index created", []string{"cloudflare/vectorize"}, without("Vectorize index", func(w wrangler.Worker) int { return len(w.Vectorize) })},
		{"Custom domain configured", []string{"cloudflare/domain"}, without("route or custom domain", func(w wrangler.Worker) int { return len(w.AllRoutes()) })},
		{"SSL certificate active", []string{"cloudflare/certificate"}, without("route or custom domain", func(w wrangler.Worker) int { return len(w.AllRoutes()) })},
		{text: "Health endpoint answers for each dependency", gates: []string{"health/endpoint"}},
	}},
}

// without is why a line about some kind of resource does not apply.
func without(kind string, count func(wrangler.Worker) int) func(wrangler.Worker) string {
	return func(worker wrangler.Worker) string {
		if count(worker) > 0 {
			return ""
		}
		return "the wrangler config names no " + kind + " for this environment"
	}
}
