package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// routes looks at where people reach the Worker: the zones, the routes and custom domains in them, and the certificates that
// answer for their hosts.
func (s *survey) routes(ctx context.Context) {
	zones := &zoneLook{survey: s, routes: map[string]routesOf{}, packs: map[string]packsOf{}}
	for _, route := range s.target.Worker.AllRoutes() {
		found := evidence.Route{
			Pattern: route.Pattern, Host: routeHost(route.Pattern), CustomDomain: route.CustomDomain,
			ZoneState: evidence.Unknown, State: evidence.Unknown,
		}
		zone, err := s.findZone(ctx, route)
		switch {
		case err != nil:
			found.Reason = s.gap("the zone of "+route.Pattern, err)
		case zone.ID == "":
			found.ZoneState, found.State = evidence.Missing, evidence.Missing
		default:
			found.Zone, found.ZoneState, found.ZoneStatus = zone.Name, evidence.Present, zone.Status
			if route.CustomDomain {
				s.customDomain(ctx, &found)
			} else {
				zones.route(ctx, zone.ID, &found)
			}
		}
		s.found.Routes = append(s.found.Routes, found)
		if !slices.ContainsFunc(s.found.Certificates, func(c evidence.Certificate) bool { return c.Host == found.Host }) {
			s.found.Certificates = append(s.found.Certificates, zones.certificate(ctx, zone, err, found.Host))
		}
	}
}

// routeHost is the host of a route's pattern, "*.example.com" where any will do.
func routeHost(pattern string) string {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	host, _, _ := strings.Cut(pattern, "/")
	if strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*.") {
		return strings.TrimPrefix(host, "*") // "*example.com" stands for the domain and all below it
	}
	return host
}

// findZone looks a route's zone up; its ID is empty when the account has none.
func (s *survey) findZone(ctx context.Context, route wrangler.Route) (api.Zone, error) {
	names := zoneCandidates(route.Pattern)
	if route.ZoneName != "" {
		names = []string{route.ZoneName}
	}
	for _, name := range names {
		zones, err := s.target.api.Zones(ctx, name)
		if err != nil {
			return api.Zone{}, fmt.Errorf("look for the zone %s: %w", name, err)
		}
		for _, zone := range zones {
			if route.ZoneID == "" || zone.ID == route.ZoneID {
				return zone, nil
			}
		}
	}
	return api.Zone{}, nil
}

func (s *survey) customDomain(ctx context.Context, found *evidence.Route) {
	switch domain, err := s.target.api.CustomDomain(ctx, found.Host); {
	case errors.Is(err, api.ErrNotFound) && !api.NoSuchCall(err):
		found.State = evidence.Missing
	case err != nil:
		found.Reason = s.gap("the custom domain "+found.Host, err)
	default:
		found.State, found.LeadsTo = evidence.Present, domain.Service
	}
}

// zoneLook remembers what was asked of each zone.
type zoneLook struct {
	survey *survey
	routes map[string]routesOf
	packs  map[string]packsOf
}

type routesOf struct {
	list []api.Route
	err  error
}

type packsOf struct {
	list []api.CertificatePack
	err  error
}

func (z *zoneLook) route(ctx context.Context, zone string, found *evidence.Route) {
	routes, known := z.routes[zone]
	if !known {
		routes.list, routes.err = z.survey.target.api.Routes(ctx, zone)
		z.routes[zone] = routes
	}
	if routes.err != nil {
		found.Reason = z.survey.gap("the route "+found.Pattern, routes.err)
		return
	}
	found.State = evidence.Missing
	for _, route := range routes.list {
		if route.Pattern == found.Pattern {
			found.State, found.LeadsTo = evidence.Present, route.Script
		}
	}
}

// certificate finds what answers for a host by HTTPS.
func (z *zoneLook) certificate(ctx context.Context, zone api.Zone, zoneErr error, host string) evidence.Certificate {
	found := evidence.Certificate{Host: host, State: evidence.Unknown}
	switch {
	case zoneErr != nil:
		found.Reason = zoneErr.Error()
		return found
	case zone.ID == "":
		found.State = evidence.Missing
		return found
	}
	packs, known := z.packs[zone.ID]
	if !known {
		packs.list, packs.err = z.survey.target.api.CertificatePacks(ctx, zone.ID)
		z.packs[zone.ID] = packs
	}
	if packs.err != nil {
		found.Reason = z.survey.gap("the certificate of "+host, packs.err)
		return found
	}
	found.State = evidence.Missing
	for _, pack := range packs.list {
		if slices.ContainsFunc(pack.Hosts, func(name string) bool { return coversHost(name, host) }) {
			found = betterCertificate(found, described(pack, host))
		}
	}
	return found
}

// coversHost reports whether a name in a certificate stands for the host: "*.example.com" for one label below.
func coversHost(name, host string) bool {
	if strings.EqualFold(name, host) {
		return true
	}
	below, wild := strings.CutPrefix(name, "*.")
	_, parent, deeper := strings.Cut(host, ".")
	return wild && deeper && strings.EqualFold(below, parent)
}

// described is a pack as evidence. It holds as long as all of its certificates do: which one is served depends on the
// client.
func described(pack api.CertificatePack, host string) evidence.Certificate {
	found := evidence.Certificate{Host: host, State: evidence.Present, Status: pack.Status, Issuer: pack.Authority}
	for _, certificate := range pack.Certificates {
		if found.Issuer == "" {
			found.Issuer = certificate.Issuer
		}
		if !certificate.ExpiresOn.IsZero() && (found.Expires.IsZero() || certificate.ExpiresOn.Before(found.Expires)) {
			found.Expires = certificate.ExpiresOn
		}
	}
	if len(pack.ValidationErrors) > 0 {
		found.Reason = pack.ValidationErrors[0].Message
	}
	return found
}

// certificateActive is Cloudflare's word for a certificate that is served.
const certificateActive = "active"

// betterCertificate prefers one that is served, and of those the one that holds longer.
func betterCertificate(a, b evidence.Certificate) evidence.Certificate {
	rank := func(c evidence.Certificate) (int, time.Time) {
		switch {
		case c.State != evidence.Present:
			return 0, time.Time{}
		case c.Status != certificateActive:
			return 1, c.Expires
		default:
			return 2, c.Expires
		}
	}
	rankA, untilA := rank(a)
	rankB, untilB := rank(b)
	if rankB > rankA || (rankB == rankA && untilB.After(untilA)) {
		return b
	}
	return a
}
