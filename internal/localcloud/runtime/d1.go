package runtime

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

//go:embed d1worker.js
var d1Worker []byte

// D1 runs SQL on databases that live as SQLite Durable Objects in one long-lived workerd, so that D1's own rules hold:
// what Cloudflare refuses is refused here. A database comes to be when it is first used. Methods are safe for concurrent
// use.
type D1 struct {
	runtime *Runtime
	folder  string     // holds the databases' files
	locks   keyedLocks // per database: queries share, file copies exclude

	mu     sync.Mutex
	worker *kept // nil until the first use
	closed bool
}

// d1UniqueKey names the databases' folder and seeds their IDs; another value would lose all of them.
const d1UniqueKey = "penstock-d1"

func newD1(r *Runtime) *D1 {
	return &D1{runtime: r, folder: filepath.Join(r.dir, "d1", d1UniqueKey)}
}

// Statement is one or several SQL statements separated by semicolons. Params are JSON values: nil, bool, numbers, strings
// and []byte (a blob) or an array of byte values, as D1 encodes blobs; with several statements in SQL, they are bound to
// the last one.
type Statement struct {
	SQL    string
	Params []any
}

// D1Result is what one statement gave.
type D1Result struct {
	Columns []string
	// Rows hold one JSON value per column, exactly as D1 encodes it: null, number, string, or an array of bytes for a blob.
	Rows [][]json.RawMessage
	Meta D1Meta
}

// Objects returns the rows as JSON objects whose members keep the order of the columns; for columns of the same name the
// last one wins.
func (r D1Result) Objects() []json.RawMessage {
	objects := make([]json.RawMessage, 0, len(r.Rows))
	names := make([][]byte, len(r.Columns))
	last := map[string]int{}
	for i, c := range r.Columns {
		name, err := json.Marshal(c)
		if err != nil {
			panic(fmt.Sprintf("encode a string: %v", err))
		}
		names[i] = name
		last[c] = i
	}
	for _, row := range r.Rows {
		var b bytes.Buffer
		b.WriteByte('{')
		for i, value := range row {
			if last[r.Columns[i]] != i {
				continue
			}
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.Write(names[i])
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteByte('}')
		objects = append(objects, b.Bytes())
	}
	return objects
}

// D1Meta is D1's account of one statement; it encodes to the API's own member names.
type D1Meta struct {
	ServedBy    string  `json:"served_by"`
	Duration    float64 `json:"duration"` // milliseconds; an equal part of its batch's, for workerd's clock stands still meanwhile
	Changes     int64   `json:"changes"`
	LastRowID   int64   `json:"last_row_id"`
	ChangedDB   bool    `json:"changed_db"`
	SizeAfter   int64   `json:"size_after"` // bytes
	RowsRead    int64   `json:"rows_read"`
	RowsWritten int64   `json:"rows_written"`
}

// SQLError is the database's own refusal, without D1's prefixes: "no such table: users: SQLITE_ERROR". It is an answer
// about the SQL; any other error means that the database could not be asked.
type SQLError struct {
	Message string
}

func (e *SQLError) Error() string { return e.Message }

// Query runs the statements as one batch, in order, in one transaction: when one fails, none has happened and the error is
// a *SQLError. There is one result per SQL statement, which is more than len(statements) where a Statement holds several.
func (d *D1) Query(ctx context.Context, databaseID string, statements []Statement) ([]D1Result, error) {
	batch, err := encodeBatch(statements)
	if err != nil {
		return nil, err
	}
	lock, done := d.locks.get(databaseID)
	lock.RLock()
	defer done()
	defer lock.RUnlock()
	started := time.Now()
	var answer struct {
		Error   string
		Results []struct {
			Columns []string
			Rows    [][]json.RawMessage
			Meta    D1Meta
		}
	}
	if err := d.ask(ctx, databaseID, "/query", batch, &answer); err != nil {
		return nil, fmt.Errorf("query database %s: %w", databaseID, err)
	}
	if answer.Error != "" {
		return nil, &SQLError{Message: answer.Error}
	}
	each := float64(time.Since(started).Microseconds()) / 1000 / float64(max(len(answer.Results), 1))
	results := make([]D1Result, len(answer.Results))
	for i, r := range answer.Results {
		r.Meta.ServedBy, r.Meta.Duration = "penstock.local", each
		results[i] = D1Result{Columns: r.Columns, Rows: r.Rows, Meta: r.Meta}
	}
	return results, nil
}

// encodeBatch splits the statements and writes them as the database's worker reads them.
func encodeBatch(statements []Statement) ([]byte, error) {
	type one struct {
		SQL    string `json:"sql"`
		Params []any  `json:"params"`
	}
	var batch []one
	for _, s := range statements {
		parts := SplitSQL(s.SQL)
		for i, text := range parts {
			params := []any{}
			if i == len(parts)-1 {
				for _, p := range s.Params {
					params = append(params, d1Param(p))
				}
			}
			batch = append(batch, one{SQL: text, Params: params})
		}
	}
	if len(batch) == 0 {
		return nil, &SQLError{Message: "No SQL statements detected."}
	}
	text, err := json.Marshal(batch)
	if err != nil {
		return nil, fmt.Errorf("encode SQL parameters: %w", err)
	}
	return text, nil
}

// d1Param turns a parameter into what SQLite can bind: it knows no booleans, and JSON knows no blobs.
func d1Param(p any) any {
	switch v := p.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case []byte:
		numbers := make([]int, len(v))
		for i, b := range v {
			numbers[i] = int(b)
		}
		return numbers
	}
	return p
}

// ask sends one request to a database's object. The caller holds the database's lock.
func (d *D1) ask(ctx context.Context, databaseID, path string, body []byte, answer any) error {
	text, err := d.post(ctx, databaseID, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode its answer: %w", err)
	}
	return nil
}

func (d *D1) post(ctx context.Context, databaseID, path string, body []byte) ([]byte, error) {
	worker, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer worker.leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://d1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(headerKey, worker.launch.key)
	req.Header.Set("x-object", objectID(d1UniqueKey, databaseID))
	res, err := workerTransport{worker: worker, version: entrySocket}.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s: %.200s", res.Status, text)
	}
	return text, nil
}

// enter takes a hold on the data workerd, which it starts at the first use.
func (d *D1) enter(ctx context.Context) (*kept, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	if d.worker == nil {
		// The worker outlives the request that happened to come first.
		worker, _, err := d.runtime.launch(context.WithoutCancel(ctx), "d1", d.plan(), func(string) {})
		if err != nil {
			return nil, err
		}
		d.worker = worker
	}
	return d.worker, d.worker.enter()
}

func (d *D1) plan() *plan {
	config := "using Workerd = import \"/workerd/workerd.capnp\";\n" +
		"const config :Workerd.Config = (\n" +
		"  services = [\n" +
		"    (name = \"d1\", worker = (\n" +
		"      modules = [(name = \"d1worker.js\", esModule = embed \"d1worker.js\")],\n" +
		"      compatibilityDate = " + capnpText(entryDate) + ",\n" +
		"      bindings = [\n" +
		"        (name = \"KEY\", fromEnvironment = " + capnpText(entryKeyEnv) + "),\n" +
		"        (name = \"DATABASES\", durableObjectNamespace = \"Database\")],\n" +
		"      durableObjectNamespaces = [(className = \"Database\", uniqueKey = " + capnpText(d1UniqueKey) +
		", enableSql = true)],\n" +
		"      durableObjectStorage = (localDisk = \"files\"))),\n" +
		"    (name = \"files\", disk = (path = " + capnpText(filepath.Dir(d.folder)) + ", writable = true))],\n" +
		"  sockets = [(name = " + capnpText(entrySocket) + ", address = \"127.0.0.1:0\", service = \"d1\")]);\n"
	return &plan{config: config, files: []planFile{{name: "d1worker.js", body: d1Worker}}, sockets: []string{entrySocket}}
}

// Size is the database file's length in bytes, with what SQLite has not folded into it yet; 0 for one that was never used.
func (d *D1) Size(databaseID string) (int64, error) {
	var size int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(d.file(databaseID) + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, fmt.Errorf("measure database %s: %w", databaseID, err)
		}
		if err == nil {
			size += info.Size()
		}
	}
	return size, nil
}

// file is where a database is kept. It need not exist.
func (d *D1) file(databaseID string) string {
	return filepath.Join(d.folder, objectID(d1UniqueKey, databaseID)+".sqlite")
}

// objectID is the ID that workerd gives to a named Durable Object: 16 bytes of HMAC-SHA256 over the name, and 16 over
// those (src/workerd/server/actor-id-impl.c++). workerd checks the second half, so a change there would not go unnoticed.
func objectID(uniqueKey, name string) string {
	key := sha256.Sum256([]byte(uniqueKey))
	mac := func(text []byte) []byte {
		h := hmac.New(sha256.New, key[:])
		h.Write(text)
		return h.Sum(nil)[:16]
	}
	base := mac([]byte(name))
	return hex.EncodeToString(append(base, mac(base)...))
}

// close stops the data workerd for good, after the queries that run.
func (d *D1) close() {
	d.mu.Lock()
	d.closed = true
	worker := d.worker
	d.mu.Unlock()
	if worker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		worker.drain(ctx, true)
		worker.retire()
	}
}
