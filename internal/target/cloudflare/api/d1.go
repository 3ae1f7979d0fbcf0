package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/option"
)

// Database is a D1 database.
type Database struct {
	ID   string `json:"uuid"`
	Name string `json:"name"`
}

// DatabaseNamed finds a database by its name; [ErrNotFound] when there is none.
func (c *Client) DatabaseNamed(ctx context.Context, name string) (Database, error) {
	found, err := everyPage(perPage, func(page []option.RequestOption, into *answer[[]Database]) error {
		params := d1.DatabaseListParams{}
		params.AccountID.Value = c.account
		// Cloudflare takes the name for a part of one.
		_, err := d1.NewDatabaseService(c.base...).List(ctx, params, c.reading(into, append(page, option.WithQuery("name", name))...)...)
		return err
	})
	if err != nil {
		return Database{}, err
	}
	for _, database := range found {
		if database.Name == name {
			return database, nil
		}
	}
	return Database{}, fmt.Errorf("D1 database %s %w", name, ErrNotFound)
}

// Databases lists the account's databases.
func (c *Client) Databases(ctx context.Context) ([]Database, error) {
	return everyPage(perPage, func(page []option.RequestOption, into *answer[[]Database]) error {
		params := d1.DatabaseListParams{}
		params.AccountID.Value = c.account
		_, err := d1.NewDatabaseService(c.base...).List(ctx, params, c.reading(into, page...)...)
		return err
	})
}

// CreateDatabase makes an empty one.
func (c *Client) CreateDatabase(ctx context.Context, name string) (Database, error) {
	var got answer[Database]
	params := d1.DatabaseNewParams{}
	params.AccountID.Value = c.account
	body := struct {
		Name string `json:"name"`
	}{name}
	_, err := d1.NewDatabaseService(c.base...).New(ctx, params, c.changing(&got, jsonBody(body))...)
	return got.Result, err
}

// QueryResult is what one statement of a query gave.
type QueryResult struct {
	// Success may be false although the answer as a whole is a success and carries no error.
	Success bool              `json:"success"`
	Error   string            `json:"error"`
	Results []json.RawMessage `json:"results"` // rows as objects
}

// Select runs SQL that only reads, and may be repeated.
func (c *Client) Select(ctx context.Context, database, sql string) ([]QueryResult, error) {
	var got answer[[]QueryResult]
	err := c.query(ctx, database, sql, nil, c.reading(&got))
	return got.Result, err
}

// SelectWith is Select of a statement with parameters, which are texts in Cloudflare's API.
func (c *Client) SelectWith(ctx context.Context, database, sql string, params []string) ([]QueryResult, error) {
	var got answer[[]QueryResult]
	err := c.query(ctx, database, sql, params, c.reading(&got))
	return got.Result, err
}

// ExecuteWith is Execute of a statement with parameters.
func (c *Client) ExecuteWith(ctx context.Context, database, sql string, params []string) ([]QueryResult, error) {
	var got answer[[]QueryResult]
	err := c.query(ctx, database, sql, params, c.changing(&got))
	return got.Result, err
}

// Execute runs SQL that changes something.
func (c *Client) Execute(ctx context.Context, database, sql string) ([]QueryResult, error) {
	var got answer[[]QueryResult]
	err := c.query(ctx, database, sql, nil, c.changing(&got))
	return got.Result, err
}

func (c *Client) query(ctx context.Context, database, sql string, values []string, options []option.RequestOption) error {
	params := d1.DatabaseQueryParams{}
	params.AccountID.Value = c.account
	body := struct {
		SQL    string   `json:"sql"`
		Params []string `json:"params,omitempty"`
	}{sql, values}
	_, err := d1.NewDatabaseService(c.base...).Query(ctx, database, params, append(options, jsonBody(body))...)
	return err
}

// Bookmark names the database's present state; Time Travel can go back to it for 30 days (7 on the free plan).
func (c *Client) Bookmark(ctx context.Context, database string) (string, error) {
	var got answer[struct {
		Bookmark string `json:"bookmark"`
	}]
	params := d1.DatabaseTimeTravelGetBookmarkParams{}
	params.AccountID.Value = c.account
	_, err := d1.NewDatabaseTimeTravelService(c.base...).GetBookmark(ctx, database, params, c.reading(&got)...)
	return got.Result.Bookmark, err
}

// BookmarkAt names the newest state of the database at that moment.
func (c *Client) BookmarkAt(ctx context.Context, database string, moment time.Time) (string, error) {
	var got answer[struct {
		Bookmark string `json:"bookmark"`
	}]
	params := d1.DatabaseTimeTravelGetBookmarkParams{}
	params.AccountID.Value = c.account
	_, err := d1.NewDatabaseTimeTravelService(c.base...).GetBookmark(ctx, database, params,
		c.reading(&got, option.WithQuery("timestamp", moment.UTC().Format(time.RFC3339Nano)))...)
	return got.Result.Bookmark, err
}

// Restore puts the database back to a bookmark, in place: queries that run are cancelled, and what was written since is
// gone. It returns the bookmark of the state that it replaced, by which it can be undone.
func (c *Client) Restore(ctx context.Context, database, bookmark string) (replaced string, err error) {
	var got answer[struct {
		Bookmark string `json:"bookmark"`
		Previous string `json:"previous_bookmark"`
	}]
	params := d1.DatabaseTimeTravelRestoreParams{}
	params.AccountID.Value = c.account
	_, err = d1.NewDatabaseTimeTravelService(c.base...).Restore(ctx, database, params,
		c.changing(&got, option.WithQuery("bookmark", bookmark))...)
	return got.Result.Previous, err
}

// DeleteDatabase removes a database with everything in it.
func (c *Client) DeleteDatabase(ctx context.Context, database string) error {
	var got answer[json.RawMessage]
	params := d1.DatabaseDeleteParams{}
	params.AccountID.Value = c.account
	_, err := d1.NewDatabaseService(c.base...).Delete(ctx, database, params, c.changing(&got)...)
	return err
}

// Transfer is where an export or an import stands.
type Transfer struct {
	Success    bool     `json:"success"`
	Status     string   `json:"status"` // complete, error; anything else is under way
	Error      string   `json:"error"`
	AtBookmark string   `json:"at_bookmark"`
	Messages   []string `json:"messages"`
	Filename   string   `json:"filename"`
	UploadURL  string   `json:"upload_url"`
	Result     struct {
		SignedURL string `json:"signed_url"`
		Queries   int    `json:"num_queries"`
	} `json:"result"`
}

// Export asks for an export of the database, or, with the bookmark of an earlier answer, how far it is. It changes
// nothing, but the database answers nobody else while it is exported.
func (c *Client) Export(ctx context.Context, database, bookmark string) (Transfer, error) {
	params := d1.DatabaseExportParams{}
	params.AccountID.Value = c.account
	body := struct {
		OutputFormat    string `json:"output_format"`
		CurrentBookmark string `json:"current_bookmark,omitempty"`
	}{"polling", bookmark}
	var got answer[Transfer]
	_, err := d1.NewDatabaseService(c.base...).Export(ctx, database, params, c.reading(&got, jsonBody(body))...)
	return got.Result, err
}

// ImportStep is what an import is asked for.
type ImportStep struct {
	Action          string `json:"action"` // init, ingest, poll
	ETag            string `json:"etag,omitempty"`
	Filename        string `json:"filename,omitempty"`
	CurrentBookmark string `json:"current_bookmark,omitempty"`
}

// Import takes one step of an import: init gives the URL to put the file to, ingest runs it, poll tells how far it is.
func (c *Client) Import(ctx context.Context, database string, step ImportStep) (Transfer, error) {
	params := d1.DatabaseImportParams{}
	params.AccountID.Value = c.account
	var got answer[Transfer]
	options := c.changing(&got, jsonBody(step))
	if step.Action != "ingest" {
		options = c.reading(&got, jsonBody(step))
	}
	_, err := d1.NewDatabaseService(c.base...).Import(ctx, database, params, options...)
	return got.Result, err
}
