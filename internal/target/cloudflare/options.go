// Package cloudflare deploys Workers: it implements [promotion.Target] on Cloudflare's API, or on what speaks it, such as
// the local Cloudflare.
//
// It takes the bundle as the app's own wrangler made it and the wrangler config as wrangler would read it, and keeps to
// what wrangler does (its migrations table, its metadata, its order of calls), so that both tools can be used on one app
// in turns.
package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// Resources says how the config's databases and KV namespaces are found in the account.
type Resources int

const (
	// ByID takes the ids that the wrangler config gives. A resource without an id is looked for by name.
	ByID Resources = iota
	// ByName takes no notice of ids, which belong to another account: databases are found by database_name and KV
	// namespaces by the title "<worker>-<binding>". It is for the local Cloudflare.
	ByName
)

// Options describe one app in one environment.
type Options struct {
	BaseURL   string // of the API, up to and including /client/v4; "" is Cloudflare's own
	Token     string
	AccountID string

	// Worker is the wrangler config, resolved for Environment.WranglerEnv; ConfigFile is its name, for messages.
	Worker      wrangler.Worker
	ConfigFile  string
	Environment pipelines.Environment
	// AppDir is the folder of the wrangler config; migration and seed files are read from it.
	AppDir string
	// BackupDir is where exports of databases are kept; needed when the environment wants them.
	BackupDir string
	Resources Resources
	// Secrets are values by name. Those given are part of each uploaded version; all others are kept as they are.
	Secrets map[string]string
	// KeptAssets returns which static files a bundle has that was deployed before, nil when that is not known any more. It may
	// be nil; then plans cannot name the static files that change.
	KeptAssets func(bundle string) *bundle.Assets
	// PublicURL overrides where people reach a Worker: the local Cloudflare has no workers.dev.
	PublicURL func(worker string) string
	// HTTPClient is for tests; nil means one with time-outs.
	HTTPClient *http.Client
	// Note is told of what is worth knowing and no failure; nil drops it.
	Note func(text string)
}

// Target is one app in one environment of a Cloudflare account. Its calls are made one at a time.
type Target struct {
	Options
	api *api.Client
	// pace holds the waits; tests shorten them.
	pace pace
}

var _ promotion.Target = (*Target)(nil)

// pace is how patiently the target waits.
type pace struct {
	// settle is the wait after a lost reply before the first look; it doubles with each look.
	settle time.Duration
	looks  int
	// poll is the interval at which a deployment is looked for, and shown how long it may take to appear.
	poll, shown time.Duration
	// certificate is the interval at which a certificate is looked for.
	certificate time.Duration
}

// workerNames is what wrangler accepts. A name becomes part of paths and of a header.
var workerNames = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,62}$`)

// New checks the options and makes the target. It does not talk to anyone.
func New(o Options) (*Target, error) {
	if !workerNames.MatchString(o.Worker.Name) {
		return nil, fmt.Errorf("%s: the Worker's name %q is not one that Cloudflare accepts: lower-case letters, digits, - and _, at most 63", o.ConfigFile, o.Worker.Name)
	}
	if o.AppDir == "" {
		return nil, errors.New("make the cloudflare target: the app's folder is not given")
	}
	client, err := api.New(api.Options{BaseURL: o.BaseURL, Token: o.Token, AccountID: o.AccountID, HTTPClient: o.HTTPClient})
	if err != nil {
		return nil, fmt.Errorf("environment %s: %w", o.Environment.Name, err)
	}
	return &Target{
		Options: o,
		api:     client,
		// Looks after 1, 2, 4, 8 and 16 s: D1 ends a query after 30 s, so what was lost has ended by then.
		// A deployment is usually shown at once.
		pace: pace{settle: time.Second, looks: 5, poll: 200 * time.Millisecond, shown: time.Minute, certificate: 5 * time.Second},
	}, nil
}

func (t *Target) note(format string, args ...any) {
	if t.Note != nil {
		t.Note(fmt.Sprintf(format, args...))
	}
}
