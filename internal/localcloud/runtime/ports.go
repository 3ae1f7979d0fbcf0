// Package runtime runs uploaded Worker versions in real workerd processes and routes requests to them.
//
// It knows nothing of Cloudflare's REST API: package localcloud tells it what is deployed and hands it the storage that
// bindings read and write. Only package localcloud imports it.
package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// ErrNotFound is what storage answers for a key, object or queue that does not exist.
var ErrNotFound = errors.New("not found")

// Module is one file of a Worker version as it was uploaded.
type Module struct {
	Name        string // as named in the upload's multipart body; import specifiers resolve against it
	ContentType string // application/javascript+module, text/plain, application/wasm, application/octet-stream, …
	Body        []byte
}

// Version is one immutable upload of a script: code, configuration and bindings.
type Version struct {
	ID                 string // UUID
	Number             int
	Tag                string
	Message            string
	CreatedAt          time.Time
	MainModule         string
	Modules            []Module
	CompatibilityDate  string
	CompatibilityFlags []string
	Bindings           []Binding
	Assets             *Assets // static files; nil when there are none
}

// Binding is one entry of the upload's metadata.bindings; Type decides which fields count (Cloudflare's own names).
type Binding struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Text        string          `json:"text,omitempty"`         // plain_text, secret_text
	JSON        json.RawMessage `json:"json,omitempty"`         // json
	NamespaceID string          `json:"namespace_id,omitempty"` // kv_namespace
	BucketName  string          `json:"bucket_name,omitempty"`  // r2_bucket
	DatabaseID  string          `json:"id,omitempty"`           // d1
	QueueName   string          `json:"queue_name,omitempty"`   // queue
	ClassName   string          `json:"class_name,omitempty"`   // durable_object_namespace
	ScriptName  string          `json:"script_name,omitempty"`  // durable_object_namespace of another script
	Service     string          `json:"service,omitempty"`      // service
	Entrypoint  string          `json:"entrypoint,omitempty"`   // service
	IndexName   string          `json:"index_name,omitempty"`   // vectorize
	Environment string          `json:"environment,omitempty"`
}

// Share is how much of a script's traffic one version takes, in percent; 0 is allowed and keeps the version reachable by
// override only.
type Share struct {
	VersionID  string
	Percentage float64
}

// Script is everything that must run for one Worker: the versions of its current deployment, what they share, and what
// calls them besides HTTP.
type Script struct {
	Name     string
	Versions []Version // those named in Shares, at least one
	Shares   []Share   // the current deployment, sums to 100
	// DurableObjects maps each class that this script's migrations have created to its stable unique key, which names its
	// storage folder. SQL says whether the class uses SQLite storage.
	DurableObjects []DurableObjectClass
	// QueueConsumers are the queues whose messages this script's queue() handler receives.
	QueueConsumers []QueueConsumer
	// Crons are cron expressions whose scheduled() handler is to be called. UTC.
	Crons []string
}

// DurableObjectClass is one class with storage.
type DurableObjectClass struct {
	ClassName string
	UniqueKey string
	SQL       bool
}

// QueueConsumer carries Cloudflare's consumer settings.
type QueueConsumer struct {
	QueueName       string
	BatchSize       int
	MaxWait         time.Duration
	MaxRetries      int
	DeadLetterQueue string
}

// Store is the storage behind KV, R2, queue and Vectorize bindings. Implementations are safe for concurrent use and durable when a
// call returns nil.
type Store interface {
	KVGet(ctx context.Context, namespace, key string) (value []byte, metadata json.RawMessage, err error) // ErrNotFound
	KVPut(ctx context.Context, namespace, key string, value []byte, metadata json.RawMessage, expires time.Time) error
	KVDelete(ctx context.Context, namespace, key string) error
	KVList(ctx context.Context, namespace, prefix, cursor string, limit int) (KVPage, error)

	R2Head(ctx context.Context, bucket, key string) (R2Object, error) // ErrNotFound
	R2Get(ctx context.Context, bucket, key string) (R2Object, io.ReadCloser, error)
	R2Put(ctx context.Context, bucket string, object R2Object, body io.Reader) (R2Object, error)
	R2Delete(ctx context.Context, bucket string, keys ...string) error
	R2List(ctx context.Context, bucket, prefix, cursor, delimiter string, limit int) (R2Page, error)

	// QueueSend appends messages; each becomes visible at its VisibleAt.
	QueueSend(ctx context.Context, queue string, messages ...QueueMessage) error
	// QueueReceive leases up to limit visible messages for the given time; a message neither acked nor retried by then
	// becomes visible again with Attempts raised.
	QueueReceive(ctx context.Context, queue string, limit int, lease time.Duration) ([]QueueMessage, error)
	QueueAck(ctx context.Context, queue string, ids ...string) error
	QueueRetry(ctx context.Context, queue string, after time.Duration, ids ...string) error
	// QueueBacklog counts a queue's messages, leased and delayed ones included.
	QueueBacklog(ctx context.Context, queue string) (QueueBacklog, error)

	// VectorCall is one operation on the entries of a Vectorize index: info, query, insert, upsert, getByIds or deleteByIds,
	// with the body and the answer that the binding's protocol has. A *vectors.Refusal is the index's no; ErrNotFound.
	VectorCall(ctx context.Context, index, operation string, body io.Reader) (any, error)
}

// QueueBacklog is what waits in a queue.
type QueueBacklog struct {
	Count  int64
	Bytes  int64     // of the messages' bodies
	Oldest time.Time // when the oldest of them was sent; zero when there is none
}

// KVPage is one page of keys, sorted; Cursor is empty on the last one.
type KVPage struct {
	Keys   []KVKey
	Cursor string
}

// KVKey is one listed key.
type KVKey struct {
	Name     string
	Expires  time.Time // zero: never
	Metadata json.RawMessage
}

// R2Object is an object's description. ETag and Version are set by the store.
type R2Object struct {
	Key            string
	Version        string
	ETag           string // hex MD5, unquoted
	Size           int64
	Uploaded       time.Time
	HTTPMetadata   map[string]string // contentType, contentLanguage, contentDisposition, contentEncoding, cacheControl, cacheExpiry
	CustomMetadata map[string]string
}

// R2Page is one page of a listing.
type R2Page struct {
	Objects           []R2Object
	DelimitedPrefixes []string
	Cursor            string
}

// QueueMessage is one message as workerd sends and receives it.
type QueueMessage struct {
	ID          string
	ContentType string // json, text, bytes, v8
	Body        []byte
	Timestamp   time.Time
	VisibleAt   time.Time
	Attempts    int // deliveries so far, as QueueReceive returns it with this one: 1 at the first
}
