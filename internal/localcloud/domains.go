package localcloud

import (
	"context"
	"net/http"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) domainRoutes() []route {
	return []route{
		{"PUT /accounts/{account}/workers/scripts/{script}/domains/records", c.setDomains},
		{"GET /accounts/{account}/workers/domains", c.listDomains},
		{"PUT /accounts/{account}/workers/domains", c.putDomain},
		{"GET /accounts/{account}/workers/domains/{domain}", c.getDomain},
		{"DELETE /accounts/{account}/workers/domains/{domain}", c.deleteDomain},
	}
}

func (c *Cloud) describeDomain(ctx context.Context, domain store.Domain) (map[string]any, error) {
	zone, err := c.store.Zone(ctx, domain.ZoneID)
	return map[string]any{
		"id": domain.ID, "hostname": domain.Hostname, "service": domain.Script, "environment": "production",
		"zone_id": zone.ID, "zone_name": zone.Name, "cert_id": "",
	}, err
}

// setDomains attaches the host names that a script is to answer for, and detaches its others.
func (c *Cloud) setDomains(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Origins []struct {
			Hostname string `json:"hostname"`
			ZoneID   string `json:"zone_id"`
			ZoneName string `json:"zone_name"`
		} `json:"origins"`
	}](r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	kept, out := []string{}, []map[string]any{}
	for _, origin := range request.Origins {
		described, err := c.attach(ctx, script.Name, origin.Hostname, origin.ZoneID, origin.ZoneName)
		if err != nil {
			return nil, err
		}
		kept, out = append(kept, origin.Hostname), append(out, described)
	}
	domains, err := c.store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	for _, domain := range domains {
		if domain.Script == script.Name && !slices.Contains(kept, domain.Hostname) {
			if err := c.store.DeleteDomain(ctx, domain.ID); err != nil {
				return nil, err
			}
		}
	}
	return ok(out), nil
}

func (c *Cloud) attach(ctx context.Context, script, host, zoneID, zoneName string) (map[string]any, error) {
	zone, err := c.zoneOf(ctx, zoneID, zoneName, host)
	if err != nil {
		return nil, err
	}
	domain, err := c.store.PutDomain(ctx, store.Domain{ID: store.NewID(), ZoneID: zone.ID, Hostname: host, Script: script})
	if err != nil {
		return nil, err
	}
	return c.describeDomain(ctx, domain)
}

func (c *Cloud) putDomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Hostname string `json:"hostname"`
		Service  string `json:"service"`
		ZoneID   string `json:"zone_id"`
		ZoneName string `json:"zone_name"`
	}](r)
	if err != nil {
		return nil, err
	}
	r.SetPathValue("script", request.Service)
	if _, err := c.script(r); err != nil {
		return nil, err
	}
	described, err := c.attach(r.Context(), request.Service, request.Hostname, request.ZoneID, request.ZoneName)
	return ok(described), err
}

func (c *Cloud) listDomains(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	domains, err := c.store.Domains(r.Context())
	if err != nil {
		return nil, err
	}
	out, query := []map[string]any{}, r.URL.Query()
	for _, domain := range domains {
		described, err := c.describeDomain(r.Context(), domain)
		if err != nil {
			return nil, err
		}
		fits := true
		for _, filter := range []string{"hostname", "service", "zone_id", "zone_name", "environment"} {
			fits = fits && (query.Get(filter) == "" || query.Get(filter) == described[filter])
		}
		if fits {
			out = append(out, described)
		}
	}
	return paged(r, out, 100)
}

func (c *Cloud) domain(r *http.Request) (store.Domain, error) {
	domains, err := c.store.Domains(r.Context())
	if err != nil {
		return store.Domain{}, err
	}
	at := slices.IndexFunc(domains, func(domain store.Domain) bool { return domain.ID == r.PathValue("domain") })
	if at < 0 {
		return store.Domain{}, refuse(http.StatusNotFound, codeDomainNotFound, "domain %s does not exist", r.PathValue("domain"))
	}
	return domains[at], nil
}

func (c *Cloud) getDomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	domain, err := c.domain(r)
	if err != nil {
		return nil, err
	}
	described, err := c.describeDomain(r.Context(), domain)
	return ok(described), err
}

func (c *Cloud) deleteDomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	domain, err := c.domain(r)
	if err != nil {
		return nil, err
	}
	return ok(nil), c.store.DeleteDomain(r.Context(), domain.ID)
}
