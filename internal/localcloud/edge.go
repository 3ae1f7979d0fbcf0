package localcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// serveEdge answers for every Worker on two listeners, HTTP and HTTPS: it finds the Worker by the Host header, as
// Cloudflare's edge does.
func (c *Cloud) serveEdge(w http.ResponseWriter, r *http.Request) {
	host, port := strings.ToLower(r.Host), ""
	if name, number, err := net.SplitHostPort(host); err == nil {
		host, port = name, number
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
	if !c.ownName(host) {
		began, counting := time.Now(), &visitWriter{ResponseWriter: w, status: http.StatusOK}
		zone, found, err := c.zoneAbove(r.Context(), host)
		if found {
			w = counting
			defer func() { c.visited(zone, host, counting.status, counting.bytes, began) }()
		}
		elsewhere := ""
		if found && err == nil {
			elsewhere, err = c.obeyZone(r, w.Header(), zone, host, port)
		}
		if err != nil {
			c.log.Error("zone settings could not be read", "host", host, "error", err)
			http.Error(w, "error code: 1101", http.StatusInternalServerError)
			return
		}
		if elsewhere != "" {
			http.Redirect(w, r, elsewhere, http.StatusMovedPermanently)
			return
		}
	}
	// The scheme is ours to say, whatever the client claims.
	r.Header.Set("X-Forwarded-Proto", schemeOf(r))
	c.workers.Handler(script).ServeHTTP(w, r)
}

// visitWriter notes the status and the length of an answer.
type visitWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController flush and hijack.
func (v *visitWriter) Unwrap() http.ResponseWriter { return v.ResponseWriter }

func (v *visitWriter) WriteHeader(status int) {
	if status >= http.StatusOK { // 1xx announce the real one
		v.status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

func (v *visitWriter) Write(p []byte) (int, error) {
	n, err := v.ResponseWriter.Write(p)
	v.bytes += int64(n)
	return n, err
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// obeyZone does what the settings of the host's zone ask for, and answers with the address to go to when they send the
// client from HTTP to HTTPS or back.
// Source: https://developers.cloudflare.com/ssl/edge-certificates/additional-options/always-use-https/ and
// https://developers.cloudflare.com/ssl/origin-configuration/ssl-modes/off/
func (c *Cloud) obeyZone(r *http.Request, header http.Header, zone store.Zone, host, port string) (elsewhere string, err error) {
	settings, err := c.zoneSettings(r.Context(), zone.ID)
	if err != nil {
		return "", err
	}
	off := settingText(settings["ssl"]) == "off"
	switch {
	case r.TLS != nil && off:
		return "http://" + authorityOf(host, port, c.edgeURL) + r.URL.RequestURI(), nil
	case r.TLS == nil && !off && settingText(settings["always_use_https"]) == "on":
		return "https://" + authorityOf(host, port, c.edgeTLSURL) + r.URL.RequestURI(), nil
	case r.TLS != nil:
		security := transportSecurity{}
		if err := json.Unmarshal(settings["security_header"].Value, &security); err != nil {
			return "", err
		}
		if security.Header.Enabled {
			header.Set("Strict-Transport-Security", security.header())
			if security.Header.NoSniff {
				header.Set("X-Content-Type-Options", "nosniff")
			}
		}
	}
	return "", nil
}

// authorityOf is the host with the port of another listener, for clients that named a port; those that did not came by a
// way of their own, as real clients come by 80 and 443.
func authorityOf(host, port, listener string) string {
	if port == "" {
		return host
	}
	return host + listener[strings.LastIndex(listener, ":"):]
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
