package wrangler

import "encoding/json"

// Worker is the configuration of one environment after inheritance: what is to be deployed. Paths are as written, relative
// to the folder of the configuration.
type Worker struct {
	Environment        string   `json:"-"` // as given to Config.For; "" is the top level
	Name               string   `json:"name"`
	Main               string   `json:"main"`
	AccountID          string   `json:"account_id"`
	CompatibilityDate  string   `json:"compatibility_date"`
	CompatibilityFlags []string `json:"compatibility_flags"`
	// WorkersDev and PreviewURLs are nil when the configuration leaves them to Cloudflare's defaults.
	WorkersDev  *bool   `json:"workers_dev"`
	PreviewURLs *bool   `json:"preview_urls"`
	Route       *Route  `json:"route"` // the older form of a single route; ask AllRoutes
	Routes      []Route `json:"routes"`
	Triggers    struct {
		Crons []string `json:"crons"`
	} `json:"triggers"`
	// Build is what wrangler runs before it bundles.
	Build struct {
		Command  string          `json:"command"`
		Cwd      string          `json:"cwd"`
		WatchDir json.RawMessage `json:"watch_dir"` // only in development
	} `json:"build"`
	Limits        Limits         `json:"limits"`
	Placement     *Placement     `json:"placement"`
	Observability *Observability `json:"observability"`
	Logpush       *bool          `json:"logpush"`
	Assets        *Assets        `json:"assets"`
	// Migrations are those of Durable Objects, in order; a database's are files in its MigrationsDir.
	Migrations []DurableObjectMigration `json:"migrations"`

	// Vars are texts or any other JSON value, as written; see VarText.
	Vars    map[string]json.RawMessage `json:"vars"`
	Secrets struct {
		Required []string `json:"required"`
	} `json:"secrets"`
	DurableObjects struct {
		Bindings []DurableObject `json:"bindings"`
	} `json:"durable_objects"`
	KVNamespaces []KVNamespace `json:"kv_namespaces"`
	R2Buckets    []R2Bucket    `json:"r2_buckets"`
	D1Databases  []D1Database  `json:"d1_databases"`
	Queues       struct {
		Producers []QueueProducer `json:"producers"`
		Consumers []QueueConsumer `json:"consumers"`
	} `json:"queues"`
	Vectorize       []VectorizeIndex  `json:"vectorize"`
	Services        []Service         `json:"services"`
	Analytics       []AnalyticsEngine `json:"analytics_engine_datasets"`
	AI              *Named            `json:"ai"`
	VersionMetadata *Named            `json:"version_metadata"`
	RateLimits      []RateLimit       `json:"ratelimits"`
	TailConsumers   []TailConsumer    `json:"tail_consumers"`

	// Other are the keys that apply here and that none of the fields above holds: keys of wrangler's that change what is
	// deployed, and keys that nobody knows. A target that goes on in spite of one of them must be sure why.
	Other []Key `json:"-"`
	// NotInherited are the keys that the top level sets and this environment lacks, though wrangler does not inherit
	// them: usually a binding that was forgotten.
	NotInherited []Key `json:"-"`
}

// Key is one key of the configuration.
type Key struct {
	Path   string // "limits.memory_mb", "env.production.hyperdrive"
	Line   int
	Column int
	// Known says that wrangler has such a key; it may be misspelt otherwise.
	Known bool
	Value json.RawMessage
}

// Limits bound one invocation; 0 is Cloudflare's default.
type Limits struct {
	CPUMillis   float64 `json:"cpu_ms"`
	Subrequests float64 `json:"subrequests"`
}

// Route is a URL pattern that leads to the Worker, or a custom domain.
type Route struct {
	Pattern         string `json:"pattern"`
	ZoneID          string `json:"zone_id"`
	ZoneName        string `json:"zone_name"`
	CustomDomain    bool   `json:"custom_domain"`
	Enabled         *bool  `json:"enabled"`
	PreviewsEnabled *bool  `json:"previews_enabled"`
}

// UnmarshalJSON accepts a bare pattern too, as wrangler does.
func (r *Route) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &r.Pattern)
	}
	type plain Route // without this method
	return json.Unmarshal(data, (*plain)(r))
}

// AllRoutes are the routes in either form; like wrangler it takes no notice of route where there are routes, which can
// come about by inheritance.
func (w *Worker) AllRoutes() []Route {
	if w.Routes == nil && w.Route != nil && w.Route.Pattern != "" {
		return []Route{*w.Route}
	}
	return w.Routes
}

// Placement says where the Worker runs.
type Placement struct {
	Mode     string `json:"mode"`
	Hint     string `json:"hint"`
	Region   string `json:"region"`
	Host     string `json:"host"`
	Hostname string `json:"hostname"`
}

// Observability configures Workers Logs and traces.
type Observability struct {
	Enabled          *bool               `json:"enabled"`
	HeadSamplingRate *float64            `json:"head_sampling_rate"`
	Logs             *ObservabilityLogs  `json:"logs"`
	Traces           *ObservabilityTrace `json:"traces"`
}

// ObservabilityLogs configures Workers Logs.
type ObservabilityLogs struct {
	Enabled          *bool    `json:"enabled"`
	HeadSamplingRate *float64 `json:"head_sampling_rate"`
	InvocationLogs   *bool    `json:"invocation_logs"`
	Persist          *bool    `json:"persist"`
	Destinations     []string `json:"destinations"`
}

// ObservabilityTrace configures Workers traces.
type ObservabilityTrace struct {
	Enabled          *bool    `json:"enabled"`
	HeadSamplingRate *float64 `json:"head_sampling_rate"`
	Persist          *bool    `json:"persist"`
	Destinations     []string `json:"destinations"`
}

// Assets are static files that are served with the Worker.
type Assets struct {
	Directory        string          `json:"directory"`
	Binding          string          `json:"binding"`
	HTMLHandling     string          `json:"html_handling"`
	NotFoundHandling string          `json:"not_found_handling"`
	RunWorkerFirst   json.RawMessage `json:"run_worker_first"` // a boolean or a list of patterns
}

// DurableObjectMigration is one step of the Worker's Durable Object classes.
type DurableObjectMigration struct {
	Tag                string   `json:"tag"`
	NewClasses         []string `json:"new_classes"`
	NewSQLiteClasses   []string `json:"new_sqlite_classes"`
	DeletedClasses     []string `json:"deleted_classes"`
	RenamedClasses     []Rename `json:"renamed_classes"`
	TransferredClasses []struct {
		From       string `json:"from"`
		FromScript string `json:"from_script"`
		To         string `json:"to"`
	} `json:"transferred_classes"`
}

// Rename gives a Durable Object class another name.
type Rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// DurableObject binds a Durable Object class, of this Worker when ScriptName is empty.
type DurableObject struct {
	Name        string `json:"name"`
	ClassName   string `json:"class_name"`
	ScriptName  string `json:"script_name"`
	Environment string `json:"environment"`
}

// KVNamespace binds a KV namespace; an empty ID asks for one to be created.
type KVNamespace struct {
	Binding   string `json:"binding"`
	ID        string `json:"id"`
	PreviewID string `json:"preview_id"`
	Remote    bool   `json:"remote"` // only in development
}

// R2Bucket binds a bucket.
type R2Bucket struct {
	Binding           string `json:"binding"`
	BucketName        string `json:"bucket_name"`
	PreviewBucketName string `json:"preview_bucket_name"`
	Jurisdiction      string `json:"jurisdiction"`
	Remote            bool   `json:"remote"`
}

// D1Database binds a database; an empty DatabaseID asks for one to be created.
type D1Database struct {
	Binding             string `json:"binding"`
	DatabaseName        string `json:"database_name"`
	DatabaseID          string `json:"database_id"`
	PreviewDatabaseID   string `json:"preview_database_id"`
	DatabaseInternalEnv string `json:"database_internal_env"`
	// MigrationsDir is the folder of the migration files and MigrationsTable the table of those applied; For fills in
	// wrangler's defaults, "migrations" and "d1_migrations".
	MigrationsDir   string `json:"migrations_dir"`
	MigrationsTable string `json:"migrations_table"`
	// MigrationsPattern is a glob for the files, "" for every .sql file directly in MigrationsDir.
	MigrationsPattern string `json:"migrations_pattern"`
	Remote            bool   `json:"remote"`
}

// QueueProducer binds a queue to send to.
type QueueProducer struct {
	Binding       string  `json:"binding"`
	Queue         string  `json:"queue"`
	DeliveryDelay float64 `json:"delivery_delay"` // seconds
	Remote        bool    `json:"remote"`
}

// QueueConsumer makes the Worker receive from a queue. A nil field is Cloudflare's default.
type QueueConsumer struct {
	Queue               string   `json:"queue"`
	Type                string   `json:"type"` // "" is "worker"; "http_pull" is read by others
	MaxBatchSize        *int     `json:"max_batch_size"`
	MaxBatchTimeout     *float64 `json:"max_batch_timeout"` // seconds
	MaxRetries          *int     `json:"max_retries"`
	DeadLetterQueue     string   `json:"dead_letter_queue"`
	MaxConcurrency      *int     `json:"max_concurrency"`
	VisibilityTimeoutMS *int     `json:"visibility_timeout_ms"`
	RetryDelay          *float64 `json:"retry_delay"` // seconds
}

// VectorizeIndex binds a vector index.
type VectorizeIndex struct {
	Binding   string `json:"binding"`
	IndexName string `json:"index_name"`
	Remote    bool   `json:"remote"`
}

// Service binds another Worker.
type Service struct {
	Binding     string          `json:"binding"`
	Service     string          `json:"service"`
	Environment string          `json:"environment"`
	Entrypoint  string          `json:"entrypoint"`
	Props       json.RawMessage `json:"props"`
	Remote      bool            `json:"remote"`
}

// AnalyticsEngine binds a dataset.
type AnalyticsEngine struct {
	Binding string `json:"binding"`
	Dataset string `json:"dataset"`
}

// Named is a binding that needs nothing but a name.
type Named struct {
	Binding string `json:"binding"`
	Staging bool   `json:"staging"`
	Remote  bool   `json:"remote"`
}

// RateLimit binds a rate limiter.
type RateLimit struct {
	Name        string `json:"name"`
	NamespaceID string `json:"namespace_id"`
	Simple      struct {
		Limit  float64 `json:"limit"`
		Period float64 `json:"period"` // seconds: 10 or 60
	} `json:"simple"`
}

// TailConsumer is a Worker that receives this one's events.
type TailConsumer struct {
	Service     string `json:"service"`
	Environment string `json:"environment"`
}

// VarText returns a variable's value as the Worker sees it when it is a text; ok is false for any other JSON value and
// for a name that is not there.
func (w *Worker) VarText(name string) (text string, ok bool) {
	err := json.Unmarshal(w.Vars[name], &text)
	return text, err == nil
}
