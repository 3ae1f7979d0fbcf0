package localcloud

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// serveEdge answers for every Worker on one listener: it finds the Worker by the Host header, as Cloudflare's edge does.
func (c *Cloud) serveEdge(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	script, err := c.scriptFor(r.Context(), host, r.URL.Path)
	if err != nil {
		c.log.Error("edge lookup failed", "host", host, "error", err)
		http.Error(w, "error code: 1101", http.StatusInternalServerError)
		return
	}
	if script == "" {
		// Cloudflare's 1042 is its answer for a host without a Worker.
		http.Error(w, fmt.Sprintf("error code: 1042\nno worker answers for %s%s: add a route or a custom domain, or use NAME.localhost", host, r.URL.Path),
			http.StatusNotFound)
		return
	}
	c.workers.Handler(script).ServeHTTP(w, r)
}

// scriptFor finds the Worker for a host and path: NAME.SUBDOMAIN.workers.dev and NAME.localhost first, then custom
// domains, then the most specific route.
// Source of the order: https://developers.cloudflare.com/workers/configuration/routing/
func (c *Cloud) scriptFor(ctx context.Context, host, path string) (string, error) {
	if name, local := strings.CutSuffix(host, ".localhost"); local {
		return c.known(ctx, name)
	}
	if name, dev := strings.CutSuffix(host, "."+c.identity.Subdomain+".workers.dev"); dev {
		script, err := c.store.Script(ctx, name)
		if err != nil || !script.WorkersDev {
			return "", ignoreNotFound(err)
		}
		return name, nil
	}
	domains, err := c.store.Domains(ctx)
	if err != nil {
		return "", err
	}
	for _, domain := range domains {
		if domain.Hostname == host {
			return domain.Script, nil
		}
	}
	routes, err := c.store.Routes(ctx)
	if err != nil {
		return "", err
	}
	best := store.Route{}
	for _, route := range routes {
		if matches(route.Pattern, host+path) && len(route.Pattern) > len(best.Pattern) {
			best = route
		}
	}
	return best.Script, nil
}

func (c *Cloud) known(ctx context.Context, name string) (string, error) {
	if _, err := c.store.Script(ctx, name); err != nil {
		return "", ignoreNotFound(err)
	}
	return name, nil
}

// matches tells whether a route's pattern fits host and path. A * stands for any text, at the beginning and at the end
// only; a scheme is ignored, since there is one listener here.
// Source: https://developers.cloudflare.com/workers/configuration/routing/routes/#matching-behavior
func matches(pattern, target string) bool {
	if _, rest, scheme := strings.Cut(pattern, "://"); scheme {
		pattern = rest
	}
	if !strings.Contains(pattern, "/") {
		pattern += "/"
	}
	open, fromStart := pattern, true
	if rest, star := strings.CutPrefix(open, "*"); star {
		open, fromStart = rest, false
	}
	open, toEnd := strings.CutSuffix(open, "*")
	switch {
	case fromStart && toEnd:
		return strings.HasPrefix(target, open)
	case fromStart:
		return target == open
	case toEnd:
		return strings.Contains(target, open)
	default:
		return strings.HasSuffix(target, open)
	}
}
