package localcloud

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Every call that a test makes of the API goes through a witness that this package did not write: Cloudflare's published
// description. It is of August 2024 and contradicts Cloudflare's own tools in places; descriptionErrors lists those.

// descriptionError is where the description is wrong, and how that is known.
type descriptionError struct {
	operation string // METHOD /path as described; * for all
	says      string // part of the complaint
	reason    string
}

// wranglerOnly begins the reasons of what the fast tier does not meet.
const wranglerOnly = "wrangler: "

var descriptionErrors = []descriptionError{
	// What the validator cannot read.
	{"PUT /accounts/{account_id}/workers/scripts/{script_name}", "request: unsupported schema of request body", "a choice between forms, which kin-openapi does not decode"},
	{"POST /accounts/{account_id}/workers/scripts/{script_name}/versions", "schema has non primitive type object", "a JSON part of a form, which kin-openapi does not decode without an encoding"},
	{"PATCH /accounts/{account_id}/workers/scripts/{script_name}/settings", "schema has non primitive type object", "likewise"},
	{"*", `in path has an error: empty value is not allowed`, "path parameters of workers/domains have a schema without a type, and kin-openapi then reads no value"},
	{"*", `in query has an error: empty value is not allowed`, "schemas without a type, too"},

	// Where the description contradicts Cloudflare's tools and documents.
	{"*", "request: value is required but missing", "DELETE is described as having a body; wrangler and cloudflare-go send none"},
	{"*", "number must be at least 0.01", "0 % is allowed: docs of gradual deployments, and wrangler versions deploy N@0%"},
	{"*", `tail_consumers": Value is not nullable`, "null is what a Worker without tail consumers has in wrangler's own mocks and cloudflare-go's types"},
	{"PATCH /accounts/{account_id}/workers/scripts/{script_name}/settings", "/result/bindings", "its list of binding kinds lacks plain_text, secret_text, version_metadata and more"},
	{"GET /accounts/{account_id}/workers/scripts/{script_name}/settings", "/result/bindings", "likewise"},
	{"PUT /accounts/{account_id}/workers/domains", `property "environment" is missing`, "optional in cloudflare-go 7.9"},
	{"PUT /accounts/{account_id}/workers/domains", `property "zone_id" is missing`, "zone_name is as good since wrangler takes either"},
	{"GET /accounts/{account_id}/workers/domains/{domain_id}", `"/result": value must be an object`, "it refers to the envelope where it means the domain"},
	{"*", "maximum string length is 32", "identifiers of certificate packs are UUIDs, as in the description's own examples"},
	{"POST /accounts/{account_id}/vectorize/v2/indexes/{index_name}/insert", "header Content-Type has unexpected value", "wrangler vectorize insert sends a form with the part vectors"},
	{"POST /accounts/{account_id}/vectorize/v2/indexes/{index_name}/get_by_ids", `"/result"`, "a list of vectors, which wrangler and the binding read, is no branch of its choice"},
	{"DELETE /accounts/{account_id}/vectorize/v2/indexes/{index_name}", `"/result"`, "null is no branch of its choice, though its own example is null"},
	{"DELETE /accounts/{account_id}/queues/{queue_id}", `"/result"`, "likewise"},
	{"DELETE /accounts/{account_id}/queues/{queue_id}/consumers/{consumer_id}", `"/result"`, "likewise"},
	{"POST /accounts/{account_id}/queues", `"/result": value must be an array`, "the answer to one queue is described as a list"},
	{"POST /accounts/{account_id}/queues/{queue_id}/consumers", `"/result": value must be an array`, "likewise, of consumers"},
	{"GET /accounts/{account_id}/queues", `consumers": value must be an object`, "consumers are a list in wrangler's and cloudflare-go's types"},
	{"GET /accounts/{account_id}/r2/buckets", `"/result": value must be an array`, "wrangler reads result.buckets"},
	{"*", `"/result/location"`, "hints are written small in requests and large in answers"},
	{"GET /accounts/{account_id}/d1/database", `"/result": value must be an object`, "its envelope of one object is also that of lists"},
	{"POST /accounts/{account_id}/d1/database/{database_id}/query", `"/result": value must be an object`, "likewise"},
	{"POST /accounts/{account_id}/d1/database/{database_id}/raw", `"/result": value must be an object`, "likewise"},
	{"*", "/params/0: value must be a string", "D1 takes numbers, null and booleans as parameters: docs of the D1 client API"},
	{"POST /accounts/{account_id}/d1/database/{database_id}/query", `property "sql" is missing`, "batch came later; cloudflare-go 7.9 has it"},
	{"PUT /accounts/{account_id}/storage/kv/namespaces/{namespace_id}/values/{key_name}", "header Content-Type has unexpected value", "wrangler and curl send a raw value"},
	{"POST /accounts/{account_id}/d1/database/{database_id}/export", "/dump_options: Value is not nullable", "cloudflare-go 7.9 sends null for none"},

	// What only the real wrangler does, in the slow tier.
	{"*", `unexpected value "text/plain;charset=UTF-8"`, wranglerOnly + "it sends JSON as text"},
	{"PUT /accounts/{account_id}/queues/{queue_id}/consumers/{consumer_id}", `"/result": value must be an array`, wranglerOnly + "one consumer is described as a list"},
	{"GET /accounts/{account_id}/storage/kv/namespaces", "number must be at most 100", wranglerOnly + "it asks for 1,000 at once"},
	{"POST /accounts/{account_id}/vectorize/v2/indexes/{index_name}/query", "/returnMetadata: value must be a boolean", wranglerOnly + "none, indexed and all came with version 2 of the indexes"},
	{"GET /accounts/{account_id}/workers/scripts/{script_name}/settings", `"/result/tags": Value is not nullable`, wranglerOnly + "null is what a Worker without tags has"},

	// Where this Cloudflare takes more than the real one.
	{"*", "number must be at least 5", "pages may be smaller here, so that tests of paging stay small"},
}

// undescribed are the calls that the description lacks, by the beginning of their paths, and what they were taken from.
var undescribed = map[string]string{
	"PUT /accounts/{account}/workers/scripts/{script}/secrets":                 "seen from wrangler secret put",
	"GET /accounts/{account}/workers/scripts/{script}/secrets":                 "seen from wrangler secret list",
	"DELETE /accounts/{account}/workers/scripts/{script}/secrets":              "seen from wrangler secret delete",
	"PATCH /accounts/{account}/workers/scripts/{script}/secrets-bulk":          "cloudflare-go 7.9",
	"GET /accounts/{account}/workers/scripts/{script}/deployments/":            "cloudflare-go 7.9",
	"PUT /accounts/{account}/workers/scripts/{script}/routes":                  "seen from wrangler deploy",
	"PUT /accounts/{account}/workers/scripts/{script}/domains/records":         "seen from wrangler deploy",
	"POST /accounts/{account}/workers/scripts/{script}/domains/changeset":      "source of wrangler deploy in a terminal",
	"GET /accounts/{account}/workers/domains/records/":                         "likewise",
	"GET /accounts/{account}/workers/scripts/{script}/subdomain":               "seen from wrangler deploy",
	"POST /accounts/{account}/workers/scripts/{script}/subdomain":              "seen from wrangler deploy",
	"POST /accounts/{account}/workers/scripts/{script}/assets-upload-session":  "seen from wrangler deploy with assets",
	"POST /accounts/{account}/workers/assets/upload":                           "seen from wrangler deploy with assets",
	"GET /accounts/{account}/workers/services/":                                "seen from wrangler deploy",
	"DELETE /accounts/{account}/workers/services/":                             "seen from wrangler delete",
	"GET /accounts/{account}/workers/workers":                                  "cloudflare-go 7.9, and wrangler 4.164",
	"PATCH /accounts/{account}/workers/workers":                                "cloudflare-go 7.9",
	"DELETE /accounts/{account}/workers/workers":                               "cloudflare-go 7.9",
	"GET /accounts/{account}/d1/database/{database}/time_travel/bookmark":      "seen from wrangler d1 time-travel info",
	"POST /accounts/{account}/d1/database/{database}/time_travel/restore":      "seen from wrangler d1 time-travel restore",
	"POST /accounts/{account}/storage/kv/namespaces/{namespace}/bulk/get":      "cloudflare-go 7.9",
	"GET /accounts/{account}/r2/buckets/{bucket}/objects":                      "seen from wrangler r2 object get",
	"GET /accounts/{account}/r2/buckets/{bucket}/domains/":                     "cloudflare-go 7.9; a survey asks whether a bucket is public",
	"PUT /accounts/{account}/r2/buckets/{bucket}/objects":                      "seen from wrangler r2 object put",
	"DELETE /accounts/{account}/r2/buckets/{bucket}/objects":                   "seen from wrangler r2 object delete",
	"PATCH /accounts/{account}/queues/":                                        "seen from wrangler queues update",
	"GET /accounts/{account}/queues/{queue}/metrics":                           "docs of queues metrics; the target asks it",
	"GET /accounts/{account}/queues/{queue}/purge":                             "cloudflare-go 7.9",
	"POST /accounts/{account}/queues/{queue}/purge":                            "seen from wrangler queues purge",
	"GET /accounts/{account}/queues/{queue}/consumers/{consumer}":              "cloudflare-go 7.9",
	"GET /accounts/{account}/vectorize/v2/indexes/{index}/list":                "seen from wrangler vectorize list-vectors",
	"GET /accounts/{account}/vectorize/v2/indexes/{index}/metadata_index/list": "seen from wrangler; described as POST",
	"POST /graphql": "a language of its own: see package analytics",
}

// description is read once: it takes a quarter of a second.
var description = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/api.cloudflare.com.json")
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // the paths count, wherever they are served
	return legacy.NewRouter(doc)
})

// witness holds accepted requests, and all answers, against the description, and complains through t.
func witness(t *testing.T, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		router, err := description()
		if err != nil {
			t.Errorf("the description: %v", err)
			return
		}
		asked := r.Clone(r.Context())
		asked.URL = &url.URL{Path: strings.TrimPrefix(r.URL.Path, apiPrefix), RawQuery: r.URL.RawQuery}
		route, parameters, err := router.FindRoute(asked)
		if err != nil || r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body, asked.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
		heard := &heardWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(heard, r)
		operation := route.Method + " " + route.Path
		input := &openapi3filter.RequestValidationInput{Request: asked, PathParams: parameters, Route: route, Options: witnessOptions()}
		if heard.status < 300 {
			complain(t, operation, "request", openapi3filter.ValidateRequest(context.Background(), input))
		}
		switch {
		case !strings.HasPrefix(heard.Header().Get("Content-Type"), "application/json"):
		case heard.status >= 400:
			// Refusals are described as being successes and failures at once, so only their common part is held to.
			refusal := reply{}
			if err := json.Unmarshal(heard.body.Bytes(), &refusal); err != nil || refusal.Success || len(refusal.Errors) == 0 || refusal.Messages == nil || refusal.Errors[0].Message == "" {
				t.Errorf("%s refuses with %s", operation, &heard.body)
			}
		default:
			complain(t, operation, "answer", openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: input, Status: heard.status, Header: heard.Header(), Body: io.NopCloser(&heard.body), Options: witnessOptions(),
			}))
		}
	})
}

func witnessOptions() *openapi3filter.Options {
	return &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true}
}

// heardWriter keeps a copy of what it passes on.
type heardWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heardWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *heardWriter) WriteHeader(status int) {
	h.status = status
	h.ResponseWriter.WriteHeader(status)
}

func (h *heardWriter) Write(p []byte) (int, error) {
	h.body.Write(p)
	return h.ResponseWriter.Write(p)
}

var (
	usedErrors  sync.Map // indexes of descriptionErrors
	complaining sync.Map // complaints that were made, so that each is made once
)

func complain(t *testing.T, operation, of string, err error) {
	for _, problem := range flatProblems(err) {
		text := of + ": " + firstLine(problem)
		at := slices.IndexFunc(descriptionErrors, func(known descriptionError) bool {
			return (known.operation == "*" || known.operation == operation) && strings.Contains(text, known.says)
		})
		if at >= 0 {
			usedErrors.Store(at, true)
			continue
		}
		if _, again := complaining.LoadOrStore(operation+text, true); !again {
			t.Errorf("Cloudflare's description of %s forbids this %s", operation, text)
		}
	}
}

// flatProblems takes apart what the validator found at once. What each branch of a choice says is left in.
func flatProblems(err error) []error {
	var below []error
	switch problem := err.(type) { // the validator's own nesting is what is walked
	case nil:
		return nil
	case openapi3.MultiError:
		below = problem
	case *openapi3filter.RequestError:
		if problem.Err == nil || problem.Parameter != nil {
			return []error{err}
		}
		below = []error{problem.Err}
	case *openapi3filter.ResponseError:
		if problem.Err == nil {
			return []error{err}
		}
		below = []error{problem.Err}
	case *openapi3.SchemaError:
		if problem.SchemaField != "allOf" || problem.Origin == nil {
			return []error{err}
		}
		below = []error{problem.Origin}
	default:
		return []error{err}
	}
	var out []error
	for _, one := range below {
		out = append(out, flatProblems(one)...)
	}
	return out
}

func firstLine(err error) string {
	if schema, isSchema := err.(*openapi3.SchemaError); isSchema { // what is within is a branch of a choice
		return "/" + strings.Join(schema.JSONPointer(), "/") + ": " + schema.Reason
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// TestMain sees to it that no excuse outlives its cause.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if whole && code == 0 {
		for i, known := range descriptionErrors {
			if _, used := usedErrors.Load(i); !used && !strings.HasPrefix(known.reason, wranglerOnly) {
				fmt.Printf("no test needs this error of the description any more, remove it: %+v\n", known)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// TestEveryCallIsDescribedOrNamed finds calls that are served without a description and without a word about why.
func TestEveryCallIsDescribedOrNamed(t *testing.T) {
	router, err := description()
	if err != nil {
		t.Fatal(err)
	}
	cloud, _ := startFake(t, t.TempDir())
	named := map[string]bool{}
	for _, route := range cloud.routes() {
		method, path, _ := strings.Cut(route.pattern, " ")
		// A placeholder stands for itself here: a path parameter takes any text.
		asked := &http.Request{Method: method, URL: &url.URL{Path: strings.NewReplacer("{", "", "}", "", "...", "").Replace(path)}, Header: http.Header{}}
		if _, _, err := router.FindRoute(asked); err == nil {
			continue
		}
		excused := false
		for call := range undescribed {
			if strings.HasPrefix(route.pattern, call) {
				named[call], excused = true, true
			}
		}
		if !excused {
			t.Errorf("%s is not described by Cloudflare; say in undescribed where it was taken from", route.pattern)
		}
	}
	for call := range undescribed {
		if !named[call] {
			t.Errorf("%s is described, or not served any more", call)
		}
	}
}
