package localcloud

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) zoneRoutes() []route {
	return []route{
		{"GET /zones", c.listZones},
		{"POST /zones", c.addZone},
		{"GET /zones/{zone}", c.getZone},
		{"DELETE /zones/{zone}", c.deleteZone},
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

// registrable is the part of a host name that somebody can own, and that a zone is named by: example.co.uk of
// app.example.co.uk. Empty when there is none, as for co.uk and for addresses.
func registrable(host string) string {
	name, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil || net.ParseIP(host) != nil {
		return ""
	}
	return name
}

// listZones makes the zone that is asked for by name, if it can be one. A real account knows its zones; here those that
// are named come to be. Clients look for the zone of a host by cutting labels off its front until one is found.
func (c *Cloud) listZones(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	query := r.URL.Query()
	name := strings.ToLower(query.Get("name"))
	if name != "" && registrable(name) == name {
		if _, err := c.store.EnsureZone(r.Context(), name); err != nil {
			return nil, err
		}
	}
	zones, err := c.store.Zones(r.Context())
	if err != nil {
		return nil, err
	}
	account, status := query.Get("account.id"), query.Get("status")
	out := []map[string]any{}
	for _, zone := range zones {
		if (name == "" || zone.Name == name) && (account == "" || account == c.identity.AccountID) && (status == "" || status == "active") {
			out = append(out, c.describeZone(zone))
		}
	}
	return pagedOfZone(r, out, 20)
}

func (c *Cloud) addZone(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Name    string `json:"name"`
		Account struct {
			ID string `json:"id"`
		} `json:"account"`
	}](r)
	if err != nil {
		return nil, err
	}
	if request.Account.ID != c.identity.AccountID {
		return nil, refuse(http.StatusForbidden, codeInvalidToken, "account %q is not one of this token's", request.Account.ID)
	}
	name := strings.ToLower(request.Name)
	if name == "" || registrable(name) != name {
		return nil, refuse(http.StatusBadRequest, codeBadQuery, "zone name %q is not one that can be registered: example.com, not www.example.com", request.Name)
	}
	zones, err := c.store.Zones(r.Context())
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(zones, func(zone store.Zone) bool { return zone.Name == name }) {
		return nil, refuse(http.StatusBadRequest, codeZoneExists, "%s already exists", name)
	}
	zone, err := c.store.EnsureZone(r.Context(), name)
	return ok(c.describeZone(zone)), err
}

// deleteZone takes its routes, custom domains, settings and certificates with it.
func (c *Cloud) deleteZone(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"id": zone.ID}), c.store.DeleteZone(r.Context(), zone.ID)
}

// zoneAbove finds the zone that a host belongs to, the closest one.
func (c *Cloud) zoneAbove(ctx context.Context, host string) (store.Zone, bool, error) {
	zones, err := c.store.Zones(ctx)
	best := store.Zone{}
	for _, zone := range zones {
		if (host == zone.Name || strings.HasSuffix(host, "."+zone.Name)) && len(zone.Name) > len(best.Name) {
			best = zone
		}
	}
	return best, best.Name != "", err
}

func (c *Cloud) getZone(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	return ok(c.describeZone(zone)), nil
}

// zoneOf finds the zone that a client names for a host, or else the one that the host belongs to, which is made when it is
// the first host of it.
func (c *Cloud) zoneOf(ctx context.Context, id, name, host string) (store.Zone, error) {
	if id != "" {
		zone, err := c.store.Zone(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return store.Zone{}, noZone(id)
		}
		return zone, err
	}
	if name == "" {
		zone, found, err := c.zoneAbove(ctx, host)
		if found || err != nil {
			return zone, err
		}
		name = registrable(host)
	}
	if name == "" || registrable(name) == "" {
		return store.Zone{}, refuse(http.StatusBadRequest, codeBadDomain, "no zone can have the host %s", host)
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
