package localcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/analytics"
	"github.com/penstock-ci/penstock/internal/localcloud/authority"
	"github.com/penstock-ci/penstock/internal/localcloud/faults"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// Options configures a Cloud.
type Options struct {
	// Dir is the folder with all state; created with mode 0700. One process at a time may use it: see package daemon.
	Dir string
	// Workerd is the path of the workerd binary. Empty: found with runtime.FindWorkerd, from Dir's parents and the working
	// directory.
	Workerd string
	// APIAddr, EdgeAddr and EdgeTLSAddr are loopback addresses to listen on. Empty: the port of last time, or any free one.
	APIAddr     string
	EdgeAddr    string
	EdgeTLSAddr string
	// Faults is what goes wrong from the start; see package faults. It can be replaced later through /local/faults.
	Faults faults.Plan
	// Log receives what happens; it never gets a secret. Nil discards.
	Log *slog.Logger

	start   func(runtime.Options) (workers, databases, error) // nil: the real runtime
	witness func(http.Handler) http.Handler                   // what sees every call of the API first; nil: nothing
}

// Cloud is a running local Cloudflare. Its methods are safe for concurrent use.
type Cloud struct {
	log       *slog.Logger
	store     *store.Store
	identity  store.Identity
	workers   workers
	databases databases
	transfers *transfers
	authority *authority.Authority
	faults    faults.Injector
	samples   analytics.Buffer
	tails     tails
	assets    assetUploads
	stopping  context.Context // ends when Close begins, for work that outlives a request
	stop      context.CancelFunc

	apiURL     string
	edgeURL    string
	edgeTLSURL string

	// issuing is held while certificates of a zone are looked for and made, so that none is made twice.
	issuing  sync.Mutex
	ownPairs map[string]tls.Certificate

	// deploying is held while what a script runs is decided, applied and written down, so that two uploads cannot
	// interleave and what runs is what is recorded.
	deploying   sync.Mutex
	propagation propagation

	mutex   sync.Mutex // guards the rest
	sites   map[string]*site
	servers []*http.Server
	serving sync.WaitGroup
}

// Info says how to reach a Cloud. Token is a secret of this machine's user.
type Info struct {
	APIURL    string `json:"api_url"` // ends in /client/v4, without a slash
	Token     string `json:"token"`
	AccountID string `json:"account_id"`
	EdgeURL   string `json:"edge_url"` // answers by Host header: workers.dev names, routes, custom domains
	// EdgeTLSURL answers for the same names by HTTPS, chosen by the name that the client asks for in the handshake. Its
	// certificates are signed by the authority in CAFile, which nothing installs.
	EdgeTLSURL string       `json:"edge_tls_url"`
	CAFile     string       `json:"ca_file"`
	PID        int          `json:"pid"`
	Scripts    []ScriptInfo `json:"scripts"`
}

// ScriptInfo is one Worker that is there.
type ScriptInfo struct {
	Name string `json:"name"`
	URL  string `json:"url"` // http://127.0.0.1:PORT, the same after a restart unless another program took the port
	// Problem says why the deployment could not be applied again after a restart; empty when it serves.
	Problem string `json:"problem,omitempty"`
}

// EnvFile is the text of an environment file that points wrangler, or any other client, to this Cloud.
func (i Info) EnvFile() string {
	return fmt.Sprintf("CLOUDFLARE_API_BASE_URL=%s\nCLOUDFLARE_API_TOKEN=%s\nCLOUDFLARE_ACCOUNT_ID=%s\n", i.APIURL, i.Token, i.AccountID)
}

// Start opens the state, starts the runtime, applies the deployments of last time and serves. A deployment that cannot be
// applied again does not stop the rest: Info names it. On an error nothing is left running.
func Start(ctx context.Context, options Options) (*Cloud, error) {
	c := &Cloud{log: options.Log, transfers: newTransfers(), sites: map[string]*site{}, ownPairs: map[string]tls.Certificate{}}
	c.assets.sessions = map[string]*assetSession{}
	c.tails.all = map[string]*tail{}
	c.propagation = propagation{scripts: map[string]*arrival{}, latest: map[string]int{}}
	c.faults.Set(options.Faults)
	if c.log == nil {
		c.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c.stopping, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.open(ctx, options); err != nil {
		return nil, errors.Join(fmt.Errorf("start local cloudflare: %w", err), c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cloud) open(ctx context.Context, options Options) (err error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return err
	}
	if options.start == nil {
		options.start = startRuntime
		if options.Workerd == "" {
			if options.Workerd, err = runtime.FindWorkerd(dir, "."); err != nil {
				return err
			}
		}
	}
	if c.store, err = store.Open(ctx, dir); err != nil {
		return err
	}
	if c.identity, err = c.store.Identity(ctx); err != nil {
		return err
	}
	if c.authority, err = authority.Open(filepath.Join(dir, "authority")); err != nil {
		return err
	}
	c.workers, c.databases, err = options.start(runtime.Options{
		Dir: filepath.Join(dir, "runtime"), Workerd: options.Workerd, Store: c.store, Log: c.log, Observer: observer{c},
	})
	if err != nil {
		return err
	}
	if err := c.resume(ctx); err != nil {
		return err
	}
	c.serving.Go(c.measure)
	edge, err := c.listen(ctx, "edge", options.EdgeAddr)
	if err != nil {
		return err
	}
	c.edgeURL = "http://" + edge.Addr().String()
	edgeTLS, err := c.listen(ctx, "edge-tls", options.EdgeTLSAddr)
	if err != nil {
		return errors.Join(err, edge.Close())
	}
	c.edgeTLSURL = "https://" + edgeTLS.Addr().String()
	c.serve(edge, http.HandlerFunc(c.serveEdge))
	c.serveTLS(edgeTLS, http.HandlerFunc(c.serveEdge))
	api, err := c.listen(ctx, "api", options.APIAddr)
	if err != nil {
		return err
	}
	c.apiURL = "http://" + api.Addr().String() + apiPrefix
	handler := c.api()
	if options.witness != nil {
		handler = options.witness(handler)
	}
	c.serve(api, handler)
	return nil
}

// listen opens a loopback listener: at the address asked for, or at the owner's port of last time, or at any free one.
func (c *Cloud) listen(ctx context.Context, owner, address string) (net.Listener, error) {
	if address != "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("address for %s: %w", owner, err)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("address %s for %s is not loopback: use 127.0.0.1, the local cloudflare must not be reachable from outside", address, owner)
		}
		return net.Listen("tcp", address)
	}
	port, err := c.store.Port(ctx, owner)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && port != 0 {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	return listener, c.store.SetPort(ctx, owner, listener.Addr().(*net.TCPAddr).Port)
}

// serve answers on a listener until Close, or until the returned server is closed.
func (c *Cloud) serve(listener net.Listener, handler http.Handler) *http.Server {
	return c.serveWith(listener, handler, func(server *http.Server) error { return server.Serve(listener) })
}

// serveTLS is serve for HTTPS, with the certificate that each client needs.
func (c *Cloud) serveTLS(listener net.Listener, handler http.Handler) *http.Server {
	return c.serveWith(listener, handler, func(server *http.Server) error {
		server.TLSConfig = &tls.Config{GetConfigForClient: c.tlsFor, MinVersion: tls.VersionTLS12}
		return server.ServeTLS(listener, "", "")
	})
}

func (c *Cloud) serveWith(listener net.Listener, handler http.Handler, serve func(*http.Server) error) *http.Server {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)}
	c.mutex.Lock()
	c.servers = append(c.servers, server)
	c.mutex.Unlock()
	c.serving.Go(func() {
		if err := serve(server); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("listener ended", "address", listener.Addr().String(), "error", err)
		}
	})
	return server
}

// Info is a snapshot.
func (c *Cloud) Info() Info {
	return Info{
		APIURL: c.apiURL, Token: c.identity.Token, AccountID: c.identity.AccountID, EdgeURL: c.edgeURL, EdgeTLSURL: c.edgeTLSURL,
		CAFile: c.authority.File(), PID: os.Getpid(), Scripts: c.scriptInfos(),
	}
}

// Close stops answering, lets running requests finish as long as ctx allows, and stops every process. When it returns,
// nothing is left running, whatever the error.
func (c *Cloud) Close(ctx context.Context) error {
	c.stop()
	c.mutex.Lock()
	servers := c.servers
	c.mutex.Unlock()
	var problems []error
	var closing sync.WaitGroup
	for _, server := range servers {
		closing.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				_ = server.Close() // cuts what did not finish in time; its own error would only repeat that
			}
		})
	}
	closing.Wait()
	c.serving.Wait()
	if c.workers != nil {
		problems = append(problems, c.workers.Close(ctx))
	}
	if c.store != nil {
		problems = append(problems, c.keepMeasured(ctx))
		problems = append(problems, c.store.Close())
	}
	return errors.Join(problems...)
}
