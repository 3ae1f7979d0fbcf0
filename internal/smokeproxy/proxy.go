// Package smokeproxy gives an app's own smoke script, or a gate, a plain address for a version that takes no traffic.
//
// The script talks to http://127.0.0.1:PORT like to any server; the proxy sends its requests on to the target with the
// header that selects the version. So any HTTP client can ask a green version without knowing Penstock. Only the place
// that runs smoke stages and asks gates needs this package.
package smokeproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// ScanLimit is how many bytes of an answer's body are searched for the version's id.
const ScanLimit = 1 << 20

// Seen counts the answers that passed.
type Seen struct {
	Answers int
	Proven  int // carried the wanted version's id
	Failed  int // the target did not answer; the script got 502
	// Unproven is the path, with its query, of the last GET whose answer went by as a whole without carrying the id.
	Unproven string
}

// Proxy is a running proxy. Close it when the stage has ended.
type Proxy struct {
	// URL is what the script is given, without a trailing slash.
	URL string

	server    *http.Server
	transport *http.Transport
	served    chan struct{}

	mu   sync.Mutex
	seen Seen
}

// Start listens on a free port of the loopback interface and forwards to the address until ctx ends or Close is called.
// version is the id to look for in the answers.
func Start(ctx context.Context, address promotion.Address, version string) (*Proxy, error) {
	target, err := url.Parse(address.URL)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("start a smoke proxy: %q is not an address", address.URL)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a smoke proxy: %w", err)
	}
	p := &Proxy{
		URL: "http://" + listener.Addr().String(),
		// No proxy of the environment: the version is reached the way the prober reaches it. No compression of our own: the
		// script gets the very bytes.
		transport: &http.Transport{Proxy: nil, DisableCompression: true},
		served:    make(chan struct{}),
	}
	quiet := log.New(io.Discard, "", 0) // what goes wrong is counted, and told to the script as 502
	p.server = &http.Server{
		Handler:           p.handler(target, address.Header, address.Proof(version), version != "", quiet),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(listener) // always returns an error: that it was closed
	}()
	context.AfterFunc(ctx, func() { _ = p.server.Close() })
	return p, nil
}

// Seen returns what passed until now.
func (p *Proxy) Seen() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// Close stops listening and cuts what is still open. It may be called more than once.
func (p *Proxy) Close() error {
	err := p.server.Close()
	<-p.served
	p.transport.CloseIdleConnections()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop the smoke proxy: %w", err)
	}
	return nil
}

// handler passes questions on; wanted says that there is an id to look for in the answers.
func (p *Proxy) handler(target *url.URL, header http.Header, proof promotion.Proof, wanted bool, quiet *log.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Transport: p.transport,
		ErrorLog:  quiet,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target) // sets the Host too: routes at the target go by it
			for name, values := range header {
				request.Out.Header[name] = values
			}
			if host := header.Get("Host"); host != "" {
				request.Out.Host = host
			}
			if wanted {
				request.Out.Header.Set("Accept-Encoding", "identity") // in what is packed no id can be found
			}
		},
		ModifyResponse: func(response *http.Response) error {
			proven := proof.InHeader(response.Header)
			p.count(func(seen *Seen) {
				seen.Answers++
				if proven {
					seen.Proven++
				}
			})
			rebase(response, target, p.URL)
			// A switched connection is not a body to read.
			if !proven && wanted && response.StatusCode != http.StatusSwitchingProtocols {
				path := asked(response.Request, target)
				response.Body = &scanner{
					ReadCloser: response.Body, proof: proof,
					found: func() { p.count(func(seen *Seen) { seen.Proven++ }) },
					missed: func() {
						if response.Request.Method == http.MethodGet {
							p.count(func(seen *Seen) { seen.Unproven = path })
						}
					},
				}
			}
			return nil
		},
		ErrorHandler: func(writer http.ResponseWriter, _ *http.Request, err error) {
			p.count(func(seen *Seen) { seen.Failed++ })
			http.Error(writer, "penstock: the version did not answer: "+err.Error(), http.StatusBadGateway)
		},
	}
}

// asked is the path that the script asked for; the target's own comes before it in the request that went out.
func asked(request *http.Request, target *url.URL) string {
	return strings.TrimPrefix(request.URL.RequestURI(), strings.TrimSuffix(target.EscapedPath(), "/"))
}

// rebase makes a redirect within the target one within the proxy, so that the script does not leave the version. The target's
// own path does not appear in the proxy's; what lies beside it leads out.
func rebase(response *http.Response, target *url.URL, base string) {
	given := response.Header.Get("Location")
	if given == "" || response.Request == nil {
		return
	}
	location, err := response.Request.URL.Parse(given)
	if err != nil || location.Host != target.Host {
		return
	}
	own := strings.TrimSuffix(target.EscapedPath(), "/")
	inside, within := strings.CutPrefix(location.EscapedPath(), own)
	if !within || inside != "" && !strings.HasPrefix(inside, "/") {
		response.Header.Set("Location", location.String())
		return
	}
	location.Scheme, location.Host, location.User = "", "", nil
	rest := strings.TrimPrefix(location.String(), location.EscapedPath())
	response.Header.Set("Location", base+inside+rest)
}

func (p *Proxy) count(change func(*Seen)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.seen)
}

// scanner looks for the proof in what is read through it, also across two reads.
type scanner struct {
	io.ReadCloser
	proof promotion.Proof
	tail  []byte
	read  int
	// found is called once, when it was read; missed when all was read without it.
	found, missed func()
}

func (s *scanner) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.found != nil && s.read < ScanLimit {
		window := append(s.tail, p[:n]...)
		if s.proof.In(window, len(s.tail)) {
			s.found()
			s.found = nil
		}
		s.tail = bytes.Clone(window[max(0, len(window)-s.proof.Reach()):])
		s.read += n
		if s.found != nil && err == io.EOF {
			s.missed()
			s.found = nil
		}
	}
	return n, err
}
