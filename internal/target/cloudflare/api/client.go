// Package api is the part of Cloudflare's v4 API that a deployment needs, in plain types. Only package cloudflare, above
// it, imports it.
//
// The calls go through cloudflare-go's services, which know the paths; the bodies and answers are decoded here, because
// the generated types lose what we need (annotations, binding unions) and its upload calls flatten the metadata into form
// fields, which the API refuses (code 10021). What the SDK would do by itself is switched off: it would retry changes, and
// a version upload sent twice is two versions.
package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
)

// DefaultBaseURL is Cloudflare's own API.
const DefaultBaseURL = "https://api.cloudflare.com/client/v4"

// Options say where the API is and who asks.
type Options struct {
	BaseURL   string // up to and including /client/v4; "" means DefaultBaseURL
	Token     string
	AccountID string
	// HTTPClient is for tests; nil means one with time-outs.
	HTTPClient *http.Client
	// Backoff is the wait before the first repeat of a read; it doubles from there. Zero means 250 ms.
	Backoff time.Duration
}

// Client asks Cloudflare. It is safe for concurrent use.
type Client struct {
	account string
	address string // of the API
	token   string
	http    *http.Client
	backoff time.Duration
	base    []option.RequestOption
	read    []option.RequestOption // for calls that change nothing
	change  []option.RequestOption // for calls that do
}

// accountIDs are 32 hexadecimal digits. They become part of a path.
var accountIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)

// New checks the options and makes a client. It does not talk to anyone.
func New(o Options) (*Client, error) {
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	if o.Backoff == 0 {
		o.Backoff = 250 * time.Millisecond
	}
	if o.HTTPClient == nil {
		o.HTTPClient = httpClient()
	}
	base, err := url.Parse(o.BaseURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("the API's address %q is not a URL", o.BaseURL)
	}
	if base.Scheme != "https" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("the API's address %q would carry the token unencrypted: use https", o.BaseURL)
	}
	if !accountIDs.MatchString(o.AccountID) {
		return nil, fmt.Errorf("the account id %q is not 32 hexadecimal digits: set CLOUDFLARE_ACCOUNT_ID, or account_id in the wrangler config", o.AccountID)
	}
	if strings.TrimSpace(o.Token) == "" {
		return nil, errors.New("there is no API token: set CLOUDFLARE_API_TOKEN")
	}
	c := &Client{account: o.AccountID, address: strings.TrimSuffix(o.BaseURL, "/"), token: o.Token, http: o.HTTPClient, backoff: o.Backoff}
	c.base = []option.RequestOption{
		option.WithBaseURL(o.BaseURL),
		option.WithAPIToken(o.Token),
		option.WithHTTPClient(o.HTTPClient),
		option.WithMaxRetries(0),
	}
	c.read = []option.RequestOption{option.WithMiddleware(c.guard(true))}
	c.change = []option.RequestOption{option.WithMiddleware(c.guard(false))}
	return c, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// httpClient has a bound on everything. The longest legitimate waits are a large upload and a migration, which D1 ends
// after 30 s a query.
func httpClient() *http.Client {
	return &http.Client{
		Timeout: 3 * time.Minute,
		// An API does not redirect; following one could carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 2 * time.Minute,
			IdleConnTimeout:       30 * time.Second,
			ForceAttemptHTTP2:     true,
		},
	}
}
