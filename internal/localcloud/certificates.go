package localcloud

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/authority"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) certificateRoutes() []route {
	const packs = "/zones/{zone}/ssl/certificate_packs"
	return []route{
		{"GET " + packs, c.listCertificates},
		{"GET " + packs + "/quota", c.certificateQuota},
		{"POST " + packs + "/order", c.orderCertificate},
		{"GET " + packs + "/{pack}", c.getCertificate},
		{"PATCH " + packs + "/{pack}", c.validateCertificate},
		{"DELETE " + packs + "/{pack}", c.deleteCertificate},
		{"GET /zones/{zone}/ssl/universal/settings", c.universalSettings},
		{"GET /zones/{zone}/ssl/verification", c.certificateVerification},
	}
}

const (
	universal = "universal" // made by itself for the zone's own name and the names one level below
	advanced  = "advanced"  // ordered, or made by a custom domain for its host

	defaultValidityDays = 90
	renewBefore         = 30 * 24 * time.Hour
)

// certificateStatus is where a certificate is on its way. Cloudflare's real one takes seconds to minutes; here it takes as
// long as the rehearsal says, a quarter of it in each state.
// Source: https://developers.cloudflare.com/ssl/reference/certificate-statuses/
func certificateStatus(certificate store.Certificate, at time.Time) string {
	if !at.Before(certificate.ReadyAt) {
		switch {
		case certificate.Refused != "":
			return "validation_timed_out"
		case !at.Before(certificate.ExpiresAt):
			return "expired"
		}
		return "active"
	}
	states := []string{"initializing", "pending_validation", "pending_issuance", "pending_deployment"}
	if certificate.Refused != "" {
		return states[1]
	}
	total, gone := certificate.ReadyAt.Sub(certificate.CreatedAt), at.Sub(certificate.CreatedAt)
	return states[min(max(int(4*gone/max(total, 1)), 0), 3)]
}

// issue makes a certificate, as the rehearsal in force wants it. It is stored by the caller.
func (c *Cloud) issue(zone, kind string, hosts []string, validityDays int) (store.Certificate, error) {
	plan := c.faults.Plan().Certificates
	certificate := store.Certificate{
		ID: uuid.NewString(), ZoneID: zone, CreatedAt: now(), Type: kind, Hosts: hosts, Refused: plan.Refuse,
		IssuedAt: now(), ValidityDays: validityDays, Method: "txt",
	}
	certificate.ReadyAt = certificate.CreatedAt.Add(time.Duration(plan.Delay))
	days := validityDays
	if plan.ValidityDays != 0 {
		days = plan.ValidityDays
	}
	certificate.ExpiresAt = certificate.IssuedAt.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
	if plan.Refuse != "" {
		return certificate, nil
	}
	var err error
	certificate.PEM, certificate.Key, err = c.authority.Issue(hosts, certificate.IssuedAt.Add(-max(time.Hour, -2*time.Duration(days)*24*time.Hour)), certificate.ExpiresAt)
	return certificate, err
}

// certificates of a zone, the universal one among them. Those near their end are renewed first, as Cloudflare does by
// itself, unless they were given a validity of their own.
func (c *Cloud) certificates(ctx context.Context, zone store.Zone) ([]store.Certificate, error) {
	c.issuing.Lock()
	defer c.issuing.Unlock()
	all, err := c.store.Certificates(ctx, zone.ID)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(one store.Certificate) bool { return one.Type == universal }) {
		made, err := c.issue(zone.ID, universal, []string{zone.Name, "*." + zone.Name}, defaultValidityDays)
		if err != nil {
			return nil, err
		}
		if err := c.store.PutCertificate(ctx, made); err != nil {
			return nil, err
		}
		all = append([]store.Certificate{made}, all...)
	}
	for i, one := range all {
		ownValidity := one.ExpiresAt.Sub(one.IssuedAt).Round(24*time.Hour) != time.Duration(one.ValidityDays)*24*time.Hour
		if one.Refused != "" || ownValidity || time.Until(one.ExpiresAt) > renewBefore || one.ValidityDays < defaultValidityDays {
			continue
		}
		one.IssuedAt = now()
		one.ExpiresAt = one.IssuedAt.Add(time.Duration(one.ValidityDays) * 24 * time.Hour).Truncate(time.Second)
		if one.PEM, one.Key, err = c.authority.Issue(one.Hosts, one.IssuedAt.Add(-time.Hour), one.ExpiresAt); err != nil {
			return nil, err
		}
		if err := c.store.PutCertificate(ctx, one); err != nil {
			return nil, err
		}
		all[i] = one
	}
	return all, nil
}

// ensureCertificate gives a custom domain its certificate, and answers with its ID.
func (c *Cloud) ensureCertificate(ctx context.Context, zone store.Zone, host string) (string, error) {
	c.issuing.Lock()
	defer c.issuing.Unlock()
	all, err := c.store.Certificates(ctx, zone.ID)
	if err != nil {
		return "", err
	}
	if at := slices.IndexFunc(all, certificateOf(host)); at >= 0 {
		return all[at].ID, nil
	}
	made, err := c.issue(zone.ID, advanced, []string{host}, defaultValidityDays)
	if err != nil {
		return "", err
	}
	return made.ID, c.store.PutCertificate(ctx, made)
}

// certificateOf finds the certificate that a custom domain brought.
func certificateOf(host string) func(store.Certificate) bool {
	return func(one store.Certificate) bool {
		return one.Type == advanced && len(one.Hosts) == 1 && one.Hosts[0] == host
	}
}

// dropCertificate removes what ensureCertificate made.
func (c *Cloud) dropCertificate(ctx context.Context, zone, host string) error {
	all, err := c.store.Certificates(ctx, zone)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(all, certificateOf(host)); at >= 0 {
		return c.store.DeleteCertificate(ctx, zone, all[at].ID)
	}
	return nil
}

func describeCertificate(one store.Certificate) map[string]any {
	status := certificateStatus(one, now())
	described := map[string]any{
		"id": one.ID, "type": one.Type, "hosts": one.Hosts, "status": status, "validation_method": one.Method,
		"validity_days": one.ValidityDays, "certificate_authority": "google", "cloudflare_branding": false,
		"created_on": one.CreatedAt, "certificates": []any{}, "validation_records": []any{},
	}
	if one.Refused != "" {
		described["validation_errors"] = []any{map[string]any{"message": one.Refused}}
		return described
	}
	leaf := uuid.NewSHA1(uuid.NameSpaceOID, one.PEM).String()
	described["primary_certificate"] = leaf
	described["certificates"] = []any{map[string]any{
		"id": leaf, "hosts": one.Hosts, "issuer": authority.Name, "signature": "ECDSAWithSHA256", "status": status,
		"bundle_method": "ubiquitous", "zone_id": one.ZoneID, "uploaded_on": one.IssuedAt, "modified_on": one.IssuedAt,
		"expires_on": one.ExpiresAt, "priority": 1,
	}}
	return described
}

// listCertificates shows what is active, and with ?status=all what is on its way or failed, too.
func (c *Cloud) listCertificates(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	all, err := c.certificates(r.Context(), zone)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, one := range all {
		if r.URL.Query().Get("status") == "all" || certificateStatus(one, now()) == "active" {
			out = append(out, describeCertificate(one))
		}
	}
	return pagedOfZone(r, out, 20)
}

func (c *Cloud) certificate(r *http.Request) (store.Certificate, error) {
	zone, err := c.zone(r)
	if err != nil {
		return store.Certificate{}, err
	}
	all, err := c.certificates(r.Context(), zone)
	if err != nil {
		return store.Certificate{}, err
	}
	at := slices.IndexFunc(all, func(one store.Certificate) bool { return one.ID == r.PathValue("pack") })
	if at < 0 {
		return store.Certificate{}, refuse(http.StatusNotFound, codeCertificateNotFound, "certificate pack %s does not exist", r.PathValue("pack"))
	}
	return all[at], nil
}

func (c *Cloud) getCertificate(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	one, err := c.certificate(r)
	if err != nil {
		return nil, err
	}
	return ok(describeCertificate(one)), nil
}

func (c *Cloud) orderCertificate(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Type         string   `json:"type"`
		Hosts        []string `json:"hosts"`
		Method       string   `json:"validation_method"`
		ValidityDays int      `json:"validity_days"`
		Authority    string   `json:"certificate_authority"`
	}](r)
	if err != nil {
		return nil, err
	}
	bad := func(message string, args ...any) error {
		return refuse(http.StatusBadRequest, codeBadCertificate, message, args...)
	}
	switch {
	case request.Type != advanced:
		return nil, bad("type must be advanced, not %q", request.Type)
	case !slices.Contains([]string{"txt", "http", "email"}, request.Method):
		return nil, bad("validation_method must be txt, http or email, not %q", request.Method)
	case !slices.Contains([]int{14, 30, 90, 365}, request.ValidityDays):
		return nil, bad("validity_days must be 14, 30, 90 or 365, not %d", request.ValidityDays)
	case !slices.Contains([]string{"google", "lets_encrypt", "ssl_com"}, request.Authority):
		return nil, bad("certificate_authority must be google, lets_encrypt or ssl_com, not %q", request.Authority)
	case !slices.Contains(request.Hosts, zone.Name):
		return nil, bad("hosts must hold the zone's own name, %s", zone.Name)
	}
	for _, host := range request.Hosts {
		if host != zone.Name && !strings.HasSuffix(host, "."+zone.Name) {
			return nil, bad("host %s is not of zone %s", host, zone.Name)
		}
	}
	made, err := c.issue(zone.ID, advanced, request.Hosts, request.ValidityDays)
	if err != nil {
		return nil, err
	}
	made.Method = request.Method
	return ok(describeCertificate(made)), c.store.PutCertificate(r.Context(), made)
}

// validateCertificate begins the way of a certificate anew.
func (c *Cloud) validateCertificate(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	one, err := c.certificate(r)
	if err != nil {
		return nil, err
	}
	again, err := c.issue(one.ZoneID, one.Type, one.Hosts, one.ValidityDays)
	if err != nil {
		return nil, err
	}
	again.ID, again.Method = one.ID, one.Method
	return ok(describeCertificate(again)), c.store.PutCertificate(r.Context(), again)
}

func (c *Cloud) deleteCertificate(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	one, err := c.certificate(r)
	if err != nil {
		return nil, err
	}
	if one.Type == universal {
		return nil, refuse(http.StatusBadRequest, codeBadCertificate, "the universal certificate cannot be deleted")
	}
	return ok(map[string]any{"id": one.ID}), c.store.DeleteCertificate(r.Context(), one.ZoneID, one.ID)
}

func (c *Cloud) certificateQuota(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	all, err := c.certificates(r.Context(), zone)
	used := len(all) - 1 // without the universal one
	return ok(map[string]any{"advanced": map[string]any{"allocated": 100, "used": used}}), err
}

func (c *Cloud) universalSettings(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	_, err := c.zone(r)
	return ok(map[string]any{"enabled": true}), err
}

func (c *Cloud) certificateVerification(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	all, err := c.certificates(r.Context(), zone)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, one := range all {
		status := certificateStatus(one, now())
		out = append(out, map[string]any{
			"certificate_status": status, "cert_pack_uuid": one.ID, "hostname": one.Hosts[0], "signature": "ECDSAWithSHA256",
			"validation_method": one.Method, "brand_check": false, "verification_status": status == "active", "verification_type": "cname",
		})
	}
	return ok(out), nil
}

// covers tells whether a certificate is good for a host: by its name, or by a wildcard for the names one level below.
func covers(one store.Certificate, host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	return slices.Contains(one.Hosts, host) || slices.Contains(one.Hosts, "*."+parent)
}

// tlsFor chooses the certificate and the versions of TLS for a client that comes to the edge. A host without an active
// certificate ends the handshake, as it does at Cloudflare's edge.
func (c *Cloud) tlsFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	host, ctx := strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")), hello.Context()
	if host == "" {
		return nil, fmt.Errorf("a client named no host")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.ownName(host) {
		pair, err := c.ownCertificate(host)
		config.Certificates = []tls.Certificate{pair}
		return config, err
	}
	zone, found, err := c.zoneAbove(ctx, host)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s is of no zone here", host)
	}
	settings, err := c.zoneSettings(ctx, zone.ID)
	if err != nil {
		return nil, err
	}
	config.MinVersion = map[string]uint16{
		"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
	}[settingText(settings["min_tls_version"])]
	if settingText(settings["tls_1_3"]) == "off" {
		config.MaxVersion = max(tls.VersionTLS12, config.MinVersion)
	}
	if settingText(settings["http2"]) == "off" {
		config.NextProtos = []string{"http/1.1"}
	}
	all, err := c.certificates(ctx, zone)
	if err != nil {
		return nil, err
	}
	// The one for exactly this host comes first; an expired one is still shown, for the client to refuse.
	exact := func(a store.Certificate) int {
		if slices.Contains(a.Hosts, host) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b store.Certificate) int { return exact(a) - exact(b) })
	for _, one := range all {
		status := certificateStatus(one, now())
		if !covers(one, host) || (status != "active" && status != "expired") {
			continue
		}
		pair, err := tls.X509KeyPair(one.PEM, one.Key)
		config.Certificates = []tls.Certificate{pair}
		return config, err
	}
	return nil, fmt.Errorf("%s has no active certificate", host)
}

// ownName tells whether a host is one of this Cloud's own: NAME.localhost and NAME.SUBDOMAIN.workers.dev.
func (c *Cloud) ownName(host string) bool {
	return strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, "."+c.identity.Subdomain+".workers.dev")
}

// ownCertificate makes a certificate for one of this Cloud's own names; it is kept until the process ends.
func (c *Cloud) ownCertificate(host string) (tls.Certificate, error) {
	c.issuing.Lock()
	defer c.issuing.Unlock()
	if pair, made := c.ownPairs[host]; made {
		return pair, nil
	}
	if len(c.ownPairs) >= maxOwnPairs {
		clear(c.ownPairs) // names that nobody has can be asked for without end
	}
	certificate, key, err := c.authority.Issue([]string{host}, now().Add(-time.Hour), now().Add(defaultValidityDays*24*time.Hour))
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err == nil {
		c.ownPairs[host] = pair
	}
	return pair, err
}

// maxOwnPairs bounds the memory that certificates for own names take.
const maxOwnPairs = 1000
