package dagger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"dagger.io/dagger/engineconn"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// recording is what a real engine answered to one scenario, session by session.
type recording struct {
	// ID makes the recorded stages ones that the engine had never seen.
	ID       string      `json:"id"`
	Sessions [][]traffic `json:"sessions"`
}

// traffic is one exchange, or one event of the log stream.
type traffic struct {
	Query  string            `json:"query,omitempty"`
	Answer json.RawMessage   `json:"answer,omitempty"`
	Files  map[string][]byte `json:"files,omitempty"` // what an export wrote, by path below the folder; "" for a file
	Log    string            `json:"log,omitempty"`   // a "data:" line
	After  int               `json:"after,omitempty"` // queries that had been sent when it came
}

// exports finds where a query has the engine write to.
var exports = regexp.MustCompile(`export\(.*?path: ?"([^"]+)"`)

// names makes what differs from run to run the same.
type names struct{ pairs []string }

// runID is the part of a path that is another one in each run.
var runID = regexp.MustCompile(`/work/[0-9]{6}-[0-9]{6}-[0-9a-f]{4}/`)

func (n names) hide(text string) string {
	return runID.ReplaceAllString(strings.NewReplacer(n.pairs...).Replace(text), "/work/run/")
}

func (n names) show(text string) string {
	back := make([]string, len(n.pairs))
	for i := 0; i < len(n.pairs); i += 2 {
		back[i], back[i+1] = n.pairs[i+1], n.pairs[i]
	}
	return strings.NewReplacer(back...).Replace(text)
}

// canonical is a query with its arguments in order; Dagger's SDK sends them in another one each time.
func canonical(query string) (string, error) {
	parsed, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, query)
	}
	var sortIn func(ast.SelectionSet)
	sortIn = func(set ast.SelectionSet) {
		for _, selection := range set {
			if field, ok := selection.(*ast.Field); ok {
				slices.SortFunc(field.Arguments, func(a, b *ast.Argument) int { return strings.Compare(a.Name, b.Name) })
				sortIn(field.SelectionSet)
			}
		}
	}
	for _, operation := range parsed.Operations {
		sortIn(operation.SelectionSet)
	}
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent(" ")).FormatQueryDocument(parsed)
	return b.String(), nil
}

func queryOf(request *http.Request) (string, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return "", err
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	var sent struct{ Query string }
	if err := json.Unmarshal(body, &sent); err != nil {
		return "", fmt.Errorf("%w: %s", err, body)
	}
	return canonical(sent.Query)
}

// recorder stands between an executor and a real engine.
type recorder struct {
	engineconn.EngineConn
	names names

	mu      sync.Mutex
	queries int
	traffic []traffic
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet {
		answer, err := r.EngineConn.Do(request)
		if err == nil {
			answer.Body = &teeLines{ReadCloser: answer.Body, line: r.hear}
		}
		return answer, err
	}
	query, err := queryOf(request)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.queries++
	r.mu.Unlock()
	answer, err := r.EngineConn.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	exchange := traffic{Query: r.names.hide(query), Answer: json.RawMessage(r.names.hide(string(body)))}
	if to := exports.FindStringSubmatch(query); to != nil {
		exchange.Files = readAll(to[1])
	}
	r.mu.Lock()
	r.traffic = append(r.traffic, exchange)
	r.mu.Unlock()
	return answer, nil
}

func (r *recorder) hear(line string) {
	if !strings.HasPrefix(line, "data: {") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traffic = append(r.traffic, traffic{Log: resource.ReplaceAllString(r.names.hide(line), ""), After: r.queries})
}

// resource is which engine on which machine a record is from.
var resource = regexp.MustCompile(`"resource":\{"attributes":\[[^]]*\]\},`)

// teeLines tells of each line that is read through it.
type teeLines struct {
	io.ReadCloser
	line func(string)
	rest string
}

func (t *teeLines) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.rest += string(p[:n])
	for {
		line, rest, whole := strings.Cut(t.rest, "\n")
		if !whole {
			return n, err
		}
		t.line(line)
		t.rest = rest
	}
}

func readAll(root string) map[string][]byte {
	files := map[string][]byte{}
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			relative, _ := filepath.Rel(root, path)
			if relative == "." {
				relative = ""
			}
			if files[filepath.ToSlash(relative)], err = os.ReadFile(path); err != nil {
				panic(err)
			}
		}
		return nil
	})
	return files
}

// replay answers as the recorded engine did, and holds every query against that engine's schema.
type replay struct {
	t      *testing.T
	names  names
	schema *ast.Schema

	mu      sync.Mutex
	wake    *sync.Cond
	queries int
	closed  bool
	answers map[string][]traffic
	logs    []traffic
}

func newReplay(t *testing.T, schema *ast.Schema, names names, recorded []traffic) *replay {
	r := &replay{t: t, names: names, schema: schema, answers: map[string][]traffic{}}
	r.wake = sync.NewCond(&r.mu)
	for _, exchange := range recorded {
		if exchange.Log != "" {
			r.logs = append(r.logs, exchange)
		} else {
			r.answers[exchange.Query] = append(r.answers[exchange.Query], exchange)
		}
	}
	return r
}

func (r *replay) Host() string { return "recorded.invalid" }

func (r *replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake.Broadcast()
	return nil
}

func (r *replay) Do(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet {
		reader, writer := io.Pipe()
		go r.tellLogs(request.Context(), writer)
		return &http.Response{StatusCode: http.StatusOK, Body: reader}, nil
	}
	query, err := queryOf(request)
	if err != nil {
		return nil, err
	}
	if _, problems := gqlparser.LoadQueryWithRules(r.schema, query, rules.NewDefaultRules()); len(problems) > 0 {
		r.t.Errorf("the engine's schema does not know the query\n%s\n%v", query, problems)
	}
	hidden := r.names.hide(query)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queries++
	r.wake.Broadcast()
	answers := r.answers[hidden]
	if len(answers) == 0 {
		return nil, fmt.Errorf("this query was not recorded (see docs/dagger.md on how to record again):\n%s", hidden)
	}
	r.answers[hidden] = answers[1:]
	if to := exports.FindStringSubmatch(query); to != nil {
		for path, content := range answers[0].Files {
			full := filepath.Join(to[1], filepath.FromSlash(path))
			if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, content, 0o644)); err != nil {
				return nil, err
			}
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(r.names.show(string(answers[0].Answer)))),
	}, nil
}

// tellLogs says each event when as many queries have been sent as had been when it was recorded.
func (r *replay) tellLogs(ctx context.Context, to *io.PipeWriter) {
	context.AfterFunc(ctx, func() {
		_ = to.CloseWithError(ctx.Err())
		r.wake.Broadcast()
	})
	for _, event := range r.logs {
		r.mu.Lock()
		for r.queries < event.After && !r.closed && ctx.Err() == nil {
			r.wake.Wait()
		}
		r.mu.Unlock()
		if _, err := io.WriteString(to, event.Log+"\n\n"); err != nil {
			return
		}
	}
}
