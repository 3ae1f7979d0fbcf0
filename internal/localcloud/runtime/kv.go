package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of developers.cloudflare.com/kv/platform/limits.
const (
	kvKeyLimit      = 512 // bytes
	kvValueLimit    = 25 << 20
	kvMetadataLimit = 1024
	kvMinimumTTL    = 60 * time.Second
	kvListLimit     = 1000
	kvBulkLimit     = 100 // keys
)

const headerKVMetadata = "CF-KV-Metadata"

// serveKV speaks the protocol of workerd's src/workerd/api/kv.c++.
func (d *dataPlane) serveKV(w http.ResponseWriter, r *http.Request, namespace string) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		http.Error(w, "key is not URL-encoded", http.StatusBadRequest)
		return
	}
	switch {
	case r.Method == http.MethodGet && key == "":
		d.kvList(w, r, namespace)
	case r.Method == http.MethodPost && key == "bulk/get":
		d.kvBulkGet(w, r, namespace)
	case len(key) > kvKeyLimit:
		http.Error(w, fmt.Sprintf("key is longer than %d bytes", kvKeyLimit), http.StatusRequestURITooLong)
	case r.Method == http.MethodGet:
		d.kvGet(w, r, namespace, key)
	case r.Method == http.MethodPut:
		d.kvPut(w, r, namespace, key)
	case r.Method == http.MethodDelete:
		if err := d.runtime.store.KVDelete(r.Context(), namespace, key); err != nil && !errors.Is(err, ErrNotFound) {
			d.fail(w, "KV delete", err)
		}
	default:
		http.Error(w, "unknown KV operation", http.StatusMethodNotAllowed)
	}
}

func (d *dataPlane) kvGet(w http.ResponseWriter, r *http.Request, namespace, key string) {
	value, metadata, err := d.runtime.store.KVGet(r.Context(), namespace, key)
	if errors.Is(err, ErrNotFound) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if err != nil {
		d.fail(w, "KV get", err)
		return
	}
	if hasValue(metadata) {
		w.Header().Set(headerKVMetadata, string(metadata))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(value)))
	_, _ = w.Write(value) // the worker may have gone
}

func (d *dataPlane) kvPut(w http.ResponseWriter, r *http.Request, namespace, key string) {
	expires, err := kvExpiry(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var metadata json.RawMessage
	if text := r.Header.Get(headerKVMetadata); text != "" {
		if len(text) > kvMetadataLimit || !json.Valid([]byte(text)) {
			http.Error(w, fmt.Sprintf("metadata must be JSON of at most %d bytes", kvMetadataLimit), http.StatusRequestEntityTooLarge)
			return
		}
		metadata = json.RawMessage(text)
	}
	value, err := io.ReadAll(io.LimitReader(r.Body, kvValueLimit+1))
	if err != nil {
		http.Error(w, "value was cut off", http.StatusBadRequest)
		return
	}
	if len(value) > kvValueLimit {
		http.Error(w, "value is longer than 25 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	if err := d.runtime.store.KVPut(r.Context(), namespace, key, value, metadata, expires); err != nil {
		d.fail(w, "KV put", err)
	}
}

// kvExpiry reads when a value expires; the zero time is never.
func kvExpiry(query url.Values, now time.Time) (time.Time, error) {
	const minimum = int64(kvMinimumTTL / time.Second)
	const farthest = 1 << 40 // seconds; more does not fit time.Time's arithmetic and is a mistake anyway
	if text := query.Get("expiration_ttl"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < minimum || seconds > farthest {
			return time.Time{}, fmt.Errorf("invalid expiration_ttl of %s: it must be at least %d", text, minimum)
		}
		return time.Unix(now.Unix()+seconds, 0), nil
	}
	if text := query.Get("expiration"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < now.Unix()+minimum || seconds > farthest {
			return time.Time{}, fmt.Errorf("invalid expiration of %s: it must be at least %d seconds in the future", text, minimum)
		}
		return time.Unix(seconds, 0), nil
	}
	return time.Time{}, nil
}

func (d *dataPlane) kvList(w http.ResponseWriter, r *http.Request, namespace string) {
	query := r.URL.Query()
	limit := kvListLimit
	if text := query.Get("key_count_limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > kvListLimit {
			http.Error(w, fmt.Sprintf("key_count_limit must be 1 to %d", kvListLimit), http.StatusBadRequest)
			return
		}
		limit = n
	}
	page, err := d.runtime.store.KVList(r.Context(), namespace, query.Get("prefix"), query.Get("cursor"), limit)
	if err != nil {
		d.fail(w, "KV list", err)
		return
	}
	type key struct {
		Name       string `json:"name"`
		Expiration int64  `json:"expiration,omitempty"`
		Metadata   string `json:"metadata,omitempty"` // JSON within a string: workerd parses it
	}
	answer := struct {
		Keys     []key  `json:"keys"`
		Complete bool   `json:"list_complete"`
		Cursor   string `json:"cursor,omitempty"`
	}{Keys: []key{}, Complete: page.Cursor == "", Cursor: page.Cursor}
	for _, k := range page.Keys {
		entry := key{Name: k.Name}
		if !k.Expires.IsZero() {
			entry.Expiration = k.Expires.Unix()
		}
		if hasValue(k.Metadata) {
			entry.Metadata = string(k.Metadata)
		}
		answer.Keys = append(answer.Keys, entry)
	}
	writeJSON(w, answer)
}

func (d *dataPlane) kvBulkGet(w http.ResponseWriter, r *http.Request, namespace string) {
	var ask struct {
		Keys         []string `json:"keys"`
		Type         string   `json:"type"`
		WithMetadata bool     `json:"withMetadata"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || len(ask.Keys) == 0 || len(ask.Keys) > kvBulkLimit {
		http.Error(w, fmt.Sprintf("a bulk get names 1 to %d keys", kvBulkLimit), http.StatusBadRequest)
		return
	}
	answer := map[string]any{}
	for _, key := range ask.Keys {
		value, metadata, err := d.runtime.store.KVGet(r.Context(), namespace, key)
		if errors.Is(err, ErrNotFound) {
			answer[key] = nil
			continue
		}
		if err != nil {
			d.fail(w, "KV bulk get", err)
			return
		}
		var decoded any = string(value)
		if ask.Type == "json" {
			if !json.Valid(value) {
				http.Error(w, "the value of "+key+" is not JSON", http.StatusBadRequest)
				return
			}
			decoded = json.RawMessage(value)
		} else if !utf8.Valid(value) {
			decoded = strings.ToValidUTF8(string(value), "\uFFFD")
		}
		if !ask.WithMetadata {
			answer[key] = decoded
			continue
		}
		entry := map[string]any{"value": decoded, "metadata": nil}
		if hasValue(metadata) {
			entry["metadata"] = metadata
		}
		answer[key] = entry
	}
	writeJSON(w, answer)
}

func hasValue(metadata json.RawMessage) bool { return len(metadata) > 0 && string(metadata) != "null" }
