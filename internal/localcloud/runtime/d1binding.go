package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// d1BodyLimit bounds one request of a D1 binding, in bytes: a batch of statements of 100 KB and their parameters.
const d1BodyLimit = 100 << 20

// serveD1 speaks the protocol of workerd's src/cloudflare/internal/d1-api.ts: a statement or an array of them, with the
// form of the rows in the query string.
func (d *dataPlane) serveD1(w http.ResponseWriter, r *http.Request, database string) {
	if r.URL.Path != "/query" && r.URL.Path != "/execute" {
		writeJSON(w, map[string]any{"success": false, "error": "dump() is not available for this database"})
		return
	}
	statements, err := decodeStatements(http.MaxBytesReader(w, r.Body, d1BodyLimit))
	if err != nil {
		writeJSON(w, map[string]any{"success": false, "error": "the request is not understood: " + err.Error()})
		return
	}
	began := time.Now()
	results, err := d.runtime.d1.Query(r.Context(), database, statements)
	d.runtime.observer.Query(Query{Database: database, At: began, Duration: time.Since(began), Statements: statements, Results: results, Failed: err != nil})
	if err != nil {
		message := err.Error()
		if !errors.As(err, new(*SQLError)) {
			d.runtime.log.Error("binding failed", "operation", "D1 query", "error", err)
			message = "internal error"
		}
		writeJSON(w, map[string]any{"success": false, "error": message})
		return
	}
	answer := make([]map[string]any, len(results))
	for i, result := range results {
		var rows any = result.Objects()
		if r.URL.Query().Get("resultsFormat") == "ROWS_AND_COLUMNS" {
			if result.Rows == nil {
				result.Rows = [][]json.RawMessage{}
			}
			rows = map[string]any{"columns": result.Columns, "rows": result.Rows}
		}
		answer[i] = map[string]any{"success": true, "results": rows, "meta": result.Meta}
	}
	writeJSON(w, answer)
}

func decodeStatements(body io.Reader) ([]Statement, error) {
	type one struct {
		SQL    string `json:"sql"`
		Params []any  `json:"params"`
	}
	var text json.RawMessage
	if err := json.NewDecoder(body).Decode(&text); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a float64 would lose digits of large integers
	var list []one
	if bytes.HasPrefix(text, []byte("[")) {
		if err := decoder.Decode(&list); err != nil {
			return nil, err
		}
	} else {
		list = make([]one, 1)
		if err := decoder.Decode(&list[0]); err != nil {
			return nil, err
		}
	}
	statements := make([]Statement, len(list))
	for i, s := range list {
		statements[i] = Statement(s)
	}
	return statements, nil
}
