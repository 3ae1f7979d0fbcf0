package api

import (
	"context"
	"encoding/json"

	"github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/option"
)

// Database is a D1 database.
type Database struct {
	ID   string `json:"uuid"`
	Name string `json:"name"`
}

// Databases lists the account's databases.
func (c *Client) Databases(ctx context.Context) ([]Database, error) {
	return everyPage(func(page []option.RequestOption, into *answer[[]Database]) error {
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
	err := c.query(ctx, database, sql, c.reading(&got))
	return got.Result, err
}

// Execute runs SQL that changes something.
func (c *Client) Execute(ctx context.Context, database, sql string) ([]QueryResult, error) {
	var got answer[[]QueryResult]
	err := c.query(ctx, database, sql, c.changing(&got))
	return got.Result, err
}

func (c *Client) query(ctx context.Context, database, sql string, options []option.RequestOption) error {
	params := d1.DatabaseQueryParams{}
	params.AccountID.Value = c.account
	body := struct {
		SQL string `json:"sql"`
	}{sql}
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
