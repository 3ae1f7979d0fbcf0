package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// overrideHeader asks for one version of a Worker. Cloudflare ignores it in silence when the version is not part of the
// current deployment, so whoever uses it must check which version answered.
const overrideHeader = "Cloudflare-Workers-Version-Overrides"

// Address says how to reach a version: the Worker's URL and, for a given version, the override header.
func (t *Target) Address(ctx context.Context, version string) (promotion.Address, error) {
	url, err := t.url(ctx)
	if err != nil {
		return promotion.Address{}, err
	}
	address := promotion.Address{URL: url, Header: http.Header{}}
	if version != "" {
		// A dictionary of RFC 8941: the Worker's name is a key, the version a string.
		address.Header.Set(overrideHeader, fmt.Sprintf("%s=%q", t.Worker.Name, version))
	}
	return address, nil
}

// url is where people reach the Worker: its first route or custom domain, else its workers.dev address.
func (t *Target) url(ctx context.Context) (string, error) {
	if t.PublicURL != nil {
		return strings.TrimSuffix(t.PublicURL(t.Worker.Name), "/"), nil
	}
	if url := routed(t.Worker); url != "" {
		return url, nil
	}
	subdomain, err := t.api.AccountSubdomain(ctx)
	if err != nil {
		return "", fmt.Errorf("find the Worker's address: %w", err)
	}
	return "https://" + t.Worker.Name + "." + subdomain + ".workers.dev", nil
}

// PublicName is the name under which a Worker's first custom domain or route lets everybody find it; "" when it has none.
func PublicName(worker wrangler.Worker) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(routed(worker), "https://"), "/")
	return host
}

// routed is an address that the first of a Worker's routes covers which has one.
func routed(worker wrangler.Worker) string {
	for _, route := range worker.AllRoutes() {
		if url, ok := routeURL(route.Pattern); ok {
			return url
		}
	}
	return ""
}

// routeURL is an address that a route's pattern covers; ok is false when the host is not a fixed one.
func routeURL(pattern string) (url string, ok bool) {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	host, path, _ := strings.Cut(pattern, "/")
	if host == "" || strings.Contains(host, "*") {
		return "", false
	}
	path = strings.TrimRight(strings.TrimSuffix(path, "*"), "/")
	if strings.Contains(path, "*") || path == "" {
		return "https://" + host, true
	}
	return "https://" + host + "/" + path, true
}

// onSubdomain says whether the config wants the Worker on workers.dev; wrangler's default is yes unless there are routes.
func (t *Target) onSubdomain() bool {
	if t.Worker.WorkersDev != nil {
		return *t.Worker.WorkersDev
	}
	return len(t.Worker.AllRoutes()) == 0
}
