package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"syscall"
	"time"
)

// cfProperties is request.cf as a worker sees it: the members that apps read most, true to this machine.
const cfProperties = `{"colo":"LOCAL","country":"XX","httpProtocol":"HTTP/1.1","tlsVersion":"","clientAcceptEncoding":""}`

// edge serves one script's requests, whether the script exists yet or not.
type edge struct {
	runtime *Runtime
	name    string
	// internal marks calls from other workers. They do not wait while a deployment changes over: the request that they
	// belong to is itself waited for.
	internal bool
}

func (e edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := e.runtime.script(e.name)
	if s == nil {
		edgeError(w, http.StatusNotFound, "error code: 1042", errNotDeployed.Error())
		return
	}
	arrived := time.Now()
	stay, err := s.enter(r.Context(), e.internal)
	if err != nil {
		if r.Context().Err() == nil {
			status, code := http.StatusBadGateway, "error code: 502"
			if errors.Is(err, errNotDeployed) {
				status, code = http.StatusNotFound, "error code: 1042"
			}
			edgeError(w, status, code, err.Error())
		}
		return
	}
	ray := fmt.Sprintf("%016x-LOCAL", rand.Uint64())
	r.Header.Set("Cf-Ray", ray)
	version := chooseVersion(s.name, stay.shares, r.Header)
	// A worker may answer before it has read the request's body. By default net/http takes the body away as soon as the
	// answer begins; that breaks the connection to the worker, and with it one such answer in a thousand. HTTP/2, and
	// other writers that know no such mode, need none.
	_ = http.NewResponseController(w).EnableFullDuplex()
	answer := &countingWriter{ResponseWriter: w, status: http.StatusOK, worker: stay.worker}
	served, finished := false, false // by a file; to the end
	defer func() {
		answer.done()
		stay.leave()
		if served {
			return // no Worker was called
		}
		invocation := Invocation{
			Script: s.name, Version: version, At: arrived, Duration: time.Since(arrived),
			Status: answer.status, Bytes: answer.bytes, ClientGone: r.Context().Err() != nil,
		}
		// A proxy that lost the worker in the middle of an answer panics to break the client's connection.
		if answer.broken || (!finished && !invocation.ClientGone) {
			invocation.Outcome = OutcomeBroken
		}
		e.runtime.outcomes.edgeSaw(ray, invocation)
	}()
	if assets := s.assetsOf(version); assets != nil && assets.serveBefore(answer, r) {
		served, finished = true, true
		return
	}
	e.proxy(stay.worker, version).ServeHTTP(answer, r)
	finished = true
}

// proxy forwards one request to a version's socket.
func (e edge) proxy(worker *kept, version string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = "worker" // replaced by the transport, which knows the live process
			r.Out.Host = r.In.Host
			setEdgeHeaders(r.In, r.Out.Header)
		},
		Transport:     workerTransport{worker: worker, version: version},
		FlushInterval: -1, // stream: a worker's bytes must not wait in a buffer
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client has gone
			}
			e.runtime.log.Warn("request failed", "script", e.name, "version", version, "error", err)
			if counting, isOurs := w.(*countingWriter); isOurs {
				counting.broken = true
			}
			edgeError(w, http.StatusBadGateway, "error code: 502", "the worker's process did not answer")
		},
		ErrorLog: log.New(io.Discard, "", 0), // it reports clients that go away in the middle of an answer
	}
}

// setEdgeHeaders adds what Cloudflare's edge tells a worker about the client.
func setEdgeHeaders(in *http.Request, out http.Header) {
	if client, _, err := net.SplitHostPort(in.RemoteAddr); err == nil && out.Get("Cf-Connecting-Ip") == "" {
		out.Set("Cf-Connecting-Ip", client)
	}
	out.Set("X-Forwarded-Proto", clientScheme(in)) // ReverseProxy.Rewrite removes what the client said
	out.Set(headerCF, cfProperties)
	if _, ok := in.Header["User-Agent"]; !ok {
		out["User-Agent"] = nil // otherwise net/http invents one
	}
}

// clientScheme is http or https, as the client asked: our own front door tells by a header that it took the request by TLS.
func clientScheme(in *http.Request) string {
	if told := in.Header.Get("X-Forwarded-Proto"); told == "http" || told == "https" {
		return told
	}
	if in.TLS != nil {
		return "https"
	}
	return "http"
}

// workerTransport sends a request to whatever process runs the version now.
type workerTransport struct {
	worker  *kept
	version string
}

// RoundTrip tries again when it could not connect, for then nothing was sent: the process has crashed and another one
// is on its way.
func (t workerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var refused *process
	for {
		p, err := t.worker.running(r.Context(), refused)
		if err != nil {
			return nil, err
		}
		try := r.WithContext(r.Context())
		target := *r.URL
		target.Host = p.address(t.version)
		try.URL = &target
		if r.Body != nil {
			// A transport closes the body of a request that it could not send; the server that owns it closes it anyway.
			try.Body = io.NopCloser(r.Body)
		}
		res, err := t.worker.transport.RoundTrip(try)
		if err == nil || !notConnected(err) {
			return res, err
		}
		refused = p
	}
}

func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED)
}

// countingWriter notes the status and the length of the answer, and when the connection turns into a WebSocket.
type countingWriter struct {
	http.ResponseWriter
	worker   *kept
	status   int
	bytes    int64
	upgraded bool
	broken   bool // the worker's process did not answer
}

// Unwrap lets http.ResponseController flush and hijack.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *countingWriter) WriteHeader(status int) {
	if status >= http.StatusOK { // 1xx announce the real one
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Hijack is how the proxy takes the connection over for a WebSocket.
func (c *countingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err == nil && !c.upgraded {
		c.upgraded = true
		c.worker.upgrade(+1)
	}
	return conn, buffered, err
}

func (c *countingWriter) done() {
	if c.upgraded {
		c.worker.upgrade(-1)
	}
}

// edgeError answers in place of a worker, as Cloudflare does to clients that want no HTML: the code first.
func edgeError(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Cache-Control", "private, no-store")
	w.WriteHeader(status)
	// A client that has gone cannot be told.
	_, _ = fmt.Fprintf(w, "%s\n%s\n", code, detail)
}

// errNotDeployed is what a request for an absent script gets.
var errNotDeployed = errors.New("no such worker is deployed here")

// stay is one request's hold on a worker.
type stay struct {
	worker *kept
	shares []Share
}

func (s stay) leave() { s.worker.leave() }

// enter waits while the script changes over and takes a hold on what runs.
func (s *script) enter(ctx context.Context, internal bool) (stay, error) {
	for {
		s.mu.Lock()
		worker, shares, held, changed := s.worker, s.shares, s.held, s.changed
		deployed, removed := s.deployed, s.removed
		if worker != nil && !removed && (held == open || held == draining && internal) {
			if err := worker.enter(); err == nil {
				s.mu.Unlock()
				return stay{worker: worker, shares: shares}, nil
			}
		}
		s.mu.Unlock()
		switch {
		case removed, !deployed:
			return stay{}, errNotDeployed
		case worker == nil && held == open:
			return stay{}, errors.New("the worker could not be started again after a failed deployment; deploy it anew")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return stay{}, ctx.Err()
		}
	}
}
