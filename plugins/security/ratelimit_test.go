package main

import (
	"net/http"
	"sync"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// limited counts requests by what key returns, and turns away beyond the limit.
func limited(limit int, retryAfter string, key func(*http.Request) string) http.HandlerFunc {
	var mu sync.Mutex
	counted := map[string]int{}
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if counted[key(r)]++; counted[key(r)] > limit {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}
}

func byClient(r *http.Request) string { return r.Header.Get("CF-Connecting-IP") }

func TestRatelimit(t *testing.T) {
	t.Parallel()
	const twenty = `{"limit": 20, "path": "/api/courses"}`
	here := func(handler http.HandlerFunc) gates.Request {
		request := running(t, handler)
		request.Run.PublicURL = "http://shop.localhost:8787"
		return request
	}
	cases := []gatetest.Case{{
		Name: "turned away", Config: twenty, Request: here(limited(20, "60", byClient)), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("turned away (429) after 20 requests", "limit 20; Retry-After is 1 m"), gatetest.Measures("let through", 20)),
	}, {
		Name: "sooner than it must", Config: twenty, Request: here(limited(5, "1", byClient)), Want: gates.Pass, Check: gatetest.Says("after 5 requests"),
	}, {
		Name: "a little later", Config: twenty, Request: here(limited(24, "1", byClient)), Want: gates.Warn, Check: gatetest.Measures("let through", 24),
	}, {
		Name: "never", Config: twenty, Request: here(limited(1000, "1", byClient)), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("30 requests", "none was turned away"), foundSaying("ratelimit", "GET /api/courses")),
	}, {
		Name: "without Retry-After", Config: twenty, Request: here(limited(20, "", byClient)), Want: gates.Fail, Check: gatetest.Says("without Retry-After"),
	}, {
		// Asked twice by the kit, so that each question has its own counter but for those that the other visitors share.
		Name: "one shuts out the others", Config: `{"limit": 3, "burst": 4}`, Want: gates.Fail, Check: gatetest.Says("another visitor's GET / is answered 429"),
		Request: here(limited(0, "1", func(*http.Request) string { return "" })),
	}, {
		Name: "breaks", Config: twenty, Request: here(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), Want: gates.Fail,
		Check: gatetest.Says("broke at request 1"),
	}, {
		Name: "at Cloudflare nobody else can be played", Config: twenty, Request: running(t, limited(0, "1", byClient)), Want: gates.Pass,
		Check: foundSaying("ratelimit", "requests from this machine are turned away for 1 s"),
	}, {
		Name: "no limit is configured", Request: here(limited(0, "1", byClient)), Want: gates.Inconclusive, Check: gatetest.Says("no burst was sent"),
	}, {
		Name: "a limit that is too high to be reached", Config: `{"limit": 1000}`, Request: here(limited(0, "1", byClient)), Want: gates.Inconclusive,
		Check: gatetest.Says("a limit of 1000 is not reached by the 295 requests"),
	}}
	gatetest.Try(t, ratelimitGate{}, append(cases, cannotFindOut(t, `"limit": 20`)...))
}
