package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"

	"github.com/penstock-ci/penstock/internal/promotion"
)

const (
	attempts    = 4                // of a call that may be repeated
	readTimeout = 40 * time.Second // of one attempt to read; D1 ends a query after 30 s
	maxWait     = 30 * time.Second // longest that we do what Retry-After asks; Cloudflare's own ban lasts five minutes
	maxAnswer   = 32 << 20         // bytes of one answer
)

// guard stands around every request. It repeats what may be repeated, turns every answer that is not a success into an
// [*Error] (also a 200 with success:false, which the SDK would take for an answer), and every silence into
// [promotion.ErrUnreachable].
//
// What may be repeated: reads; and a change that certainly did not happen, which is one that could not be dialled or was
// turned away with 429. A change whose reply was lost is never repeated here: whoever asked for it looks first.
func (c *Client) guard(read bool) option.Middleware {
	return func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		for attempt := 1; ; attempt++ {
			res, err := c.once(req, next, read)
			if err == nil || attempt == attempts || req.Context().Err() != nil {
				return res, err
			}
			wait, again := c.again(err, read, attempt)
			if !again {
				return nil, err
			}
			if err := sleep(req.Context(), wait); err != nil {
				return nil, err
			}
			if req.GetBody != nil {
				if req.Body, err = req.GetBody(); err != nil {
					return nil, fmt.Errorf("rewind the request's body: %w", err)
				}
			}
		}
	}
}

// again says whether the failed call may be repeated, and after how long.
func (c *Client) again(err error, read bool, attempt int) (time.Duration, bool) {
	wait := c.backoff << (attempt - 1)
	var answer *Error
	if errors.As(err, &answer) {
		if answer.RetryAfter > maxWait {
			return 0, false
		}
		wait = max(wait, answer.RetryAfter)
		if answer.Status == http.StatusTooManyRequests {
			return wait, true
		}
		return wait, read && answer.Status >= 500
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return wait, true
	}
	return wait, read
}

func (c *Client) once(req *http.Request, next option.MiddlewareNext, read bool) (*http.Response, error) {
	parent := req.Context()
	if read {
		ctx, cancel := context.WithTimeout(parent, readTimeout)
		defer cancel()
		req = req.WithContext(ctx)
	}
	res, err := next(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
		_ = res.Body.Close()
		if err == nil {
			return check(req, res, body)
		}
	}
	if parent.Err() != nil {
		return nil, parent.Err()
	}
	return nil, fmt.Errorf("%w: %s %s: %w", promotion.ErrUnreachable, req.Method, req.URL.Path, err)
}

// check makes an error of every answer that is not a success.
func check(req *http.Request, res *http.Response, body []byte) (*http.Response, error) {
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer to %s %s is larger than %d MiB", req.Method, req.URL.Path, maxAnswer>>20)
	}
	var envelope struct {
		Success *bool `json:"success"`
	}
	isEnvelope := json.Unmarshal(body, &envelope) == nil && envelope.Success != nil
	if res.StatusCode/100 != 2 || (isEnvelope && !*envelope.Success) {
		return nil, refusal(req, res, body)
	}
	if !isEnvelope {
		return nil, fmt.Errorf("%w: %s %s: the answer is not Cloudflare's: no \"success\" in it", promotion.ErrUnreachable, req.Method, req.URL.Path)
	}
	// JSON often comes as text/plain, which the SDK would not decode.
	res.Header.Set("Content-Type", "application/json")
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// refusal makes an error of an answer that is not a success.
func refusal(req *http.Request, res *http.Response, body []byte) *Error {
	var envelope struct {
		Errors []Detail `json:"errors"`
	}
	_ = json.Unmarshal(body, &envelope) // what is no envelope has no details
	return &Error{
		Method: req.Method, Path: req.URL.Path, Status: res.StatusCode,
		Details: envelope.Errors, RetryAfter: retryAfter(res.Header.Get("Retry-After")),
	}
}

// retryAfter reads the header's two forms (RFC 9110, 10.2.3); zero when there is none.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
