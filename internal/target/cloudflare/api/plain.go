package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Download reads a signed URL, which needs no token and must not get it. At most limit bytes are read. A reply that ends
// early is an error, so that half a file is never taken for one.
func (c *Client) Download(ctx context.Context, address string, into io.Writer, limit int64) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, fmt.Errorf("the signed URL is none: %w", hideQuery(err))
	}
	_, n, err := c.plain(req, into, limit)
	return n, err
}

// Put writes a body to a signed URL and returns the ETag of the answer, without its quotes.
func (c *Client) Put(ctx context.Context, address string, body io.Reader, size int64) (etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, body)
	if err != nil {
		return "", fmt.Errorf("the signed URL is none: %w", hideQuery(err))
	}
	req.ContentLength = size
	res, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: put to a signed URL: %w", promotion.ErrUnreachable, hideQuery(err))
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return "", fmt.Errorf("the signed URL answered %s to the upload", res.Status)
	}
	return strings.Trim(res.Header.Get("ETag"), `"`), nil
}

// object is an address in the account's own storage that answers with bytes, not with an envelope.
func (c *Client) object(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.address+"/accounts/"+c.account+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// GetObject reads an object of an R2 bucket. [ErrNotFound] when there is none.
func (c *Client) GetObject(ctx context.Context, bucket, key string, into io.Writer, limit int64) (int64, error) {
	req, err := c.object(ctx, http.MethodGet, "/r2/buckets/"+url.PathEscape(bucket)+"/objects/"+escapeKey(key), nil)
	if err != nil {
		return 0, err
	}
	_, n, err := c.plain(req, into, limit)
	return n, err
}

// PutObject writes an object of an R2 bucket.
func (c *Client) PutObject(ctx context.Context, bucket, key string, body io.Reader, size int64) error {
	req, err := c.object(ctx, http.MethodPut, "/r2/buckets/"+url.PathEscape(bucket)+"/objects/"+escapeKey(key), body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	_, _, err = c.plain(req, io.Discard, maxAnswer)
	return err
}

// valueWait is for how long one key is asked for again while Cloudflare says "too many requests": it lets a token ask 1200
// times in five minutes, and shuts it out for as long.
// Source: https://developers.cloudflare.com/fundamentals/api/reference/limits/
const valueWait = 6 * time.Minute

// Value reads the value of a key of a KV namespace. It is asked for again like every read, and patiently: a namespace has more
// keys than Cloudflare answers for at once. [NoSuchKey] says whether an error means that there is none.
func (c *Client) Value(ctx context.Context, namespace, key string, limit int64) ([]byte, error) {
	until := time.Now().Add(valueWait)
	for attempt := 1; ; attempt++ {
		req, err := c.object(ctx, http.MethodGet, "/storage/kv/namespaces/"+namespace+"/values/"+url.PathEscape(key), nil)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		_, _, err = c.plain(req, &value, limit)
		if err == nil || ctx.Err() != nil || !errors.Is(err, promotion.ErrUnreachable) {
			return value.Bytes(), err
		}
		wait := min(c.backoff<<(attempt-1), maxWait)
		var answer *Error
		if errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests {
			wait = max(wait, answer.RetryAfter)
		} else if attempt == attempts {
			return nil, err
		}
		if time.Now().Add(wait).After(until) {
			return nil, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// codeNoSuchKey is Cloudflare's for a key that a KV namespace does not have.
const codeNoSuchKey = 10009

// NoSuchKey reports whether an answer says that a KV namespace has no such key. Any other 404, as of the namespace, says
// nothing about it.
func NoSuchKey(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Has(codeNoSuchKey)
}

// plain sends a request whose answer is bytes.
func (c *Client) plain(req *http.Request, into io.Writer, limit int64) (header http.Header, n int64, err error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", promotion.ErrUnreachable, req.Method, hideQuery(err))
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		said, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %s answered %s: %w", promotion.ErrUnreachable, req.URL.Path, res.Status, err)
		}
		return nil, 0, refusal(req, res, said)
	}
	n, err = io.Copy(into, io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return res.Header, n, fmt.Errorf("%w: the answer broke off after %d bytes: %w", promotion.ErrUnreachable, n, hideQuery(err))
	case n > limit:
		return res.Header, n, fmt.Errorf("it is larger than %d MiB", limit>>20)
	case res.ContentLength >= 0 && n != res.ContentLength:
		return res.Header, n, fmt.Errorf("%w: %d of %d bytes came", promotion.ErrUnreachable, n, res.ContentLength)
	}
	return res.Header, n, nil
}

// hideQuery keeps a signed URL out of an error: its query is the permission.
func hideQuery(err error) error {
	if failed, ok := err.(*url.Error); ok { //nolint:errorlint // net/http returns it unwrapped
		return failed.Err
	}
	return err
}

// escapeKey keeps the slashes of an object's key.
func escapeKey(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
