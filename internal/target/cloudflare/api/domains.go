package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// CustomDomains lists the custom domains that lead to a Worker.
func (c *Client) CustomDomains(ctx context.Context, script string) ([]CustomDomain, error) {
	var got answer[[]CustomDomain]
	params := workers.DomainListParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewDomainService(c.base...).List(ctx, params, c.reading(&got, option.WithQuery("service", script))...)
	var own []CustomDomain
	for _, domain := range got.Result {
		if domain.Service == script {
			own = append(own, domain)
		}
	}
	return own, err
}

// Origin is a host that is to be a custom domain.
type Origin struct {
	Hostname string `json:"hostname"`
	ZoneID   string `json:"zone_id,omitempty"`
	ZoneName string `json:"zone_name,omitempty"`
}

// SetCustomDomains makes the hosts a Worker's custom domains, all of them and no others, as wrangler does. take says that a
// host which leads to another Worker is taken from it; without it that is refused. DNS records of other makings are never
// replaced.
func (c *Client) SetCustomDomains(ctx context.Context, script string, origins []Origin, take bool) error {
	body, err := json.Marshal(struct {
		Scope          bool     `json:"override_scope"`
		ExistingOrigin bool     `json:"override_existing_origin"`
		ExistingRecord bool     `json:"override_existing_dns_record"`
		Origins        []Origin `json:"origins"`
	}{true, take, false, origins})
	if err != nil {
		return err
	}
	// The SDK does not know this call.
	return c.sendJSON(ctx, http.MethodPut, "/accounts/"+c.account+"/workers/scripts/"+url.PathEscape(script)+"/domains/records", body)
}

// RawRoute is a route with everything that Cloudflare tells of it.
type RawRoute map[string]json.RawMessage

// Text is a field of the route.
func (r RawRoute) Text(key string) string {
	var text string
	if json.Unmarshal(r[key], &text) != nil {
		return ""
	}
	return text
}

// RawRoutes lists a zone's routes whole, to be written back as they were.
func (c *Client) RawRoutes(ctx context.Context, zone string) ([]RawRoute, error) {
	var got answer[[]RawRoute]
	params := workers.RouteListParams{}
	params.ZoneID.Value = zone
	_, err := workers.NewRouteService(c.base...).List(ctx, params, c.reading(&got)...)
	return got.Result, err
}

// LeadRoute leads a route to a Worker and leaves everything else of it as it is.
func (c *Client) LeadRoute(ctx context.Context, zone string, route RawRoute, script string) error {
	body := map[string]json.RawMessage{}
	for key, value := range route {
		if key != "id" {
			body[key] = value
		}
	}
	name, err := json.Marshal(script)
	if err != nil {
		return err
	}
	body["script"] = name
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.sendJSON(ctx, http.MethodPut, "/zones/"+url.PathEscape(zone)+"/workers/routes/"+url.PathEscape(route.Text("id")), encoded)
}

// sendJSON makes a change by a call that the SDK lacks, or whose body it would narrow.
func (c *Client) sendJSON(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.guard(false)(req, func(req *http.Request) (*http.Response, error) { return c.http.Do(req) })
	if err != nil {
		return err
	}
	return res.Body.Close()
}
