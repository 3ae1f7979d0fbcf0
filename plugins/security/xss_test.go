package main

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// repeating answers with a page around the parameter q, and %s in the template is where it stands.
func repeating(kind, template string, escape func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil // or Go would guess one
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		fmt.Fprintf(w, template, escape(r.URL.Query().Get("q")))
	}
}

func as(text string) string { return text }

func TestXSS(t *testing.T) {
	t.Parallel()
	noBrackets := strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace
	page := func(template string, escape func(string) string) gates.Request {
		return running(t, repeating("text/html; charset=utf-8", template, escape))
	}
	cases := []gatetest.Case{{
		Name: "nothing is repeated", Request: page("<h1>%.0s</h1>", as), Want: gates.Pass, Check: gatetest.Says("markup in 32 places of 4 requests: repeated 0 times"),
	}, {
		Name: "escaped", Request: page(`<p title="%[1]s">%[1]s</p><a href='/?q=%[1]s'>`, html.EscapeString), Want: gates.Pass, Check: gatetest.Says("repeated 2 times, never as markup"),
	}, {
		Name: "percent-encoded", Request: page(`<a href="/?q=%s">again</a>`, url.QueryEscape), Want: gates.Pass,
	}, {
		Name: "as an element", Request: page(`<p>%s</p>`, as), Want: gates.Fail,
		Check: gatetest.All(foundSaying("xss", "GET / (200)", "the parameter q comes back as an element", "<p>penstock"), gatetest.Measures("repeated as markup", 2)),
	}, {
		Name: "ends an attribute", Request: page(`<p title="%s">`, noBrackets), Want: gates.Fail, Check: foundSaying("xss", "the parameter q ends the attribute"),
	}, {
		Name: "ends an attribute in single quotes", Request: page(`<p title='%s'>`, noBrackets), Want: gates.Fail, Check: foundSaying("xss", "ends the attribute"),
	}, {
		Name: "ends an attribute without quotes", Request: page(`<p title=%s>`, html.EscapeString), Want: gates.Fail, Check: foundSaying("xss", "ends the attribute"),
	}, {
		Name: "quotes in text do no harm", Request: page(`<p>%s</p>`, noBrackets), Want: gates.Pass,
	}, {
		Name: "in a script", Request: page(`<script>let q = "%s"</script>`, noBrackets), Want: gates.Fail, Check: foundSaying("xss", "in a script"),
	}, {
		Name: "a parameter of the app's own", Config: `{"params": ["colour"]}`, Want: gates.Fail, Check: foundSaying("xss", "the parameter colour comes back"),
		Request: running(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, r.URL.Query().Get("colour"))
		}),
	}, {
		Name: "the path of a page that does not exist", Want: gates.Fail, Check: foundSaying("xss", "no-such-page/… (404)", "the path comes back"),
		Request: running(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if r.URL.Path != "/" {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprintf(w, "there is no %s", r.URL.Path)
			}
		}),
	}, {
		Name: "JSON that browsers take at its word", Want: gates.Pass,
		Request: running(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			repeating("application/json", `{"q": %q}`, as)(w, r)
		}),
	}, {
		Name: "JSON that may be guessed to be a page", Request: running(t, repeating("application/json", `{"q": %q}`, as)), Want: gates.Fail,
		Check: foundSaying("xss", "application/json", "lacks X-Content-Type-Options"),
	}, {
		Name: "no content type", Request: running(t, repeating("", `%s`, as)), Want: gates.Fail, Check: foundSaying("xss", "has no content type"),
	}, {
		Name: "broken", Request: running(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }), Want: gates.Inconclusive,
		Check: gatetest.Says("was answered 502"),
	}}
	gatetest.Try(t, xssGate{}, append(cases, cannotFindOut(t, "")...))
}
