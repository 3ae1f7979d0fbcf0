package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Bounds of what one evaluation may ask of a running version, and take from it.
const (
	maxRequests   = 300
	maxAnswer     = 4 << 20
	maxRetryAfter = 61 * time.Second // a rate limit counted by the minute lets in again after that
)

// timeoutSchema is the part of a config schema that all gates share which ask the running version.
const timeoutSchema = `"timeout": {"type": "number", "minimum": 0.1, "maximum": 60, "default": 10, "description": "seconds that one answer may take"}`

// probe asks the version that is judged, for one evaluation of one gate. It follows no redirects, keeps no cookies, and
// lets no proxy of the machine's come between. It may be used from several goroutines.
type probe struct {
	base     *url.URL
	client   *http.Client
	identity map[string]string // headers of every question
	asked    atomic.Int32
	progress func(format string, args ...any)
}

// question is one request. target is what follows the host, percent-encoded as it is to be sent.
type question struct {
	method, target string
	header         map[string]string
	body           string
	headersOnly    bool // the body of the answer is not read
	limited        bool // an answer of 429 is what is looked for
}

func (q question) String() string {
	const shown = 80
	text := q.method + " " + q.target
	if len(text) > shown {
		text = text[:shown] + "…"
	}
	return text
}

// answer is what came back.
type answer struct {
	question question
	status   int
	header   http.Header
	body     string
}

// failed reports whether the answer says that something went wrong.
func (a answer) failed() bool { return a.status >= 400 }

// newProbe returns a probe of the version in the request, each of whose answers may take that many seconds.
func newProbe(request *gates.Request, timeout float64) (*probe, error) {
	p, err := probeOf(request.Run.URL, request, timeout)
	if err == nil && isLocal(request.Run.PublicURL) {
		// Here nobody but the gate says where a request comes from, and its own place keeps it out of the way of others
		// that a rate limit counts. Cloudflare sets this header itself, and refuses visitors that send it.
		p.identity = map[string]string{clientHeader: strangerAddress()}
	}
	return p, err
}

// clientHeader is how a Worker learns where a request comes from.
const clientHeader = "CF-Connecting-IP"

// probeOf returns a probe of any address.
func probeOf(address string, request *gates.Request, timeout float64) (*probe, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("the running version has no address that can be asked: %q", address)
	}
	return &probe{
		base: base, progress: request.Progress,
		client: &http.Client{
			Timeout:       time.Duration(timeout * float64(time.Second)),
			Transport:     &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 5 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (p *probe) close() { p.client.CloseIdleConnections() }

// ask returns the answer to one question. An answer of 429 is not the one that was asked for: the probe then waits as
// long as it is told to, once.
func (p *probe) ask(ctx context.Context, q question) (answer, error) {
	got, err := p.askOnce(ctx, q)
	if err != nil || got.status != http.StatusTooManyRequests || q.limited {
		return got, err
	}
	if wait, told := retryAfter(got.header); told && wait <= maxRetryAfter {
		p.progress("the app's rate limit turned %s away; asking again in %s", q, wait)
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-time.After(wait):
		}
		if got, err = p.askOnce(ctx, q); err != nil || got.status != http.StatusTooManyRequests {
			return got, err
		}
	}
	return answer{}, fmt.Errorf("%s was turned away by a rate limit (429)", q)
}

func (p *probe) askOnce(ctx context.Context, q question) (answer, error) {
	if p.asked.Add(1) > maxRequests {
		return answer{}, fmt.Errorf("%s was not asked: %d requests are enough for one gate", q, maxRequests)
	}
	target, err := url.Parse(strings.TrimSuffix(p.base.String(), "/") + q.target)
	if err != nil {
		return answer{}, fmt.Errorf("%s is nothing that can be asked: %w", q, err)
	}
	request, err := http.NewRequestWithContext(ctx, q.method, target.String(), strings.NewReader(q.body))
	if err != nil {
		return answer{}, fmt.Errorf("%s is nothing that can be asked: %w", q, err)
	}
	request.Header.Set("User-Agent", "penstock-gates-security")
	for _, headers := range []map[string]string{p.identity, q.header} {
		for name, value := range headers {
			request.Header.Set(name, value)
		}
	}
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, fmt.Errorf("%s was not answered: %w", q, reason(err))
	}
	defer response.Body.Close()
	got := answer{question: q, status: response.StatusCode, header: response.Header}
	if q.headersOnly {
		// What is short is read all the same, so that the connection serves the next question too.
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
		return got, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("the answer to %s broke off: %w", q, reason(err))
	}
	if len(body) > maxAnswer {
		return answer{}, fmt.Errorf("the answer to %s is longer than %d MiB, which is as much as is read", q, maxAnswer>>20)
	}
	got.body = string(body)
	return got, nil
}

// reason is an error of the HTTP client without the method and the address, which the message around it has.
func reason(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		if failed.Timeout() {
			return errors.New("no answer in time")
		}
		return failed.Err
	}
	return err
}

// noAnswer is the verdict when a question was not answered. No answer is never a pass; and when the gate's own time is
// up, that is the error.
func noAnswer(ctx context.Context, err error) (*gates.Verdict, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return gates.CouldNotAsk("see whether the version answers at all: its log, and the smoke test", "%s", err), nil
}

// retryAfter returns how long an answer asks to wait (RFC 9110, 10.2.3).
func retryAfter(header http.Header) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds <= 365*24*3600 {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(time.Until(date), 0), true
	}
	return 0, false
}

// isLocal reports whether an address is of this machine only.
func isLocal(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(parsed.Hostname(), "."))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

// strangerAddress is an IP address that nobody else has: from the range for documentation (RFC 3849).
func strangerAddress() string {
	var address [16]byte
	_, _ = rand.Read(address[:]) // never fails
	copy(address[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	return netip.AddrFrom16(address).String()
}

// newMarker is a word that stands in no page by chance and means nothing to anybody.
func newMarker() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return "penstock" + hex.EncodeToString(random[:])
}
