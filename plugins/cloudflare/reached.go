package main

import (
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// domainGate judges the routes and custom domains by which people reach the Worker. Penstock makes those that are missing
// when the new version takes all of the traffic, so before that a missing one is only told.
var domainGate = environmentGate{
	name: "domain", title: "people reach this Worker at every route and custom domain of the config", phases: planned,
	judge: func(request *gates.Request, seen *sight) error {
		seen.subject = "route or custom domain"
		for _, route := range seen.Routes {
			seen.reached(request.Phase, route)
		}
		seen.measurements = append(seen.measurements, gates.Count("routes", len(seen.Routes), nil))
		return nil
	},
}

func (s *sight) reached(phase gates.Phase, route evidence.Route) {
	word := "route"
	if route.CustomDomain {
		word = "custom domain"
	}
	switch {
	case route.ZoneState == evidence.Missing:
		s.wrong("no zone", "add the domain to the account, or correct the pattern or zone_name in the wrangler config", "no zone of the account covers the %s %s", word, route.Pattern)
		return
	case route.ZoneState != evidence.Present:
		s.unknown(route.Reason, "whether the zone of %s exists is not known", route.Pattern)
		return
	case route.ZoneStatus != "" && route.ZoneStatus != "active":
		s.wrong("zone", "let the domain's registrar name Cloudflare's name servers, and wait until the zone is active", "the zone %s is %s: Cloudflare does not answer for %s yet", route.Zone, route.ZoneStatus, route.Host)
	}
	switch {
	case route.State == evidence.Present && route.LeadsTo == s.Worker.Name:
		s.found("the %s %s leads to %s", word, route.Pattern, route.LeadsTo)
	case route.State == evidence.Present:
		s.wrong("leads elsewhere", "take it away from "+route.LeadsTo+" (its Settings > Domains & Routes), then "+s.penstock("provision")+"; or name another one in the wrangler config", "the %s %s leads to Worker %q, not to %s", word, route.Pattern, route.LeadsTo, s.Worker.Name)
	case route.State == evidence.Missing && !s.settled(phase):
		s.later("the %s %s is made when the version takes all of the traffic", word, route.Pattern)
	case route.State == evidence.Missing:
		s.wrong("missing", s.penstock("provision")+" makes it", "the %s %s does not exist", word, route.Pattern)
	default:
		s.unknown(route.Reason, "whether the %s %s exists is not known", word, route.Pattern)
	}
}

// certificateDays is half of what Cloudflare has left when it renews by itself: one with less is not being renewed.
// Source: https://developers.cloudflare.com/ssl/reference/certificate-validity-periods/
const certificateDays = 14

// certificateGate judges what HTTPS rests on. The certificate of a custom domain is made with it.
var certificateGate = environmentGate{
	name: "certificate", title: "every host has an active certificate that lasts", phases: planned,
	config: `{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"type": "object", "additionalProperties": false,
		"properties": {
			"days": {"type": "number", "minimum": 0, "default": 14, "description": "how long each certificate must still hold"}
		}
	}`,
	judge: func(request *gates.Request, seen *sight) error {
		config := struct {
			Days float64 `json:"days"`
		}{Days: certificateDays}
		if err := request.DecodeConfig(&config); err != nil {
			return err
		}
		seen.subject = "host with a certificate"
		for _, certificate := range seen.Certificates {
			seen.certified(certificate, config.Days)
		}
		return nil
	},
}

func (s *sight) certified(certificate evidence.Certificate, limit float64) {
	host := certificate.Host
	switch {
	case certificate.State == evidence.Missing && s.awaited(host):
		s.later("the certificate of %s is made with its domain", host)
		return
	case certificate.State == evidence.Missing:
		s.wrong("missing", "order one for this host (SSL/TLS > Edge Certificates): the zone's own covers the names one level below it and no deeper", "no certificate covers %s", host)
		return
	case certificate.State != evidence.Present:
		s.unknown(certificate.Reason, "whether %s has a certificate is not known", host)
		return
	case certificate.Status != "active":
		s.wrong("not active", "see SSL/TLS > Edge Certificates: "+cmpReason(certificate.Reason, "its validation has not come to its end"), "the certificate of %s is %s, not active", host, certificate.Status)
		return
	case certificate.Expires.IsZero():
		s.unknown("", "until when the certificate of %s holds is not known", host)
		return
	}
	days := certificate.Expires.Sub(s.TakenAt).Hours() / 24
	s.measurements = append(s.measurements, gates.Measurement{Name: "days left for " + host, Value: float64(int(days*10)) / 10, Unit: "days", Limit: &limit, Better: "higher"})
	until := certificate.Expires.UTC().Format(time.DateOnly)
	switch {
	case days <= 0:
		s.wrong("expired", "renew it (SSL/TLS > Edge Certificates)", "the certificate of %s expired on %s", host, until)
	case days < limit:
		s.wrong("expires", "see why it is not renewed (SSL/TLS > Edge Certificates): Cloudflare does that 30 days before", "the certificate of %s holds until %s, %.0f days; at least %g are wanted", host, until, days, limit)
	default:
		s.found("the certificate of %s holds until %s", host, until)
	}
}

// awaited reports whether the host is a custom domain that this promotion is yet to make, or lies in a zone that is not there
// yet: without a zone a promotion to Cloudflare does not begin, and on this machine it makes one.
func (s *sight) awaited(host string) bool {
	for _, route := range s.Routes {
		if route.Host == host && route.State == evidence.Missing && (route.CustomDomain || route.ZoneState == evidence.Missing) {
			return true
		}
	}
	return false
}
