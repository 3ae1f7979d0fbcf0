package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

const friend = "https://app.example"

// letting answers every request with the origin that choose returns, and whether credentials are let in.
func letting(choose func(origin string) string, credentials bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept, origin")
		if allowed := choose(r.Header.Get("Origin")); allowed != "" {
			w.Header().Set("Access-Control-Allow-Origin", allowed)
			w.Header().Set("Access-Control-Allow-Methods", "GET, PUT")
			if credentials {
				w.Header().Set("Access-Control-Allow-Credentials", "true")
			}
		} else if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusForbidden)
		}
	}
}

func friends(origins ...string) func(string) string {
	return func(origin string) string {
		if slices.Contains(origins, origin) {
			return origin
		}
		return ""
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const known = `{"origins": ["https://app.example"], "paths": ["/", "/api/guides"], "method": "PUT"}`
	answers := func(choose func(string) string) gates.Request { return running(t, letting(choose, false)) }
	with := func(choose func(string) string) gates.Request { return running(t, letting(choose, true)) }
	whom := func(decide func(string) bool) func(string) string {
		return func(origin string) string {
			if decide(origin) {
				return origin
			}
			return ""
		}
	}
	cases := []gatetest.Case{{
		Name: "a list", Config: known, Request: answers(friends(friend)), Want: gates.Pass, Check: gatetest.Says("1 origin let in and 5 others kept out, in 24 answers on 2 paths"),
	}, {
		Name: "nobody, and none is configured", Request: answers(friends()), Want: gates.Pass, Check: gatetest.Says("kept out", "no origin is configured"),
	}, {
		Name: "for everybody, and none is configured", Request: answers(func(string) string { return "*" }), Want: gates.Pass,
	}, {
		Name: "for everybody, and one is configured", Config: known, Request: answers(func(string) string { return "*" }), Want: gates.Fail,
		Check: foundSaying("cors", "everybody (*) is let in, and only https://app.example should be"),
	}, {
		Name: "for everybody with credentials", Request: with(func(string) string { return "*" }), Want: gates.Fail, Check: foundSaying("cors", "with credentials"),
	}, {
		Name: "what was sent", Request: answers(func(origin string) string { return origin }), Want: gates.Fail,
		Check: gatetest.All(foundSaying("cors", "GET / with the origin https://penstock", "it is let in, and nobody allowed it"), foundSaying("cors", "OPTIONS / with the origin null")),
	}, {
		Name: "what was sent, with cookies", Request: with(func(origin string) string { return origin }), Want: gates.Fail, Check: foundSaying("cors", "cookies"),
	}, {
		Name: "what begins like it", Config: known, Request: answers(whom(func(origin string) bool { return strings.HasPrefix(origin, friend) })), Want: gates.Fail,
		Check: foundSaying("cors", "https://app.example.evil.example"),
	}, {
		Name: "what ends like it", Config: known, Request: answers(whom(func(origin string) bool { return strings.HasSuffix(origin, "app.example") })), Want: gates.Fail,
		Check: foundSaying("cors", "https://evilapp.example"),
	}, {
		Name: "what looks like the app itself", Want: gates.Fail, Check: foundSaying("cors", "https://shop.example.evil.example"),
		Request: answers(whom(func(origin string) bool { return strings.Contains(origin, "shop.example") })),
	}, {
		Name: "null", Config: known, Request: answers(friends(friend, "null")), Want: gates.Fail, Check: foundSaying("cors", "with the origin null: it is let in"),
	}, {
		Name: "not its own front end", Config: known, Request: answers(friends()), Want: gates.Fail, Check: foundSaying("cors", "it is not let in"),
	}, {
		Name: "not the method", Config: `{"origins": ["https://app.example"], "method": "DELETE"}`, Request: answers(friends(friend)), Want: gates.Fail,
		Check: foundSaying("cors", "the preflight does not allow DELETE"),
	}, {
		Name: "without Vary", Config: known, Want: gates.Fail, Check: foundSaying("cors", "Vary does not name Origin"),
		Request: running(t, func(w http.ResponseWriter, r *http.Request) {
			letting(friends(friend), false)(w, r)
			w.Header().Del("Vary")
		}),
	}, {
		Name: "broken", Config: known, Request: running(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }),
		Want: gates.Inconclusive, Check: gatetest.Says("was answered 500"),
	}}
	gatetest.Try(t, corsGate{}, append(cases, cannotFindOut(t, "")...))
}
