package localcloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/faults"
)

// visitor asks the edge as a browser would that believes in the local authority: every name is at the edge's addresses.
func visitor(t *testing.T, cloud *Cloud) *http.Client {
	t.Helper()
	info := cloud.Info()
	text, err := os.ReadFile(info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := strings.TrimPrefix(info.EdgeURL, "http://")
			if strings.HasSuffix(address, ":443") {
				to = strings.TrimPrefix(info.EdgeTLSURL, "https://")
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// visit answers with status, then the Location of a redirect or the name of the Worker that answered; or with the error.
func visit(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	word, _, _ := strings.Cut(string(text), " ")
	if to := response.Header.Get("Location"); to != "" {
		word = to
	}
	return fmt.Sprintf("%d %s", response.StatusCode, word)
}

func zoneID(t *testing.T, cloud *Cloud, name string) string {
	t.Helper()
	return succeed(t, cloud, "GET", "/zones?name="+name, nil).get(t, "0.id").(string)
}

func TestCustomDomainsAreServedByHTTPS(t *testing.T) {
	dir := t.TempDir()
	cloud, _ := startFake(t, dir)
	deployed(t, cloud)
	zone := zoneID(t, cloud, "example.com")
	domain := succeed(t, cloud, "PUT", "@/workers/domains", map[string]any{"hostname": "app.example.com", "service": "hello", "environment": "production", "zone_id": zone})
	succeed(t, cloud, "PUT", hello+"/routes", []any{map[string]any{"pattern": "deep.below.example.com/*", "zone_name": "example.com"}, map[string]any{"pattern": "example.com/*"}})
	client := visitor(t, cloud)
	for url, want := range map[string]string{
		"https://app.example.com/x":  "200 hello",
		"http://app.example.com/x":   "200 hello",
		"https://example.com/":       "200 hello", // by the universal certificate
		"https://hello.localhost/":   "200 hello",
		"https://other.example.com/": "404 error", // a certificate, and no Worker
	} {
		if got := visit(t, client, url); got != want {
			t.Errorf("%s: %s, not %s", url, got, want)
		}
	}
	for _, url := range []string{"https://deep.below.example.com/", "https://elsewhere.test/"} {
		if got := visit(t, client, url); !strings.Contains(got, "tls: ") {
			t.Errorf("%s without a certificate: %s", url, got)
		}
	}
	packs := succeed(t, cloud, "GET", "/zones/"+zone+"/ssl/certificate_packs?status=all", nil)
	if packs.Info.TotalCount != 2 || packs.get(t, "1.id") != domain.get(t, "cert_id") || packs.get(t, "1.status") != "active" || packs.get(t, "1.hosts.0") != "app.example.com" {
		t.Errorf("%s", packs.Result)
	}

	// The same certificate after a restart; none after the domain has gone.
	stop(t, cloud)
	cloud, _ = startFake(t, dir)
	client = visitor(t, cloud)
	if got := visit(t, client, "https://app.example.com/"); got[:3] != "200" && got[:3] != "404" {
		t.Errorf("after a restart: %s", got)
	}
	again := succeed(t, cloud, "GET", "@/workers/domains?hostname=app.example.com", nil)
	if again.get(t, "0.cert_id") != domain.get(t, "cert_id") {
		t.Errorf("after a restart another certificate: %s", again.Result)
	}
	succeed(t, cloud, "DELETE", "@/workers/domains/"+again.get(t, "0.id").(string), nil)
	if packs := succeed(t, cloud, "GET", "/zones/"+zone+"/ssl/certificate_packs", nil); packs.Info.TotalCount != 1 {
		t.Errorf("the certificate outlives its domain: %s", packs.Result)
	}
}

func TestTheEdgeObeysTheZonesSettings(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	succeed(t, cloud, "PUT", hello+"/domains/records", map[string]any{"origins": []any{map[string]any{"hostname": "app.example.com"}}})
	zone := "/zones/" + zoneID(t, cloud, "example.com")
	client := visitor(t, cloud)
	set := func(name string, value any) {
		t.Helper()
		succeed(t, cloud, "PATCH", zone+"/settings/"+name, map[string]any{"value": value})
	}
	expect := func(url, want string) {
		t.Helper()
		if got := visit(t, client, url); got != want {
			t.Errorf("%s: %s, not %s", url, got, want)
		}
	}
	if got := succeed(t, cloud, "GET", zone+"/settings/always_use_https", nil); got.get(t, "value") != "off" || got.get(t, "modified_on") != nil {
		t.Errorf("at first: %s", got.Result)
	}
	expect("http://app.example.com/a?b=c", "200 hello")
	set("always_use_https", "on")
	expect("http://app.example.com/a?b=c", "301 https://app.example.com/a?b=c")
	expect("https://app.example.com/a?b=c", "200 hello")
	expect("http://hello.localhost/", "200 hello")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(cloud.Info().EdgeURL, "http://"))
	_, tlsPort, _ := net.SplitHostPort(strings.TrimPrefix(cloud.Info().EdgeTLSURL, "https://"))
	expect("http://app.example.com:"+port+"/a", "301 https://app.example.com:"+tlsPort+"/a")

	set("security_header", map[string]any{"strict_transport_security": map[string]any{"enabled": true, "max_age": 60, "include_subdomains": true, "nosniff": true}})
	response, err := client.Get("https://app.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=60; includeSubDomains" || response.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("security header %q", got)
	}

	set("min_tls_version", "1.3")
	old := client.Transport.(*http.Transport).Clone()
	old.TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, err := (&http.Client{Transport: old}).Get("https://app.example.com/"); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("an old client: %v", err)
	}
	set("ssl", "off")
	expect("http://app.example.com/", "200 hello")
	expect("https://app.example.com/x", "301 http://app.example.com/x")

	for body, code := range map[string]int{`{"value":"maybe"}`: codeZoneSettingValue, `{`: codeBadJSON} {
		if got := read(t, request(t, cloud, "PATCH", zone+"/settings/ssl", strings.NewReader(body))); got.code() != code {
			t.Errorf("%s: %v", body, got.Errors)
		}
	}
	if got := send(t, cloud, "PATCH", zone+"/settings/rocket_loader", map[string]any{"value": "on"}); got.code() != codeZoneSetting {
		t.Errorf("an unknown setting: %v", got.Errors)
	}
	mixed := map[string]any{"items": []any{map[string]any{"id": "tls_1_3", "value": "off"}, map[string]any{"id": "ssl", "value": "no"}}}
	if got := send(t, cloud, "PATCH", zone+"/settings", mixed); got.code() != codeZoneSettingValue {
		t.Errorf("one bad of two: %v", got.Errors)
	}
	if got := succeed(t, cloud, "GET", zone+"/settings/tls_1_3", nil).get(t, "value"); got != "on" {
		t.Errorf("one bad of two changed the other to %v", got)
	}
}

func TestCertificatesTakeTheirTime(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	zone := "/zones/" + zoneID(t, cloud, "example.com")
	attach := func(host string) string {
		t.Helper()
		return succeed(t, cloud, "PUT", "@/workers/domains", map[string]any{"hostname": host, "service": "hello", "zone_name": "example.com"}).get(t, "cert_id").(string)
	}
	status := func(id string) any {
		t.Helper()
		return succeed(t, cloud, "GET", zone+"/ssl/certificate_packs/"+id, nil).get(t, "status")
	}
	client := visitor(t, cloud)
	cloud.faults.Set(faults.Plan{Certificates: faults.Certificates{Delay: faults.Duration(time.Hour)}})
	slow := attach("a.slow.example.com")
	if got := status(slow); got != "initializing" {
		t.Errorf("at once: %v", got)
	}
	if got := visit(t, client, "https://a.slow.example.com/"); !strings.Contains(got, "tls: ") {
		t.Errorf("before it is active: %s", got)
	}
	if got := succeed(t, cloud, "GET", zone+"/ssl/certificate_packs", nil); strings.Contains(string(got.Result), slow) {
		t.Errorf("the default list shows what is not active: %s", got.Result)
	}
	cloud.faults.Set(faults.Plan{Certificates: faults.Certificates{Refuse: "caa record forbids issuance"}})
	refused := attach("a.refused.example.com")
	if got := succeed(t, cloud, "GET", zone+"/ssl/certificate_packs/"+refused, nil); got.get(t, "status") != "validation_timed_out" || got.get(t, "validation_errors.0.message") != "caa record forbids issuance" {
		t.Errorf("%s", got.Result)
	}
	cloud.faults.Set(faults.Plan{Certificates: faults.Certificates{ValidityDays: 5}})
	ending := attach("a.ending.example.com")
	expires, err := time.Parse(time.RFC3339, succeed(t, cloud, "GET", zone+"/ssl/certificate_packs/"+ending, nil).get(t, "certificates.0.expires_on").(string))
	if left := time.Until(expires); err != nil || left > 5*24*time.Hour || left < 4*24*time.Hour {
		t.Errorf("expires in %v, %v", left, err)
	}
	cloud.faults.Set(faults.Plan{Certificates: faults.Certificates{ValidityDays: -1}})
	if got := status(attach("a.ended.example.com")); got != "expired" {
		t.Errorf("%v", got)
	}
	if got := visit(t, client, "https://a.ended.example.com/"); !strings.Contains(got, "expired") {
		t.Errorf("an expired one: %s", got)
	}
	cloud.faults.Set(faults.Plan{})
	succeed(t, cloud, "PATCH", zone+"/ssl/certificate_packs/"+slow, map[string]any{})
	if got := status(slow); got != "active" {
		t.Errorf("validated anew: %v", got)
	}
	if got := visit(t, client, "https://a.slow.example.com/"); got != "200 hello" {
		t.Errorf("when it is active: %s", got)
	}
	order := map[string]any{"type": "advanced", "hosts": []string{"example.com", "*.slow.example.com"}, "validation_method": "txt", "validity_days": 90, "certificate_authority": "google"}
	succeed(t, cloud, "POST", zone+"/ssl/certificate_packs/order", order)
	if got := succeed(t, cloud, "GET", zone+"/ssl/certificate_packs/quota", nil).get(t, "advanced.used"); got != 5.0 {
		t.Errorf("used %v", got)
	}
	order["hosts"] = []string{"example.com", "example.org"}
	if got := send(t, cloud, "POST", zone+"/ssl/certificate_packs/order", order); got.code() != codeBadCertificate {
		t.Errorf("a host of another zone: %v", got.Errors)
	}
}

func TestZones(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	for name, want := range map[string]int{"app.example.co.uk": 0, "co.uk": 0, "example.co.uk": 1, "127.0.0.1": 0, "www.example.com": 0} {
		if got := succeed(t, cloud, "GET", "/zones?name="+name, nil).Info.Count; got != want {
			t.Errorf("%s: %d zones", name, got)
		}
	}
	account := map[string]any{"id": cloud.Info().AccountID}
	if got := send(t, cloud, "POST", "/zones", map[string]any{"name": "example.org"}); got.code() != codeInvalidToken {
		t.Errorf("for no account: %v", got.Errors)
	}
	made := succeed(t, cloud, "POST", "/zones", map[string]any{"name": "Example.org", "type": "full", "account": account}).get(t, "id").(string)
	if got := send(t, cloud, "POST", "/zones", map[string]any{"name": "example.org", "account": account}); got.code() != codeZoneExists {
		t.Errorf("twice: %v", got.Errors)
	}
	if got := send(t, cloud, "POST", "/zones", map[string]any{"name": "www.example.org", "account": account}); got.code() != codeBadQuery {
		t.Errorf("a host: %v", got.Errors)
	}
	if got := succeed(t, cloud, "GET", "/zones?per_page=1&page=2", nil); got.Info.TotalCount != 2 || got.Info.Count != 1 || got.get(t, "0.name") != "example.org" {
		t.Errorf("page 2: %s", got.Result)
	}
	succeed(t, cloud, "DELETE", "/zones/"+made, nil)
	for _, call := range []string{"GET /zones/" + made, "GET /zones/" + made + "/settings", "GET /zones/" + made + "/ssl/certificate_packs", "DELETE /zones/" + made} {
		method, path, _ := strings.Cut(call, " ")
		if got := send(t, cloud, method, path, nil); got.Status != 404 || got.code() != codeZoneNotFound {
			t.Errorf("%s: %d %v", call, got.Status, got.Errors)
		}
	}
}

func TestDomainsAreTakenOnlyWhenAskedFor(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	if got := push(t, cloud, "PUT", "@/workers/scripts/other", meta(), "x"); !got.Success {
		t.Fatal(got.Errors)
	}
	origins := []any{map[string]any{"hostname": "app.example.com"}}
	succeed(t, cloud, "PUT", hello+"/domains/records", map[string]any{"origins": origins})
	changes := succeed(t, cloud, "POST", "@/workers/scripts/other/domains/changeset?replace_state=true", origins)
	if changes.get(t, "updated.0.modified") != true || changes.get(t, "updated.0.service") != "hello" || changes.get(t, "added.0") != nil {
		t.Errorf("%s", changes.Result)
	}
	if got := send(t, cloud, "PUT", "@/workers/scripts/other/domains/records", map[string]any{"origins": origins}); got.code() != codeDomainTaken {
		t.Errorf("taken without asking: %v", got.Errors)
	}
	changes = succeed(t, cloud, "POST", hello+"/domains/changeset?replace_state=true", []any{map[string]any{"hostname": "new.example.com"}})
	if changes.get(t, "added.0.hostname") != "new.example.com" || changes.get(t, "removed.0.hostname") != "app.example.com" {
		t.Errorf("%s", changes.Result)
	}
	succeed(t, cloud, "PUT", "@/workers/scripts/other/domains/records", map[string]any{"override_existing_origin": true, "origins": origins})
	if got := succeed(t, cloud, "GET", "@/workers/domains/records?service=other", nil); got.get(t, "0.hostname") != "app.example.com" {
		t.Errorf("%s", got.Result)
	}
	for _, host := range []string{"*.example.com", "app.example.com:8080", "com"} {
		if got := send(t, cloud, "PUT", "@/workers/domains", map[string]any{"hostname": host, "service": "hello"}); got.Status != 400 {
			t.Errorf("%s: %d %v", host, got.Status, got.Errors)
		}
	}
}
