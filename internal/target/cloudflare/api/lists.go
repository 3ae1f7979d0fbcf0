package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Key is a key of a KV namespace.
type Key struct {
	Name       string          `json:"name"`
	Expiration float64         `json:"expiration"` // seconds since 1970; 0 for never
	Metadata   json.RawMessage `json:"metadata"`
}

// Keys lists every key of a namespace.
func (c *Client) Keys(ctx context.Context, namespace string) ([]Key, error) {
	return everyCursor(func(page []option.RequestOption, into *answer[[]Key]) error {
		params := kv.NamespaceKeyListParams{}
		params.AccountID.Value = c.account
		_, err := kv.NewNamespaceKeyService(c.base...).List(ctx, namespace, params, c.reading(into, page...)...)
		return err
	})
}

// Objects lists the keys of a bucket's objects that begin with prefix.
func (c *Client) Objects(ctx context.Context, bucket, prefix string) ([]string, error) {
	type object struct {
		Key string `json:"key"`
	}
	objects, err := everyCursor(func(page []option.RequestOption, into *answer[[]object]) error {
		params := r2.BucketObjectListParams{}
		params.AccountID.Value = c.account
		_, err := r2.NewBucketObjectService(c.base...).List(ctx, bucket, params, c.reading(into, append(page, option.WithQuery("prefix", prefix))...)...)
		return err
	})
	keys := make([]string, 0, len(objects))
	for _, object := range objects {
		keys = append(keys, object.Key)
	}
	return keys, err
}

// maxCursors bounds a list, so that a server that gives the same cursor again and again does not keep us for ever.
const maxCursors = 100_000

// everyCursor asks for page after page until an answer has no cursor.
func everyCursor[T any](fetch func(page []option.RequestOption, into *answer[[]T]) error) ([]T, error) {
	var all []T
	cursor := ""
	for range maxCursors {
		var page []option.RequestOption
		if cursor != "" {
			page = append(page, option.WithQuery("cursor", cursor))
		}
		var got answer[[]T]
		if err := fetch(page, &got); err != nil {
			return nil, err
		}
		all = append(all, got.Result...)
		next := got.ResultInfo.Cursor
		if next == "" {
			return all, nil
		}
		if next == cursor {
			break
		}
		cursor = next
	}
	return nil, fmt.Errorf("%w: the list has no end", promotion.ErrUnreachable)
}

// VectorIndex reads what a Vectorize index is made of, as Cloudflare tells it. [ErrNotFound] when there is none.
func (c *Client) VectorIndex(ctx context.Context, name string) (json.RawMessage, error) {
	req, err := c.object(ctx, http.MethodGet, "/vectorize/v2/indexes/"+url.PathEscape(name), nil)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if _, _, err := c.plain(req, &body, maxAnswer); err != nil {
		return nil, err
	}
	var got answer[json.RawMessage]
	if err := json.Unmarshal(body.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("%w: the answer is not Cloudflare's: %w", promotion.ErrUnreachable, err)
	}
	return got.Result, nil
}
