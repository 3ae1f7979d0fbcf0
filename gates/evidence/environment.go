package evidence

import "time"

// Environment is what the target says of the place that is deployed to, as it is now, beside what the app's own config
// asks for.
type Environment struct {
	Header
	App    string `json:"app"`
	Name   string `json:"name"` // of the environment
	Worker Worker `json:"worker"`
	// Resources are those that the config binds, in its order.
	Resources []Resource `json:"resources"`
	Secrets   Secrets    `json:"secrets"`
	Routes    []Route    `json:"routes"`
	// Certificates are those that answer for the hosts of Routes, a custom domain's among them.
	Certificates []Certificate `json:"certificates"`
	Crons        Crons         `json:"crons"`
	Drift        Drift         `json:"drift"`
	// Gaps is everything that could not be asked; what it concerns is [Unknown] at its own place too.
	Gaps []Gap `json:"gaps"`
}

// Worker is the deployed program.
type Worker struct {
	Name        string       `json:"name"`
	State       State        `json:"state"`
	URL         string       `json:"url,omitempty"` // where people reach it
	Shares      []Share      `json:"shares"`        // of the current deployment, the largest first; a share may be 0
	Versions    []Version    `json:"versions"`      // newest first
	Deployments []Deployment `json:"deployments"`   // newest first, the current one among them
}

// Share is a version's part of the traffic in percent.
type Share struct {
	Version    string  `json:"version"`
	Percentage float64 `json:"percentage"`
}

// Version is one upload.
type Version struct {
	ID        string    `json:"id"`
	Number    int       `json:"number,omitempty"`
	Tag       string    `json:"tag,omitempty"`    // the promotion's id, for those that penstock made
	Bundle    string    `json:"bundle,omitempty"` // "sha256:…" where penstock recorded it
	CreatedAt time.Time `json:"createdAt"`
	// PreparedFor is the promotion that made it with the code that was live, or a placeholder, so that its own could come: for
	// new Durable Object classes, and the first time.
	PreparedFor string `json:"preparedFor,omitempty"`
	// Bindings are known for the versions of the current deployment only; BindingsState says whether they are.
	Bindings      []Binding `json:"bindings,omitempty"`
	BindingsState State     `json:"bindingsState"`
}

// Binding is what a version's code reaches by a name. A secret's value is not in it.
type Binding struct {
	Name   string `json:"name"`
	Type   string `json:"type"`             // in Cloudflare's words: d1, kv_namespace, r2_bucket, queue, secret_text, …
	Target string `json:"target,omitempty"` // id or name of what is bound; empty for variables and secrets
}

// Deployment is one division of the traffic.
type Deployment struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"` // since when
	Shares  []Share   `json:"shares"`
	Message string    `json:"message,omitempty"`
}

// ShareOf is the version's part of the traffic now, in percent; 0 when it has none.
func (w Worker) ShareOf(version string) float64 {
	for _, share := range w.Shares {
		if share.Version == version {
			return share.Percentage
		}
	}
	return 0
}

// TookTraffic is since when the version has been taking traffic without a break, up to now; ok is false when it takes none,
// and when the deployments do not say.
func (w Worker) TookTraffic(version string) (since time.Time, ok bool) {
	for _, deployment := range w.Deployments {
		taking := false
		for _, share := range deployment.Shares {
			taking = taking || (share.Version == version && share.Percentage > 0)
		}
		if !taking {
			break
		}
		since, ok = deployment.At, !deployment.At.IsZero()
	}
	return since, ok
}

// The kinds of resources.
const (
	ResourceD1            = "d1"
	ResourceKV            = "kv"
	ResourceR2            = "r2"
	ResourceDurableObject = "durable-object"
	ResourceQueue         = "queue"
	ResourceVectorize     = "vectorize"
)

// Resource is something that the config binds or consumes, and whether it exists.
type Resource struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Binding string `json:"binding,omitempty"` // empty for a queue that is only consumed
	ID      string `json:"id,omitempty"`      // in the account; empty unless it is present
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"` // why it is unknown
	// One of these for the kinds that have more to say; nil when it is not present.
	Database  *Database  `json:"database,omitempty"`
	Bucket    *Bucket    `json:"bucket,omitempty"`
	Class     *Class     `json:"class,omitempty"`
	Queue     *Queue     `json:"queue,omitempty"`
	Vectorize *Vectorize `json:"vectorize,omitempty"`
}

// Database is what there is to know of a D1 database.
type Database struct {
	MigrationsState State    `json:"migrationsState"` // Present when they could be read
	Reason          string   `json:"reason,omitempty"`
	Table           string   `json:"table"`   // where applied migrations are recorded
	Applied         []string `json:"applied"` // in the order in which they were applied
	Pending         []string `json:"pending"` // files that are not applied, in their order
	// Gone are applied migrations whose file no longer exists.
	Gone []string `json:"gone"`
}

// Bucket is what there is to know of an R2 bucket.
type Bucket struct {
	Jurisdiction string `json:"jurisdiction,omitempty"`
	// Public says whether everybody may read it: Present when its r2.dev address or a domain is enabled, Missing when not.
	Public       State    `json:"public"`
	PublicReason string   `json:"publicReason,omitempty"`
	Domains      []string `json:"domains,omitempty"` // by which it is public
}

// Class is a Durable Object's class.
type Class struct {
	Name   string `json:"name"`
	Script string `json:"script"` // the Worker that has it
	SQLite bool   `json:"sqlite"` // as the account says
}

// Queue is what there is to know of a queue.
type Queue struct {
	// Wanted is the consumer that the config asks for; nil when this Worker does not consume it.
	Wanted         *Consumer  `json:"wanted,omitempty"`
	Consumers      []Consumer `json:"consumers"`
	ConsumersState State      `json:"consumersState"`
	// DeadLetter says that the config uses it for what another queue could not deliver; From names that one.
	DeadLetter bool     `json:"deadLetter,omitempty"`
	From       []string `json:"from,omitempty"`
	// DeliveryPaused says that it keeps messages and hands none out.
	DeliveryPaused bool   `json:"deliveryPaused,omitempty"`
	Reason         string `json:"reason,omitempty"`
}

// Consumer is who takes messages out of a queue. A nil setting is Cloudflare's default.
type Consumer struct {
	Type            string   `json:"type"` // worker or http_pull
	Script          string   `json:"script,omitempty"`
	DeadLetterQueue string   `json:"deadLetterQueue,omitempty"`
	BatchSize       *float64 `json:"batchSize,omitempty"`
	MaxConcurrency  *float64 `json:"maxConcurrency,omitempty"`
	MaxRetries      *float64 `json:"maxRetries,omitempty"`
	MaxWaitMS       *float64 `json:"maxWaitMs,omitempty"`
	RetryDelay      *float64 `json:"retryDelaySeconds,omitempty"`
	VisibilityMS    *float64 `json:"visibilityTimeoutMs,omitempty"`
}

// Vectorize is what there is to know of an index.
type Vectorize struct {
	Dimensions int    `json:"dimensions"`
	Metric     string `json:"metric"`
	// Vectors are as many as the index says; CountState says whether that could be asked.
	Vectors    int64 `json:"vectors"`
	CountState State `json:"countState"`
}

// Secrets are names; no value is ever evidence.
type Secrets struct {
	State    State    `json:"state"` // of Names: Present when the target could be asked
	Reason   string   `json:"reason,omitempty"`
	Required []string `json:"required"`
	Names    []string `json:"names"` // that the Worker has
}

// Route is a pattern that the config routes to the Worker, or its custom domain.
type Route struct {
	Pattern      string `json:"pattern"`
	Host         string `json:"host"` // without a port; "*.example.com" where the pattern has one
	CustomDomain bool   `json:"customDomain,omitempty"`
	Zone         string `json:"zone,omitempty"`
	ZoneState    State  `json:"zoneState"`
	ZoneStatus   string `json:"zoneStatus,omitempty"` // in Cloudflare's words: active, pending, …
	State        State  `json:"state"`                // Present when the route exists, whomever it leads to
	LeadsTo      string `json:"leadsTo,omitempty"`    // the Worker that has it
	Reason       string `json:"reason,omitempty"`
}

// Certificate is what HTTPS rests on for one host.
type Certificate struct {
	Host   string `json:"host"`
	State  State  `json:"state"`
	Status string `json:"status,omitempty"` // in Cloudflare's words: active, pending_validation, …
	Issuer string `json:"issuer,omitempty"`
	// Expires is of the certificate that lasts longest among those active; zero when it is not known.
	Expires time.Time `json:"expires,omitzero"`
	Reason  string    `json:"reason,omitempty"`
}

// Crons are the schedules on which the Worker is called.
type Crons struct {
	State  State    `json:"state"`
	Reason string   `json:"reason,omitempty"`
	Wanted []string `json:"wanted"`
	Found  []string `json:"found"`
}

// Drift is what is live against what was last promoted.
type Drift struct {
	// State is Present when both are known, so that Differences is the whole truth; Missing when nothing was ever promoted.
	State       State        `json:"state"`
	Reason      string       `json:"reason,omitempty"`
	Last        *Promoted    `json:"last,omitempty"`
	Differences []Difference `json:"differences"`
	// Edited is the version with traffic that is the last one with secrets that penstock put since; "" when there is none.
	Edited string `json:"edited,omitempty"`
}

// Promoted is the last promotion that was completed.
type Promoted struct {
	Promotion string    `json:"promotion"`
	Run       string    `json:"run,omitempty"`
	Version   string    `json:"version"`
	Bundle    string    `json:"bundle,omitempty"`
	At        time.Time `json:"at"`
}

// Difference is one thing that somebody else changed.
type Difference struct {
	What     string `json:"what"`              // worker, version, migration
	Version  string `json:"version,omitempty"` // that it is about
	Promoted string `json:"promoted,omitempty"`
	Live     string `json:"live,omitempty"`
	// Unfinished is the promotion that left it so when it died; the next one puts that in order before anything else.
	Unfinished string `json:"unfinished,omitempty"`
}
