package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// withHeaders answers everything with the guide's headers, those laid over them, and without those that are empty.
func withHeaders(changes map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range guideHeaders {
			w.Header().Set(name, value)
		}
		for name, value := range changes {
			if w.Header().Set(name, value); value == "" {
				w.Header().Del(name)
			}
		}
		if r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/api") {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	with := func(changes map[string]string) gates.Request { return running(t, withHeaders(changes)) }
	onlyOnPages := running(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		withHeaders(nil)(w, r)
	})
	cases := []gatetest.Case{{
		Name: "the guide's", Request: with(nil), Want: gates.Pass, Check: gatetest.Says("6 security headers on 2 answers"),
	}, {
		Name: "one is missing", Config: `{"paths": ["/", "/api/guides"]}`, Request: with(map[string]string{"X-Content-Type-Options": ""}), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 problem", "3 answers", ": x-content-type-options"), foundSaying("x-content-type-options", "GET / (200), GET /api/guides (200), GET /penstock", "is missing; wanted: nosniff")),
	}, {
		Name: "errors have none", Request: onlyOnPages, Want: gates.Fail, Check: foundSaying("content-security-policy", "no-such-page (404)", "is missing"),
	}, {
		Name: "weaker", Request: with(map[string]string{"Strict-Transport-Security": "max-age=300; includeSubDomains; preload"}), Want: gates.Fail,
		Check: foundSaying("strict-transport-security", "max-age is 300, at least 31536000 is wanted"),
	}, {
		Name: "tells of its software", Request: with(map[string]string{"X-Powered-By": "Express"}), Want: gates.Fail, Check: foundSaying("x-powered-by", `"Express"`),
	}, {
		Name: "that may be told", Config: `{"forbid": []}`, Request: with(map[string]string{"X-Powered-By": "Express"}), Want: gates.Pass,
	}, {
		Name: "a policy of the app's own", Want: gates.Pass,
		Config:  `{"require": {"x-xss-protection": "0", "content-security-policy": false, "permissions-policy": true, "cache-control": {"regex": "max-age=\\d+"}}}`,
		Request: with(map[string]string{"X-Xss-Protection": "0", "Content-Security-Policy": "", "Permissions-Policy": "camera=()", "Cache-Control": "private, max-age=60"}),
	}, {
		Name: "and not kept", Want: gates.Fail,
		Config:  `{"require": {"permissions-policy": true, "cache-control": {"regex": "^no-store$"}, "x-team": "guides"}}`,
		Request: with(map[string]string{"Cache-Control": "private", "X-Team": "other"}),
		Check: gatetest.All(foundSaying("permissions-policy", "is missing"), foundSaying("cache-control", `is "private", and does not match ^no-store$`),
			foundSaying("x-team", `is "other", and "guides" is wanted`)),
	}, {
		Name: "nothing to compare", Request: with(nil), Want: gates.Inconclusive,
		Config: `{"forbid": [], "require": {"Strict-Transport-Security": false, "X-Content-Type-Options": false, "X-Frame-Options": false, "X-XSS-Protection": false, "Referrer-Policy": false, "Content-Security-Policy": false}}`,
	}}
	gatetest.Try(t, headersGate{}, append(cases, cannotFindOut(t, "")...))
}

// foundSaying looks for a finding of that rule that says all of it.
func foundSaying(rule string, parts ...string) gatetest.Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, finding := range verdict.Findings {
			said := finding.Rule == rule
			for _, part := range parts {
				said = said && strings.Contains(finding.Message+"\n"+finding.Detail, part)
			}
			if said {
				return
			}
		}
		t.Errorf("nothing of the rule %s says %q:\n%+v", rule, parts, verdict.Findings)
	}
}

func TestHeaderMeaning(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		header, got string
		says        string // "" for one that is as strict
	}{
		{"Strict-Transport-Security", `preload ; INCLUDESUBDOMAINS; max-age="63072000"`, ""},
		{"Strict-Transport-Security", "max-age=31536000; preload", "lacks includesubdomains"},
		{"Strict-Transport-Security", "max-age=a year; includeSubDomains; preload", "no number"},
		{"Strict-Transport-Security", "max-age=0; max-age=31536000; includeSubDomains; preload", "too short"},
		{"X-Content-Type-Options", "NoSniff", ""},
		{"X-Content-Type-Options", "sniff", `"nosniff" is wanted`},
		{"X-Frame-Options", "deny", ""},
		{"X-Frame-Options", "ALLOW-FROM https://evil.example", "ALLOW-FROM"},
		{"X-Frame-Options", "SAMEORIGIN, ALLOWALL", "ALLOWALL"},
		{"X-Xss-Protection", "1;MODE=block", ""},
		{"X-Xss-Protection", "0", `"1; mode=block" is wanted`},
		{"Referrer-Policy", "no-referrer", ""},
		{"Referrer-Policy", "strict-origin", ""},
		{"Referrer-Policy", "no-referrer, strict-origin-when-cross-origin, some-day", ""},
		{"Referrer-Policy", "strict-origin-when-cross-origin, unsafe-url", "tells more"},
		{"Referrer-Policy", "no-referrer-when-downgrade", "tells more"},
		{"Referrer-Policy", "sometimes", "no browser knows"},
	} {
		checkMeaning(t, one.header, guideHeaders[one.header], one.got, one.says)
	}
}

func checkMeaning(t *testing.T, header, want, got, says string) {
	t.Helper()
	problems := headerRequirement{present: true, value: want}.problems(header, []string{got})
	if text := strings.Join(problems, "\n"); (text == "") != (says == "") || !strings.Contains(text, says) {
		t.Errorf("%s: %s\nit should say %q, and says %q", header, got, says, text)
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	guide := guideHeaders["Content-Security-Policy"]
	for _, one := range []struct{ got, says string }{
		{guide, ""},
		{"frame-ancestors *; connect-src https: wss: 'self'; IMG-SRC https: data: 'self';; style-src 'unsafe-inline' 'self'; script-src 'self'; default-src 'self'", ""},
		{"default-src 'none'", ""},
		{"default-src 'self'", ""},
		{strings.Replace(guide, "script-src 'self'", "script-src 'nonce-r4nd' 'strict-dynamic'", 1), ""},
		{guide + "; object-src 'none'; base-uri 'none'", ""},
		{strings.Replace(guide, "connect-src 'self' wss: https:", "connect-src https://api.example wss://live.example:8443", 1), ""},
		{strings.Replace(guide, "default-src 'self'; ", "", 1), "lacks default-src"},
		{strings.Replace(guide, "script-src 'self'", "script-src 'self' https://cdn.example", 1), "allows https://cdn.example for script-src"},
		{strings.Replace(guide, "script-src 'self'", "script-src *", 1), "allows * for script-src"},
		{strings.Replace(guide, "img-src 'self' data: https:", "img-src *", 1), "allows * for img-src"},
		{strings.Replace(guide, "img-src 'self' data: https:", "img-src http:", 1), "allows http: for img-src"},
		{strings.Replace(guide, "style-src 'self' 'unsafe-inline'", "style-src 'self' 'unsafe-inline' data:", 1), "allows data: for style-src"},
		{guide + "; font-src https://fonts.example", "allows https://fonts.example for font-src"},
		{guide + "; object-src data:", "allows data: for object-src"},
		{"default-src *, " + guide, ""}, // both hold
		{"script-src 'self', default-src 'self'", ""},
		{";", "has no directive"},
		{"upgrade-insecure-requests", "lacks default-src"},
	} {
		checkMeaning(t, "Content-Security-Policy", guide, one.got, one.says)
	}
	for _, one := range []struct{ want, got, says string }{
		{"script-src 'self'", "script-src 'self' 'unsafe-inline'", "allows 'unsafe-inline'"},
		{"script-src 'self'", "script-src 'self' 'unsafe-inline' 'sha256-abc='", ""}, // beside a hash it is not regarded
		{"script-src 'unsafe-eval'", "script-src 'wasm-unsafe-eval'", ""},
		{"frame-ancestors 'self'", "default-src 'none'", "lacks frame-ancestors"},
		{"frame-ancestors 'self'", "frame-ancestors *", "allows * for frame-ancestors"},
		{"img-src https://*.example.com", "img-src https://a.example.com", ""},
		{"img-src https://*.example.com", "img-src https://example.com.evil", "allows"},
		{"img-src https://a.example/pics/", "img-src https://a.example/pics/one.png", ""},
		{"img-src https://a.example/pics/", "img-src https://a.example", "allows"},
		{"img-src a.example", "img-src http://a.example", "allows"},
		{"sandbox allow-forms; upgrade-insecure-requests", "sandbox allow-forms allow-scripts", "permits allow-scripts"},
		{"upgrade-insecure-requests", "default-src 'self'", "lacks upgrade-insecure-requests"},
	} {
		checkMeaning(t, "Content-Security-Policy", one.want, one.got, one.says)
	}
}

func FuzzContentSecurityPolicy(f *testing.F) {
	f.Add(guideHeaders["Content-Security-Policy"], "default-src *; script-src https://a.example:*/x%2")
	f.Fuzz(func(t *testing.T, want, got string) {
		weakerContentPolicy(want, []string{got})
		// What is wanted is never weaker than itself, unless it says nothing.
		if problems := weakerContentPolicy(want, []string{want}); len(problems) > 0 && len(parseContentPolicies([]string{want})) == 1 {
			t.Errorf("%q is weaker than itself: %q", want, problems)
		}
	})
}
