// Package probe asks a running version over HTTP whether it works, and which version it is that answers.
//
// It is the promotion's prober; nothing else should import it but the place that wires it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

const (
	// bodyLimit is how much of an answer is read to find the version's id.
	bodyLimit = 1 << 20
	// redirectLimit is what browsers and curl stop at, roughly; more is a loop.
	redirectLimit = 10
)

// HTTP is a prober. Its zero value is ready for use, and safe for concurrent use.
//
// A deployment takes a moment to reach every place that answers ("up to a couple of seconds" at Cloudflare), and a version
// override that does not match yet is ignored without a word. So a path is asked again while its answer may come from the
// version before, for as long as Patience lasts, and no longer: what the wanted version itself answers is final.
type HTTP struct {
	// Timeout bounds one request. 10 seconds when zero.
	Timeout time.Duration
	// Patience is how long a fresh deployment may take to answer everywhere. 10 seconds when zero.
	Patience time.Duration
	// Settle is how long an answer that is right, but need not and does not show its version, is not yet believed. 1 second
	// when zero.
	Settle time.Duration
	// InARow is how many answers, one after the other, must agree. 3 when zero.
	InARow int
	// Transport is for tests; nil means one without a proxy, made for each call.
	Transport http.RoundTripper
}

var _ promotion.Prober = HTTP{}

func (h HTTP) withDefaults() HTTP {
	if h.Timeout == 0 {
		h.Timeout = 10 * time.Second
	}
	if h.Patience == 0 {
		h.Patience = 10 * time.Second
	}
	if h.Settle == 0 {
		h.Settle = time.Second
	}
	if h.InARow == 0 {
		h.InARow = 3
	}
	return h
}

// Probe implements promotion.Prober. An answer that stays wrong is a report that is not OK; err means that nothing was
// answered at all, and wraps promotion.ErrUnreachable, or that ctx ended.
func (h HTTP) Probe(ctx context.Context, address promotion.Address, version string, smoke pipelines.Smoke) (promotion.Report, error) {
	h = h.withDefaults()
	if len(smoke.Probes) == 0 {
		return promotion.Report{
			OK: smoke.Version != pipelines.ProofRequired, Summary: "no probe is configured; add one under smoke.probes in penstock.yaml",
		}, nil
	}
	transport := h.Transport
	if transport == nil {
		own := &http.Transport{Proxy: nil, DisableCompression: true, ResponseHeaderTimeout: h.Timeout}
		defer own.CloseIdleConnections()
		transport = own
	}
	client := &http.Client{Transport: transport, Timeout: h.Timeout, CheckRedirect: stayOnHost}
	began := time.Now()

	report := promotion.Report{OK: true, Proven: true}
	answered := false
	var last error
	for _, probe := range smoke.Probes {
		found, err := h.until(ctx, client, began, address, version, probe, smoke.Version)
		if ctx.Err() != nil {
			return report, fmt.Errorf("probe %s: %w", address.URL, ctx.Err())
		}
		if err != nil {
			last = err
			report.OK, report.Proven = false, false
			report.Lines = append(report.Lines, fmt.Sprintf("GET %s → no answer: %v", probe.Path, err))
			continue
		}
		answered = true
		report.Lines = append(report.Lines, found.line(probe, version))
		report.OK = report.OK && found.right(probe, version, smoke.Version)
		report.Proven = report.Proven && found.proves
	}
	if !answered {
		return report, fmt.Errorf("probe %s: %w: %w", address.URL, promotion.ErrUnreachable, last)
	}
	report.Summary = summarize(report, smoke, version)
	return report, nil
}

// until asks one path until its answers can be believed; when patience ends first, the last answer counts. The waits run
// from the beginning of the probing, so that all paths share them.
func (h HTTP) until(ctx context.Context, client *http.Client, began time.Time, address promotion.Address, version string,
	probe pipelines.Probe, proof pipelines.VersionProof,
) (answer, error) {
	pause := 25 * time.Millisecond
	row, before := 0, false
	for {
		found, err := ask(ctx, client, address, version, probe.Path)
		right := err == nil && found.right(probe, version, proof)
		// Nothing is on its way when any version will do, and the wanted one speaks for itself.
		certain := err == nil && (version == "" || found.proves)
		settled := right && time.Since(began) >= h.Settle
		switch {
		case !certain && !settled:
			row = 0
		case right == before:
			row++
		default:
			row = 1
		}
		before = right
		if row >= h.InARow {
			return found, nil
		}
		if right && row > 0 {
			continue
		}
		if time.Since(began)+pause > h.Patience {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// answer is one response, as far as it matters.
type answer struct {
	status int
	took   time.Duration
	proves bool // it carries the wanted version's id
}

// right reports whether the answer is what it must be. Without a status to expect, everything but a server's own failure
// is: a Worker that answers 404 on a path that it does not have works.
func (a answer) right(probe pipelines.Probe, version string, proof pipelines.VersionProof) bool {
	if probe.Status == 0 && a.status >= 500 || probe.Status != 0 && a.status != probe.Status {
		return false
	}
	return version == "" || a.proves || proof != pipelines.ProofRequired
}

func (a answer) line(probe pipelines.Probe, version string) string {
	text := fmt.Sprintf("GET %s → %d in %d ms", probe.Path, a.status, a.took.Milliseconds())
	if probe.Status != 0 && a.status != probe.Status {
		text += fmt.Sprintf(", wanted %d", probe.Status)
	}
	switch {
	case version == "":
		return text
	case a.proves:
		return text + ", version " + short(version) + " answered"
	default:
		return text + ", does not say which version answered"
	}
}

func ask(ctx context.Context, client *http.Client, address promotion.Address, version, path string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.URL+"/"+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		return answer{}, err
	}
	for name, values := range address.Header {
		request.Header[name] = values
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host // net/http sends this one, not the header
	}
	request.Header.Set("User-Agent", "penstock-probe")
	request.Header.Set("Cache-Control", "no-cache")
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	proof := address.Proof(version)
	return answer{
		status: response.StatusCode, took: time.Since(began),
		proves: proof.InHeader(response.Header) || proof.In(body, 0),
	}, nil
}

// stayOnHost follows redirects within the host only: what another host answers says nothing about this version, and the
// override header is not for it.
func stayOnHost(request *http.Request, via []*http.Request) error {
	if request.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	if len(via) >= redirectLimit {
		return errors.New("redirected in a circle")
	}
	return nil
}

func summarize(report promotion.Report, smoke pipelines.Smoke, version string) string {
	paths := fmt.Sprintf("%d paths", len(smoke.Probes))
	if len(smoke.Probes) == 1 {
		paths = smoke.Probes[0].Path
	}
	switch {
	case report.OK && (report.Proven || version == ""):
		return paths + " answered as expected" + provenBy(version)
	case report.OK:
		return paths + " answered as expected, without showing which version; send the version_metadata binding's id in a header to be sure"
	default:
		for _, line := range report.Lines {
			if !strings.Contains(line, " answered") || strings.Contains(line, "wanted") {
				return line
			}
		}
		return paths + " did not answer as expected"
	}
}

func provenBy(version string) string {
	if version == "" {
		return ""
	}
	return " by version " + short(version)
}

func short(version string) string {
	if len(version) > 8 {
		return version[:8]
	}
	return version
}
