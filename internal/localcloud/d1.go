package localcloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) databaseRoutes() []route {
	const all, one = "/accounts/{account}/d1/database", "/accounts/{account}/d1/database/{database}"
	return []route{
		{"GET " + all, c.listDatabases},
		{"POST " + all, c.addDatabase},
		{"GET " + one, c.getDatabase},
		{"DELETE " + one, c.deleteDatabase},
		{"POST " + one + "/query", c.queryDatabase},
		{"POST " + one + "/raw", c.rawDatabase},
		{"POST " + one + "/export", c.exportDatabase},
		{"POST " + one + "/import", c.importDatabase},
		{"GET " + one + "/time_travel/bookmark", c.getBookmark},
		{"POST " + one + "/time_travel/restore", c.restoreDatabase},
	}
}

func (c *Cloud) database(r *http.Request) (store.Database, error) {
	id := r.PathValue("database")
	database, err := c.store.Database(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Database{}, refuse(http.StatusNotFound, codeDatabaseNotFound, "The database %s could not be found", id)
	}
	return database, err
}

func describeDatabase(database store.Database) map[string]any {
	return map[string]any{
		"uuid": database.ID, "name": database.Name, "created_at": database.CreatedAt, "version": "production",
		"num_tables": nil, "file_size": nil, "jurisdiction": nil, "running_in_region": "LOCAL",
	}
}

func (c *Cloud) listDatabases(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	databases, err := c.store.Databases(r.Context())
	if err != nil {
		return nil, err
	}
	out, name := []map[string]any{}, r.URL.Query().Get("name")
	for _, database := range databases {
		if strings.Contains(database.Name, name) {
			out = append(out, describeDatabase(database))
		}
	}
	return paged(r, out, 100)
}

func (c *Cloud) addDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Name string `json:"name"`
	}](r)
	if err != nil {
		return nil, err
	}
	if request.Name == "" || len(request.Name) > 64 || strings.ContainsAny(request.Name, "/\\ \t\n") {
		return nil, refuse(http.StatusBadRequest, codeDatabaseBusyOrBad, "Invalid database name %q", request.Name)
	}
	database := store.Database{ID: uuid.NewString(), Name: request.Name, CreatedAt: now()}
	err = c.store.AddDatabase(r.Context(), database)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse(http.StatusBadRequest, codeDatabaseExists, "A database with the name '%s' already exists", request.Name)
	}
	return ok(describeDatabase(database)), err
}

// getDatabase tells the size and the number of tables too, which asks the database itself.
func (c *Cloud) getDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	out := describeDatabase(database)
	if out["file_size"], err = c.databases.Size(database.ID); err != nil {
		return nil, err
	}
	out["read_replication"] = map[string]any{"mode": "disabled"}
	out["num_tables"], err = c.countTables(r.Context(), database.ID)
	return ok(out), err
}

func (c *Cloud) deleteDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	ctx := context.WithoutCancel(r.Context())
	if err := c.store.DeleteDatabase(ctx, database.ID); err != nil {
		return nil, err
	}
	return ok(nil), c.databases.Delete(ctx, database.ID)
}

// queryRequest is one statement, or several under batch; the SQL of one may hold several statements too.
type queryRequest struct {
	SQL    string         `json:"sql"`
	Params []any          `json:"params"`
	Batch  []queryRequest `json:"batch"`
}

func (q queryRequest) statements() []runtime.Statement {
	if len(q.Batch) == 0 {
		return []runtime.Statement{{SQL: q.SQL, Params: q.Params}}
	}
	var out []runtime.Statement
	for _, one := range q.Batch {
		out = append(out, runtime.Statement{SQL: one.SQL, Params: one.Params})
	}
	return out
}

// query runs what the body says, as one batch that happens whole or not at all.
func (c *Cloud) query(r *http.Request) ([]runtime.D1Result, error) {
	database, err := c.database(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[queryRequest](r)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	results, err := c.databases.Query(r.Context(), database.ID, request.statements())
	observer{c}.Query(runtime.Query{
		Database: database.ID, At: began, Duration: time.Since(began), Statements: request.statements(), Results: results, Failed: err != nil,
	})
	return results, sqlRefusal(err)
}

// sqlRefusal turns the database's own no into Cloudflare's answer.
func sqlRefusal(err error) error {
	var refused *runtime.SQLError
	if errors.As(err, &refused) {
		return refuse(http.StatusBadRequest, codeDatabaseSQL, "%s", refused.Message)
	}
	return err
}

func (c *Cloud) queryDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	results, err := c.query(r)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, result := range results {
		out = append(out, map[string]any{"results": append([]json.RawMessage{}, result.Objects()...), "success": true, "meta": result.Meta})
	}
	return ok(out), nil
}

func (c *Cloud) rawDatabase(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	results, err := c.query(r)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, result := range results {
		out = append(out, map[string]any{"success": true, "meta": result.Meta, "results": map[string]any{
			"columns": append([]string{}, result.Columns...), "rows": append([][]json.RawMessage{}, result.Rows...),
		}})
	}
	return ok(out), nil
}

// countTables counts those of the user.
func (c *Cloud) countTables(ctx context.Context, database string) (count int, err error) {
	results, err := c.databases.Query(ctx, database, []runtime.Statement{{SQL: "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND " + userSchema}})
	if err != nil {
		return 0, sqlRefusal(err)
	}
	err = json.Unmarshal(results[0].Rows[0][0], &count)
	return count, err
}
