package localcloud

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) domainRoutes() []route {
	return []route{
		{"PUT /accounts/{account}/workers/scripts/{script}/domains/records", c.setDomains},
		{"POST /accounts/{account}/workers/scripts/{script}/domains/changeset", c.compareDomains},
		{"GET /accounts/{account}/workers/domains", c.listDomains},
		{"GET /accounts/{account}/workers/domains/records", c.listDomains},
		{"GET /accounts/{account}/workers/domains/records/{domain}", c.getDomain},
		{"PUT /accounts/{account}/workers/domains", c.putDomain},
		{"GET /accounts/{account}/workers/domains/{domain}", c.getDomain},
		{"DELETE /accounts/{account}/workers/domains/{domain}", c.deleteDomain},
	}
}

func (c *Cloud) describeDomain(ctx context.Context, domain store.Domain) (map[string]any, error) {
	zone, err := c.store.Zone(ctx, domain.ZoneID)
	if err != nil {
		return nil, err
	}
	certificate, err := c.ensureCertificate(ctx, zone, domain.Hostname)
	return map[string]any{
		"id": domain.ID, "hostname": domain.Hostname, "service": domain.Script, "environment": "production",
		"zone_id": zone.ID, "zone_name": zone.Name, "cert_id": certificate, "enabled": true, "previews_enabled": false,
	}, err
}

// origin is a host name that a script is to answer for.
type origin struct {
	Hostname string `json:"hostname"`
	ZoneID   string `json:"zone_id"`
	ZoneName string `json:"zone_name"`
}

// setDomains attaches the host names that a script is to answer for, and detaches its others. One that another script has
// is taken from it only when the request says so.
func (c *Cloud) setDomains(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		OverrideScope  *bool    `json:"override_scope"`
		OverrideOrigin bool     `json:"override_existing_origin"`
		Origins        []origin `json:"origins"`
	}](r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	domains, err := c.store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	kept, out := []string{}, []map[string]any{}
	for _, one := range request.Origins {
		if at := slices.IndexFunc(domains, hasHost(one.Hostname)); at >= 0 && domains[at].Script != script.Name && !request.OverrideOrigin {
			return nil, refuse(http.StatusConflict, codeDomainTaken, "Hostname '%s' already serves the Worker '%s'; set override_existing_origin to take it.", one.Hostname, domains[at].Script)
		}
	}
	for _, one := range request.Origins {
		described, err := c.attach(ctx, script.Name, one)
		if err != nil {
			return nil, err
		}
		kept, out = append(kept, strings.ToLower(one.Hostname)), append(out, described)
	}
	for _, domain := range domains {
		if domain.Script == script.Name && !slices.Contains(kept, domain.Hostname) {
			if err := c.detach(ctx, domain); err != nil {
				return nil, err
			}
		}
	}
	return ok(out), nil
}

func hasHost(host string) func(store.Domain) bool {
	return func(domain store.Domain) bool { return domain.Hostname == strings.ToLower(host) }
}

// compareDomains tells what setDomains would change, and changes nothing.
func (c *Cloud) compareDomains(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	origins, err := decode[[]origin](r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	domains, err := c.store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	added, updated, removed := []any{}, []any{}, []any{}
	for _, one := range origins {
		at := slices.IndexFunc(domains, hasHost(one.Hostname))
		if at < 0 {
			added = append(added, map[string]any{"id": "", "hostname": one.Hostname, "service": script.Name, "environment": "production", "zone_id": one.ZoneID, "zone_name": one.ZoneName})
			continue
		}
		described, err := c.describeDomain(ctx, domains[at])
		if err != nil {
			return nil, err
		}
		described["modified"] = domains[at].Script != script.Name
		updated = append(updated, described)
	}
	for _, domain := range domains {
		wanted := slices.ContainsFunc(origins, func(one origin) bool { return strings.ToLower(one.Hostname) == domain.Hostname })
		if r.URL.Query().Get("replace_state") != "true" || domain.Script != script.Name || wanted {
			continue
		}
		described, err := c.describeDomain(ctx, domain)
		if err != nil {
			return nil, err
		}
		removed = append(removed, described)
	}
	return ok(map[string]any{"added": added, "updated": updated, "removed": removed, "conflicting": []any{}}), nil
}

// attach gives a script a host name and the host name its certificate.
func (c *Cloud) attach(ctx context.Context, script string, wanted origin) (map[string]any, error) {
	host := strings.ToLower(wanted.Hostname)
	zone, err := c.zoneOf(ctx, wanted.ZoneID, wanted.ZoneName, host)
	if err != nil {
		return nil, err
	}
	if host != zone.Name && !strings.HasSuffix(host, "."+zone.Name) || strings.ContainsAny(host, "*/: ") {
		return nil, refuse(http.StatusBadRequest, codeBadDomain, "hostname %q is not one of zone %s", wanted.Hostname, zone.Name)
	}
	domain, err := c.store.PutDomain(ctx, store.Domain{ID: store.NewID(), ZoneID: zone.ID, Hostname: host, Script: script})
	if err != nil {
		return nil, err
	}
	return c.describeDomain(ctx, domain)
}

// detach takes a host name and its certificate away.
func (c *Cloud) detach(ctx context.Context, domain store.Domain) error {
	if err := c.store.DeleteDomain(ctx, domain.ID); err != nil {
		return err
	}
	return c.dropCertificate(ctx, domain.ZoneID, domain.Hostname)
}

func (c *Cloud) putDomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		origin
		Service string `json:"service"`
	}](r)
	if err != nil {
		return nil, err
	}
	r.SetPathValue("script", request.Service)
	if _, err := c.script(r); err != nil {
		return nil, err
	}
	described, err := c.attach(r.Context(), request.Service, request.origin)
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
	return ok(nil), c.detach(r.Context(), domain)
}
