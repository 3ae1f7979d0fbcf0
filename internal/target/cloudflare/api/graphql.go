package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// permissionAnalytics is what a token needs for it, in the words of Cloudflare's token page.
const permissionAnalytics = `"Account > Account Analytics > Read" (of a zone: "Zone > Analytics > Read")`

// Analytics puts one GraphQL query about the account and decodes its part of the answer (below viewer.accounts[0]). The
// variable accountTag is filled in. Reads are repeated like all others. [ErrDenied] is wrapped when the token may not ask.
//
// cloudflare-go does not have this API. Cloudflare allows 300 queries in five minutes.
func (c *Client) Analytics(ctx context.Context, query string, variables map[string]any, into any) error {
	asked := map[string]any{"accountTag": c.account}
	maps.Copy(asked, variables)
	return c.askAnalytics(ctx, query, asked, func(viewer viewer) []json.RawMessage { return viewer.Accounts }, into)
}

// ZoneAnalytics is [Client.Analytics] about one zone: its part of the answer is below viewer.zones[0].
func (c *Client) ZoneAnalytics(ctx context.Context, query string, variables map[string]any, into any) error {
	return c.askAnalytics(ctx, query, variables, func(viewer viewer) []json.RawMessage { return viewer.Zones }, into)
}

// viewer is what the token sees.
type viewer struct {
	Accounts []json.RawMessage `json:"accounts"`
	Zones    []json.RawMessage `json:"zones"`
}

func (c *Client) askAnalytics(ctx context.Context, query string, asked map[string]any, part func(viewer) []json.RawMessage, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": asked})
	if err != nil {
		return fmt.Errorf("ask the analytics: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err := c.analyticsOnce(ctx, body, part, into)
		if err == nil || attempt == attempts || ctx.Err() != nil {
			return err
		}
		wait, again := c.again(err, true, attempt)
		if !again || errors.Is(err, ErrDenied) || !errors.Is(err, promotion.ErrUnreachable) {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *Client) analyticsOnce(ctx context.Context, body []byte, part func(viewer) []json.RawMessage, into any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address+"/graphql", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the analytics: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: ask the analytics: %w", promotion.ErrUnreachable, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: read the analytics: %w", promotion.ErrUnreachable, err)
	}
	var got struct {
		Data struct {
			Viewer viewer `json:"viewer"`
		} `json:"data"`
		Errors []graphQLError `json:"errors"`
	}
	decoded := len(text) <= maxAnswer && json.Unmarshal(text, &got) == nil
	if response.StatusCode/100 != 2 {
		failed := &Error{Method: http.MethodPost, Path: "/graphql", Status: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"))}
		for _, one := range got.Errors {
			failed.Details = append(failed.Details, Detail{Message: one.Message})
		}
		return failed
	}
	switch {
	case !decoded:
		return fmt.Errorf("%w: the analytics answered something that is no JSON of theirs", promotion.ErrUnreachable)
	case len(got.Errors) > 0:
		return refusedQuery(got.Errors)
	}
	answers := part(got.Data.Viewer)
	if len(answers) != 1 {
		return fmt.Errorf("the analytics answered for %d accounts or zones, one was asked for; check that the API token has the permission %s: %w",
			len(answers), permissionAnalytics, ErrDenied)
	}
	if err := json.Unmarshal(answers[0], into); err != nil {
		return fmt.Errorf("read the analytics: %w", err)
	}
	return nil
}

// graphQLError is one reason why a query was not answered.
type graphQLError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

func refusedQuery(reasons []graphQLError) error {
	said := make([]string, 0, len(reasons))
	denied := false
	for _, reason := range reasons {
		said = append(said, reason.Message)
		denied = denied || reason.Extensions.Code == "authz" || reason.Extensions.Code == "authn"
	}
	text := "the analytics refused the query: " + strings.Join(said, "; ")
	if denied {
		return fmt.Errorf("%s; check that the API token has the permission %s: %w", text, permissionAnalytics, ErrDenied)
	}
	return errors.New(text)
}
