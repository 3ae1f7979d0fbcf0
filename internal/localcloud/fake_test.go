package localcloud

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// fakeWorkers stands in for the runtime: it remembers what is deployed, answers with it, and refuses code that says so.
type fakeWorkers struct {
	mutex   sync.Mutex
	scripts map[string]runtime.Script
	closed  bool

	observer runtime.Observer // who would hear of calls
}

func (f *fakeWorkers) Apply(_ context.Context, script runtime.Script) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, version := range script.Versions {
		for _, module := range version.Modules {
			if strings.Contains(string(module.Body), "syntax error") {
				return &runtime.StartError{Script: script.Name, Output: "Uncaught SyntaxError: Unexpected token"}
			}
		}
	}
	f.scripts[script.Name] = script
	return nil
}

func (f *fakeWorkers) Remove(_ context.Context, script string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	delete(f.scripts, script)
	return nil
}

func (f *fakeWorkers) script(name string) (runtime.Script, bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	script, found := f.scripts[name]
	return script, found
}

// Handler answers with the shares, as "script id=percentage …".
func (f *fakeWorkers) Handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		script, found := f.script(name)
		if !found {
			http.Error(w, "error code: 1042", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, name)
		for _, share := range script.Shares {
			fmt.Fprintf(w, " %s=%g", share.VersionID, share.Percentage)
		}
	})
}

func (f *fakeWorkers) Close(context.Context) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return errors.New("closed twice")
	}
	f.closed = true
	return nil
}

// fakeDatabases runs single statements on SQLite files. It has none of D1's own rules: those are tested against workerd.
type fakeDatabases struct {
	dir string
}

func (f fakeDatabases) file(database string) string { return filepath.Join(f.dir, database+".sqlite") }

func (f fakeDatabases) open(database string) (*sql.DB, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	return sql.Open("sqlite", f.file(database))
}

func (f fakeDatabases) Query(ctx context.Context, database string, statements []runtime.Statement) ([]runtime.D1Result, error) {
	db, err := f.open(database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var results []runtime.D1Result
	for _, statement := range statements {
		result, err := query(ctx, db, statement)
		if err != nil {
			return nil, &runtime.SQLError{Message: err.Error()}
		}
		results = append(results, result)
	}
	return results, nil
}

func query(ctx context.Context, db *sql.DB, statement runtime.Statement) (result runtime.D1Result, err error) {
	found, err := db.QueryContext(ctx, statement.SQL, statement.Params...)
	if err != nil {
		return result, err
	}
	defer found.Close()
	if result.Columns, err = found.Columns(); err != nil {
		return result, err
	}
	for found.Next() {
		values, pointers := make([]any, len(result.Columns)), make([]any, len(result.Columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := found.Scan(pointers...); err != nil {
			return result, err
		}
		row := make([]json.RawMessage, len(values))
		for i, value := range values {
			if row[i], err = json.Marshal(value); err != nil {
				return result, err
			}
		}
		result.Rows = append(result.Rows, row)
	}
	return result, found.Err()
}

func (f fakeDatabases) Snapshot(ctx context.Context, database, toFile string) error {
	db, err := f.open(database)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", toFile)
	return err
}

func (f fakeDatabases) Restore(_ context.Context, database, fromFile string) error {
	copied, err := os.ReadFile(fromFile)
	if err != nil {
		return err
	}
	return os.WriteFile(f.file(database), copied, 0o600)
}

func (f fakeDatabases) Delete(_ context.Context, database string) error {
	err := os.Remove(f.file(database))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (f fakeDatabases) Size(database string) (int64, error) {
	info, err := os.Stat(f.file(database))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// startFake starts a Cloud on the fake runtime.
func startFake(t *testing.T, dir string) (*Cloud, *fakeWorkers) {
	t.Helper()
	fake := &fakeWorkers{scripts: map[string]runtime.Script{}}
	cloud, err := Start(t.Context(), Options{Dir: dir, witness: func(api http.Handler) http.Handler { return witness(t, api) }, start: func(options runtime.Options) (workers, databases, error) {
		fake.observer = options.Observer
		return fake, fakeDatabases{filepath.Join(dir, "d1")}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fake.mutex.Lock()
		closed := fake.closed
		fake.mutex.Unlock()
		if !closed {
			stop(t, cloud)
		}
	})
	return cloud, fake
}

func stop(t *testing.T, cloud *Cloud) {
	t.Helper()
	if err := cloud.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// request calls the API below the prefix; @ in the path stands for the account. The answer's body is closed by the test's end.
func request(t *testing.T, cloud *Cloud, method, path string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	info := cloud.Info()
	r, err := http.NewRequestWithContext(t.Context(), method, info.APIURL+strings.Replace(path, "@", "/accounts/"+info.AccountID, 1), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+info.Token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// reply is a decoded envelope.
type reply struct {
	Status   int
	Success  bool            `json:"success"`
	Errors   []notice        `json:"errors"`
	Messages []notice        `json:"messages"`
	Result   json.RawMessage `json:"result"`
	Info     *pageInfo       `json:"result_info"`
}

// code is the code of the refusal, 0 for a success.
func (r reply) code() int {
	if len(r.Errors) == 0 {
		return 0
	}
	return r.Errors[0].Code
}

// get reads a value out of the result by a path such as versions.0.percentage; nil when there is none.
func (r reply) get(t *testing.T, path string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(r.Result, &value); err != nil {
		t.Fatalf("result %s: %v", r.Result, err)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch at := value.(type) {
		case map[string]any:
			value = at[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(at) {
				return nil
			}
			value = at[i]
		default:
			return nil
		}
	}
	return value
}

func read(t *testing.T, response *http.Response) reply {
	t.Helper()
	got := reply{Status: response.StatusCode}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got.Success != (got.Status < 300) || got.Success != (len(got.Errors) == 0) {
		t.Errorf("status %d, success %v and errors %v do not agree", got.Status, got.Success, got.Errors)
	}
	return got
}

// send calls the API with a JSON body, or none when body is nil.
func send(t *testing.T, cloud *Cloud, method, path string, body any) reply {
	t.Helper()
	if body == nil {
		return read(t, request(t, cloud, method, path, nil))
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, request(t, cloud, method, path, strings.NewReader(string(text)), "Content-Type", "application/json"))
}

// succeed is send for calls that must not be refused.
func succeed(t *testing.T, cloud *Cloud, method, path string, body any) reply {
	t.Helper()
	got := send(t, cloud, method, path, body)
	if !got.Success {
		t.Fatalf("%s %s: %d %v", method, path, got.Status, got.Errors)
	}
	return got
}
