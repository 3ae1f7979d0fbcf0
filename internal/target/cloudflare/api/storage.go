package api

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"
)

// Namespace is a KV namespace.
type Namespace struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Namespaces lists the account's KV namespaces.
func (c *Client) Namespaces(ctx context.Context) ([]Namespace, error) {
	return everyPage(perPage, func(page []option.RequestOption, into *answer[[]Namespace]) error {
		params := kv.NamespaceListParams{}
		params.AccountID.Value = c.account
		_, err := kv.NewNamespaceService(c.base...).List(ctx, params, c.reading(into, page...)...)
		return err
	})
}

// CreateNamespace makes an empty one.
func (c *Client) CreateNamespace(ctx context.Context, title string) (Namespace, error) {
	var got answer[Namespace]
	params := kv.NamespaceNewParams{}
	params.AccountID.Value = c.account
	body := struct {
		Title string `json:"title"`
	}{title}
	_, err := kv.NewNamespaceService(c.base...).New(ctx, params, c.changing(&got, jsonBody(body))...)
	return got.Result, err
}

// HasBucket says whether there is an R2 bucket of that name. Jurisdiction is "" for the default one.
func (c *Client) HasBucket(ctx context.Context, name, jurisdiction string) (bool, error) {
	var got answer[json.RawMessage]
	params := r2.BucketGetParams{}
	params.AccountID.Value = c.account
	_, err := r2.NewBucketService(c.base...).Get(ctx, name, params, c.reading(&got, inJurisdiction(jurisdiction)...)...)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// CreateBucket makes an empty one.
func (c *Client) CreateBucket(ctx context.Context, name, jurisdiction string) error {
	var got answer[json.RawMessage]
	params := r2.BucketNewParams{}
	params.AccountID.Value = c.account
	body := struct {
		Name string `json:"name"`
	}{name}
	_, err := r2.NewBucketService(c.base...).New(ctx, params,
		c.changing(&got, append(inJurisdiction(jurisdiction), jsonBody(body))...)...)
	return err
}

func inJurisdiction(jurisdiction string) []option.RequestOption {
	if jurisdiction == "" {
		return nil
	}
	return []option.RequestOption{option.WithHeader("cf-r2-jurisdiction", jurisdiction)}
}
