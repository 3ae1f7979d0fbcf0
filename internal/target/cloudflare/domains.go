package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// domainTriggers are the custom domains that do not lead here yet. One that the config no longer has stays, like a route.
func (t *Target) domainTriggers(ctx context.Context) ([]trigger, error) {
	var list []trigger
	for _, route := range t.Worker.AllRoutes() {
		if !route.CustomDomain {
			continue
		}
		domain, err := t.api.CustomDomain(ctx, route.Pattern)
		if err != nil && !errors.Is(err, api.ErrNotFound) {
			return nil, fmt.Errorf("look for the custom domain %s: %w", route.Pattern, err)
		}
		if err != nil {
			list = append(list, trigger{
				event.Change{Action: "create", Kind: kindDomain, Name: route.Pattern, To: t.Worker.Name},
				func(ctx context.Context) error { return t.attachDomain(ctx, route) },
			})
			continue
		}
		if err := t.leadsHere("custom domain "+route.Pattern, domain.Service); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// leadsHere refuses to take what leads to another Worker away from it.
func (t *Target) leadsHere(what, script string) error {
	switch script {
	case t.Worker.Name:
		return nil
	case t.maintenanceWorker():
		return &promotion.MaintenanceError{Environment: t.Environment.Name}
	default:
		return fmt.Errorf("the %s leads to Worker %q; take it away there before Worker %s can have it", what, script, t.Worker.Name)
	}
}

// attachDomain gives the Worker one more custom domain. Cloudflare makes the DNS record and orders the certificate; a record
// that somebody made is not replaced.
func (t *Target) attachDomain(ctx context.Context, route wrangler.Route) error {
	present, err := t.api.CustomDomains(ctx, t.Worker.Name)
	if err != nil {
		return err
	}
	zone := route.ZoneID
	if t.Resources == ByName {
		zone = "" // of another account
	}
	origins := []api.Origin{{Hostname: route.Pattern, ZoneID: zone, ZoneName: route.ZoneName}}
	for _, domain := range present {
		origins = append(origins, api.Origin{Hostname: domain.Hostname, ZoneID: domain.ZoneID, ZoneName: domain.ZoneName})
	}
	return t.api.SetCustomDomains(ctx, t.Worker.Name, origins, false)
}

// certificateTime bounds the wait for a certificate: Cloudflare says minutes, and up to fifteen of them.
const certificateTime = 20 * time.Minute

// awaitCertificates waits until every custom domain of the config has a certificate that is served. told is called when
// what is waited for changes.
func (t *Target) awaitCertificates(ctx context.Context, told func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, certificateTime)
	defer cancel()
	said := map[string]string{}
	for _, route := range t.Worker.AllRoutes() {
		if !route.CustomDomain {
			continue
		}
		for {
			found, err := t.certificate(ctx, route)
			if err != nil {
				return fmt.Errorf("wait for the certificate of %s: %w", route.Pattern, err)
			}
			if found.State == evidence.Present && found.Status == certificateActive {
				break
			}
			status := found.Status
			if status == "" {
				status = "not ordered yet"
			}
			if strings.Contains(status, "timed_out") || status == "expired" {
				return fmt.Errorf("the certificate of %s is %s %s; look at the zone's SSL/TLS page and its CAA records", route.Pattern, status, found.Reason)
			}
			if said[route.Pattern] != status {
				said[route.Pattern] = status
				told("the certificate of " + route.Pattern + " is " + status)
			}
			if err := sleep(ctx, t.pace.certificate); err != nil {
				return fmt.Errorf("wait for the certificate of %s, which is %s: %w", route.Pattern, status, err)
			}
		}
	}
	return nil
}

// certificate is the best that answers for a custom domain.
func (t *Target) certificate(ctx context.Context, route wrangler.Route) (evidence.Certificate, error) {
	domain, err := t.api.CustomDomain(ctx, route.Pattern)
	if err != nil {
		return evidence.Certificate{}, err
	}
	packs, err := t.api.CertificatePacks(ctx, domain.ZoneID)
	best := evidence.Certificate{Host: route.Pattern, State: evidence.Missing}
	for _, pack := range packs {
		if slices.ContainsFunc(pack.Hosts, func(name string) bool { return coversHost(name, route.Pattern) }) {
			best = betterCertificate(best, described(pack, route.Pattern))
		}
	}
	return best, err
}

// reach makes what leads to the Worker: routes and custom domains. It comes before the new version is smoked, because they
// are the way to it. It says what it made.
func (t *Target) reach(ctx context.Context) ([]string, error) {
	routes, err := t.routeTriggers(ctx)
	if err != nil {
		return nil, err
	}
	domains, err := t.domainTriggers(ctx)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, due := range append(routes, domains...) {
		if err := t.applyTrigger(ctx, due); err != nil {
			return made, err
		}
		made = append(made, due.change.Kind+" "+due.change.Name)
	}
	return made, t.awaitCertificates(ctx, func(text string) { t.note("%s", text) })
}
