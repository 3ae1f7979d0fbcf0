package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// wrong answers everything with an error in JSON; %d in the body is a number of its own.
func wrong(status int, body string) http.HandlerFunc {
	var number atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, strings.ReplaceAll(body, "%d", fmt.Sprint(number.Add(1))))
	}
}

const guideError = `{"error": "An unexpected error occurred", "timestamp": "2026-11-22T12:30:45.123Z", "requestId": "r-%d"}`

func TestErrors(t *testing.T) {
	t.Parallel()
	const posts = `{"posts": ["/api/progress"]}`
	page := func(status int, body string) gates.Request {
		return running(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	cases := []gatetest.Case{{
		Name: "the guide's", Config: posts, Request: running(t, wrong(500, guideError)), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("6 error answers, 6 in JSON with error, timestamp, requestId"), gatetest.Measures("errors", 6)),
	}, {
		Name: "pages for people", Request: page(404, "<h1>Not found</h1><p>Generated at 2026-11-22T12:30:45Z for /home/you</p>"), Want: gates.Pass,
		Check: gatetest.Says("5 error answers", "was not judged"),
	}, {
		Name: "a stack", Request: page(500, "Error: no\n    at fetch (index.js:12:34)"), Want: gates.Fail,
		Check: foundSaying("stack-trace", "GET /penstock", "(500)", "a stack trace", "index.js:12:34"),
	}, {
		Name: "a stack in JSON", Request: running(t, wrong(500, strings.Replace(guideError, "An unexpected error occurred", `Error\\n    at async handle (file:///srv/app/worker.mjs:1:2)`, 1))),
		Want: gates.Fail, Check: foundSaying("stack-trace", "a stack trace"),
	}, {
		Name: "SQL", Request: running(t, wrong(500, strings.Replace(guideError, "An unexpected error occurred", `D1_ERROR: no such table: guides: SQLITE_ERROR`, 1))), Want: gates.Fail,
		Check: foundSaying("sql", "a database's error", "D1_ERROR"),
	}, {
		Name: "no request id", Request: running(t, wrong(404, `{"error": "Not found", "timestamp": "2026-11-22"}`)), Want: gates.Fail,
		Check: foundSaying("shape", "the error lacks requestId"),
	}, {
		Name: "fields of the app's own", Config: `{"fields": ["message"]}`, Request: running(t, wrong(404, `{"message": "Not found"}`)), Want: gates.Pass,
	}, {
		Name: "the same request id", Request: running(t, wrong(404, strings.Replace(guideError, "r-%d", "none", 1))), Want: gates.Fail,
		Check: foundSaying("request-id", "is that of GET /penstock"),
	}, {
		Name: "no JSON", Request: running(t, wrong(404, "Not found")), Want: gates.Fail, Check: foundSaying("shape", "no JSON object"),
	}, {
		Name: "accepts what breaks off", Config: posts, Want: gates.Fail, Check: foundSaying("accepted", "POST /api/progress (200)"),
		Request: running(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				wrong(404, guideError)(w, r)
			}
		}),
	}, {
		Name: "everything is fine", Request: page(200, "at x.js:1:2 D1_ERROR"), Want: gates.Inconclusive, Check: gatetest.Says("none of 5 requests"),
	}}
	gatetest.Try(t, errorsGate{}, append(cases, cannotFindOut(t, "")...))
}

func TestErrorsAsksInWrongWays(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 20)
	request := running(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- fmt.Sprintf("%s %.60s", r.Method, r.RequestURI)
		w.WriteHeader(http.StatusBadRequest)
	})
	request.Config = []byte(`{"paths": ["/api/guides"], "posts": ["/api/progress"]}`)
	if _, err := (errorsGate{}).Evaluate(t.Context(), &request); err != nil {
		t.Fatal(err)
	}
	close(asked)
	var all []string
	for one := range asked {
		all = append(all, one)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"GET /penstock", "PROPFIND /api/guides", "GET /api/guides?limit=9999", "GET /api/guides?q=%E0%A4&limit=%", "GET /api/guides/%E0%A4", "POST /api/progress"} {
		if !strings.Contains(text, want) {
			t.Errorf("it did not ask %q:\n%s", want, text)
		}
	}
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"Error: x\n    at Object.fetch (worker.js:10:5)":                "stack-trace",
		"at async Promise.all (index 0)\n at file:///srv/index.mjs:3:9": "stack-trace",
		`{"error":"x","stack":"Error: x"}`:                              "stack-trace",
		`{"error":"Error\n at &lt;anonymous&gt;:1:1"}`:                  "stack-trace",
		"Traceback (most recent call last):\n File x":                   "stack-trace",
		"thread panicked at src/lib.rs":                                 "stack-trace",
		"cannot open /home/ci/app/src/index.ts":                         "file-path",
		`cannot open C:\\Users\\ci\\app`:                                "file-path",
		"see node_modules/zod/index.js":                                 "file-path",
		"webpack://app/./src/a":                                         "file-path",
		"broken in src/data/guides.ts:12":                               "file-path",
		"SELECT id, title FROM guides WHERE":                            "sql",
		"INSERT INTO guides (id)":                                       "sql",
		"UPDATE guides SET title = 'x'":                                 "sql",
		`near "FORM": syntax error`:                                     "sql",
		"UNIQUE constraint failed: guides.slug":                         "sql",
		"TypeError: x is undefined":                                     "internals",
		"Cannot read properties of undefined (reading 'id')":            "internals",
		"Unexpected end of JSON input":                                  "internals",
		"Unexpected token } in JSON at position 4":                      "internals",
		`Unexpected token 'p', \"{p\" is not valid JSON`:                "internals",
		"<title>Worker threw exception | x</title>":                     "uncaught",
		"Not found": "",
		"Please select a course from the list, and update your page at 10:20:30":                                                                               "",
		"You are at https://guide.example:8443/home/guides/ and there is no page":                                                                              "",
		`{"error":"Request is not valid","issues":[{"path":"limit","message":"Too big: expected number to be <=100"}],"timestamp":"2026-11-22T12:30:45.123Z"}`: "",
		`Unrecognized keys: "q", "limit"`: "",
		"Body is not JSON":                "",
	} {
		var rules []string
		for _, leak := range leaksOf(body) {
			rules = append(rules, leak.rule)
		}
		if got := strings.Join(rules, ","); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: it finds %q, want %q", body, got, want)
		}
	}
}
