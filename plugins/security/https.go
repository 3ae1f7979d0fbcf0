package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/penstock-ci/penstock/gates"
)

// httpsGate asks the environment, where everybody finds it, whether it can be used without encryption.
type httpsGate struct {
	transport http.RoundTripper // nil: the network
}

type httpsConfig struct {
	Paths   []string `json:"paths"`
	HSTS    string   `json:"hsts"`
	Timeout float64  `json:"timeout"`
}

func (httpsGate) Describe() gates.Description {
	return gates.Description{
		Name:   "https",
		Title:  "HTTPS is enforced",
		Phases: []gates.Phase{gates.PhaseBake, gates.PhasePromote},
		Needs:  gates.Needs{Hosts: []string{gates.PublicHost}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {
				"paths": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "pattern": "^/"}, "default": ["/"]},
				"hsts": {"type": "string", "minLength": 1, "default": "max-age=31536000; includeSubDomains; preload", "description": "the least that Strict-Transport-Security must say"},
				` + timeoutSchema + `
			}
		}`,
	}
}

func (g httpsGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := httpsConfig{Paths: []string{"/"}, HSTS: guideHeaders["Strict-Transport-Security"], Timeout: 10}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	public, err := publicAddress(request.Run)
	switch {
	case request.Run.PublicURL == "":
		return gates.Undecided("give the environment a route or a custom domain", "the environment has no public address, so nobody knows what it enforces"), nil
	case err != nil || public.Hostname() == "":
		return gates.CouldNotAsk("correct the environment's address", "the environment's address is none: %q", request.Run.PublicURL), nil
	case public.Scheme == "http" && isLocal(request.Run.PublicURL):
		return gates.Undecided("give the app a custom domain or a route, which this machine then serves by HTTPS too, or judge it in environments of Cloudflare only",
			"the environment is local (%s), and the app gives itself no name that could be encrypted", request.Run.PublicURL), nil
	}

	var findings []gates.Finding
	say := func(rule, format string, args ...any) {
		findings = append(findings, gates.Finding{Level: gates.LevelError, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	plain, encrypted := url.URL{Scheme: "http", Host: public.Hostname()}, url.URL{Scheme: "https", Host: public.Host}
	if public.Scheme == "http" {
		plain.Host, encrypted.Host = public.Host, public.Hostname()
	}
	for _, path := range config.Paths {
		got, err := g.ask(ctx, request, plain, path, config.Timeout)
		if err != nil {
			return noAnswer(ctx, err)
		}
		if problem := notSentToHTTPS(got); problem != "" {
			say("redirect", "GET %s%s (%d): %s", plain.String(), path, got.status, problem)
		}

		got, err = g.ask(ctx, request, encrypted, path, config.Timeout)
		var untrusted *tls.CertificateVerificationError
		switch {
		case errors.As(err, &untrusted):
			say("certificate", "GET %s%s: browsers do not trust the certificate: %s", encrypted.String(), path, untrusted.Err)
			continue
		case err != nil:
			return noAnswer(ctx, err)
		}
		values := got.header.Values("Strict-Transport-Security")
		if len(values) == 0 {
			say("strict-transport-security", "GET %s%s (%d): Strict-Transport-Security is missing; wanted: %s", encrypted.String(), path, got.status, config.HSTS)
			continue
		}
		for _, problem := range weakerTransportSecurity(config.HSTS, values) {
			say("strict-transport-security", "GET %s%s (%d): %s", encrypted.String(), path, got.status, problem)
		}
	}

	verdict := &gates.Verdict{
		Outcome: gates.Pass, Findings: findings,
		Summary:      fmt.Sprintf("%s sends plain HTTP to HTTPS for good, and browsers are told to stay there; %s asked", public.Hostname(), gates.Counted(len(config.Paths), "path")),
		Measurements: []gates.Measurement{gates.Count("paths", len(config.Paths), nil), gates.Count("problems", len(findings), gates.AtMost(0))},
	}
	if len(findings) > 0 {
		verdict.Outcome = gates.Fail
		verdict.Summary = fmt.Sprintf("%s does not enforce HTTPS: %s", public.Hostname(), gates.Counted(len(findings), "problem"))
		verdict.NextStep = "turn on Always Use HTTPS for the zone, and set Strict-Transport-Security on every answer"
	}
	return verdict, nil
}

func (g httpsGate) ask(ctx context.Context, request *gates.Request, site url.URL, path string, timeout float64) (answer, error) {
	asking, err := probeOf(site.String(), request, timeout)
	if err != nil {
		return answer{}, err
	}
	defer asking.close()
	if edge := request.Run.Edge; edge != nil {
		through, err := throughEdge(edge, site.Scheme)
		if err != nil {
			return answer{}, err
		}
		asking.client.Transport = through
	}
	if g.transport != nil {
		asking.client.Transport = g.transport
	}
	return asking.ask(ctx, question{method: http.MethodGet, target: path, headersOnly: true})
}

// publicAddress is where everybody finds the environment, or would if the machine that serves it were known to them.
func publicAddress(run gates.Run) (*url.URL, error) {
	if run.Edge != nil {
		return &url.URL{Scheme: "https", Host: run.Edge.Host}, nil
	}
	return url.Parse(run.PublicURL)
}

// throughEdge finds the name where this machine serves it, and trusts who signs for it there and nobody else.
func throughEdge(edge *gates.Edge, scheme string) (*http.Transport, error) {
	at := map[string]string{"http": edge.Plain, "https": edge.Encrypted}[scheme]
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(edge.Authority) {
		return nil, errors.New("it is not known who signs certificates on this machine")
	}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		},
	}, nil
}

// notSentToHTTPS says what is wrong with an answer over plain HTTP. Only a redirect that is remembered will do: with a
// temporary one every visit begins in the open.
func notSentToHTTPS(got answer) string {
	to, err := url.Parse(got.header.Get("Location"))
	switch {
	case got.status < 300 || got.status > 399:
		return "plain HTTP is answered, and not sent to HTTPS"
	case err != nil || to.Scheme != "https":
		return fmt.Sprintf("it is sent to %q, which is not HTTPS", got.header.Get("Location"))
	case got.status != http.StatusMovedPermanently && got.status != http.StatusPermanentRedirect:
		return "it is sent to HTTPS for now only: 301 and 308 are remembered"
	default:
		return ""
	}
}
