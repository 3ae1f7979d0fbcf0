package localcloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) workerRouteRoutes() []route {
	return []route{
		{"PUT /accounts/{account}/workers/scripts/{script}/routes", c.setRoutes},
		{"GET /zones/{zone}/workers/routes", c.listRoutes},
		{"POST /zones/{zone}/workers/routes", c.putRoute},
		{"GET /zones/{zone}/workers/routes/{route}", c.getRoute},
		{"PUT /zones/{zone}/workers/routes/{route}", c.putRoute},
		{"DELETE /zones/{zone}/workers/routes/{route}", c.deleteRoute},
	}
}

// patternHost is the host part of a route's pattern, without a scheme and a leading star.
func patternHost(pattern string) string {
	if _, rest, scheme := strings.Cut(pattern, "://"); scheme {
		pattern = rest
	}
	host, _, _ := strings.Cut(pattern, "/")
	return strings.TrimPrefix(strings.TrimPrefix(host, "*"), ".")
}

func checkPattern(pattern string) error {
	host := patternHost(pattern)
	_, path, _ := strings.Cut(pattern, "/")
	if !strings.Contains(host, ".") || strings.Contains(host, "*") || strings.Contains(strings.TrimSuffix(path, "*"), "*") {
		return refuse(http.StatusBadRequest, codeBadRoute, "route pattern %q is not valid: a host, with * at its start or at the end of the path only", pattern)
	}
	return nil
}

// setRoutes makes a script's routes exactly those that are sent.
func (c *Cloud) setRoutes(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[[]struct {
		Pattern  string `json:"pattern"`
		ZoneID   string `json:"zone_id"`
		ZoneName string `json:"zone_name"`
	}](r)
	if err != nil {
		return nil, err
	}
	routes := []store.Route{}
	for _, one := range request {
		if err := checkPattern(one.Pattern); err != nil {
			return nil, err
		}
		zone, err := c.zoneOf(r.Context(), one.ZoneID, one.ZoneName, patternHost(one.Pattern))
		if err != nil {
			return nil, err
		}
		routes = append(routes, store.Route{ID: store.NewID(), ZoneID: zone.ID, Pattern: one.Pattern, Script: script.Name})
	}
	if err := routeTaken(c.store.SetScriptRoutes(r.Context(), script.Name, routes)); err != nil {
		return nil, err
	}
	patterns := []string{}
	for _, route := range routes {
		patterns = append(patterns, route.Pattern)
	}
	return ok(patterns), nil
}

func routeTaken(err error) error {
	if errors.Is(err, store.ErrExists) {
		return refuse(http.StatusConflict, codeRouteTaken, "A route with the same pattern already exists.")
	}
	return err
}

func describeRoute(route store.Route) map[string]any {
	return map[string]any{"id": route.ID, "pattern": route.Pattern, "script": route.Script}
}

func (c *Cloud) zoneRoutesOf(r *http.Request) ([]store.Route, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	routes, err := c.store.Routes(r.Context())
	return slices.DeleteFunc(routes, func(route store.Route) bool { return route.ZoneID != zone.ID }), err
}

func (c *Cloud) listRoutes(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	routes, err := c.zoneRoutesOf(r)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, route := range routes {
		out = append(out, describeRoute(route))
	}
	return ok(out), nil
}

func (c *Cloud) getRoute(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	routes, err := c.zoneRoutesOf(r)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(routes, func(route store.Route) bool { return route.ID == r.PathValue("route") })
	if at < 0 {
		return nil, noRoute(r)
	}
	return ok(describeRoute(routes[at])), nil
}

func noRoute(r *http.Request) error {
	return refuse(http.StatusNotFound, codeBadRoute, "route %s does not exist", r.PathValue("route"))
}

// putRoute creates a route, or changes the one that the path names.
func (c *Cloud) putRoute(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	routes, err := c.zoneRoutesOf(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[store.Route](r)
	if err != nil {
		return nil, err
	}
	route := store.Route{ID: r.PathValue("route"), ZoneID: r.PathValue("zone"), Pattern: request.Pattern, Script: request.Script}
	if route.ID == "" {
		route.ID = store.NewID()
	} else if !slices.ContainsFunc(routes, func(one store.Route) bool { return one.ID == route.ID }) {
		return nil, noRoute(r)
	}
	if err := checkPattern(route.Pattern); err != nil {
		return nil, err
	}
	if err := routeTaken(c.store.PutRoute(r.Context(), route)); err != nil {
		return nil, err
	}
	return ok(describeRoute(route)), nil
}

func (c *Cloud) deleteRoute(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	err := c.store.DeleteRoute(r.Context(), r.PathValue("zone"), r.PathValue("route"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, noRoute(r)
	}
	return ok(map[string]any{"id": r.PathValue("route")}), err
}
