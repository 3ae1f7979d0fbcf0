package localcloud

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) zoneRoutes() []route {
	return []route{
		{"GET /zones", c.listZones},
		{"GET /zones/{zone}", c.getZone},
	}
}

func (c *Cloud) describeZone(zone store.Zone) map[string]any {
	return map[string]any{
		"id": zone.ID, "name": zone.Name, "status": "active", "paused": false, "type": "full", "development_mode": 0,
		"name_servers": []string{"a.ns.localhost", "b.ns.localhost"}, "original_name_servers": nil, "original_registrar": nil, "original_dnshost": nil,
		"created_on": zone.CreatedAt, "modified_on": zone.CreatedAt, "activated_on": zone.CreatedAt,
		"account": map[string]any{"id": c.identity.AccountID, "name": "Local Cloudflare"},
		"owner":   map[string]any{"id": c.identity.AccountID, "name": "Local Cloudflare", "type": "organization"},
		"meta":    map[string]any{}, "permissions": []string{}, "plan": map[string]any{"id": "local", "name": "Local"},
	}
}

// listZones makes the zone that is asked for by name, if it can be one: a name of two labels. Clients look for the zone of
// a host by cutting labels off its front until one is found.
func (c *Cloud) listZones(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	name := r.URL.Query().Get("name")
	if strings.Count(name, ".") == 1 {
		if _, err := c.store.EnsureZone(r.Context(), name); err != nil {
			return nil, err
		}
	}
	zones, err := c.store.Zones(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, zone := range zones {
		if name == "" || zone.Name == name {
			out = append(out, c.describeZone(zone))
		}
	}
	return paged(r, out, 20)
}

func (c *Cloud) getZone(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	return ok(c.describeZone(zone)), nil
}

// zoneOf finds the zone for a host: its last two labels. A real account knows its zones; here the ones that are named
// come to be.
func (c *Cloud) zoneOf(ctx context.Context, id, name, host string) (store.Zone, error) {
	if id != "" {
		zone, err := c.store.Zone(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return store.Zone{}, noZone(id)
		}
		return zone, err
	}
	if name == "" {
		labels := strings.Split(host, ".")
		name = strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	return c.store.EnsureZone(ctx, name)
}

func noZone(id string) error {
	return refuse(http.StatusNotFound, codeZoneNotFound, "Invalid zone identifier %s", id)
}

func (c *Cloud) zone(r *http.Request) (store.Zone, error) {
	zone, err := c.store.Zone(r.Context(), r.PathValue("zone"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Zone{}, noZone(r.PathValue("zone"))
	}
	return zone, err
}
