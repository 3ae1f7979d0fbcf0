package api

import (
	"context"
	"encoding/json"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
	"github.com/cloudflare/cloudflare-go/v7/zones"
)

// AccountSubdomain is the account's part of workers.dev addresses.
func (c *Client) AccountSubdomain(ctx context.Context) (string, error) {
	var got answer[struct {
		Subdomain string `json:"subdomain"`
	}]
	params := workers.SubdomainGetParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewSubdomainService(c.base...).Get(ctx, params, c.reading(&got)...)
	return got.Result.Subdomain, err
}

type scriptSubdomain struct {
	Enabled bool `json:"enabled"`
}

// OnSubdomain says whether the Worker answers on workers.dev.
func (c *Client) OnSubdomain(ctx context.Context, name string) (bool, error) {
	var got answer[scriptSubdomain]
	params := workers.ScriptSubdomainGetParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptSubdomainService(c.base...).Get(ctx, name, params, c.reading(&got)...)
	return got.Result.Enabled, err
}

// SetOnSubdomain makes the Worker answer on workers.dev, or not.
func (c *Client) SetOnSubdomain(ctx context.Context, name string, enabled bool) error {
	var got answer[json.RawMessage]
	params := workers.ScriptSubdomainNewParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptSubdomainService(c.base...).New(ctx, name, params,
		c.changing(&got, jsonBody(scriptSubdomain{enabled}))...)
	return err
}

type schedule struct {
	Cron string `json:"cron"`
}

// Crons lists the Worker's cron expressions.
func (c *Client) Crons(ctx context.Context, name string) ([]string, error) {
	var got answer[struct {
		Schedules []schedule `json:"schedules"`
	}]
	params := workers.ScriptScheduleGetParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptScheduleService(c.base...).Get(ctx, name, params, c.reading(&got)...)
	crons := make([]string, 0, len(got.Result.Schedules))
	for _, s := range got.Result.Schedules {
		crons = append(crons, s.Cron)
	}
	return crons, err
}

// SetCrons replaces them all.
func (c *Client) SetCrons(ctx context.Context, name string, crons []string) error {
	body := make([]schedule, 0, len(crons))
	for _, cron := range crons {
		body = append(body, schedule{cron})
	}
	var got answer[json.RawMessage]
	params := workers.ScriptScheduleUpdateParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptScheduleService(c.base...).Update(ctx, name, params, c.changing(&got, jsonBody(body))...)
	return err
}

// Zone is a domain of the account's.
type Zone struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // active, pending, …
}

// Zones lists the account's zones of that name: one or none.
func (c *Client) Zones(ctx context.Context, name string) ([]Zone, error) {
	var got answer[[]Zone]
	_, err := zones.NewZoneService(c.base...).List(ctx, zones.ZoneListParams{}, c.reading(&got,
		option.WithQuery("name", name), option.WithQuery("account.id", c.account))...)
	return got.Result, err
}

// Route leads a URL pattern to a Worker.
type Route struct {
	ID      string `json:"id,omitempty"`
	Pattern string `json:"pattern"`
	Script  string `json:"script"`
}

// Routes lists a zone's routes.
func (c *Client) Routes(ctx context.Context, zone string) ([]Route, error) {
	var got answer[[]Route]
	params := workers.RouteListParams{}
	params.ZoneID.Value = zone
	_, err := workers.NewRouteService(c.base...).List(ctx, params, c.reading(&got)...)
	return got.Result, err
}

// CreateRoute adds a route to a zone.
func (c *Client) CreateRoute(ctx context.Context, zone string, route Route) error {
	var got answer[json.RawMessage]
	params := workers.RouteNewParams{}
	params.ZoneID.Value = zone
	_, err := workers.NewRouteService(c.base...).New(ctx, params, c.changing(&got, jsonBody(route))...)
	return err
}
