package localcloud

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) kvRoutes() []route {
	const all, one = "/accounts/{account}/storage/kv/namespaces", "/accounts/{account}/storage/kv/namespaces/{namespace}"
	return []route{
		{"GET " + all, c.listNamespaces},
		{"POST " + all, c.addNamespace},
		{"GET " + one, c.getNamespace},
		{"PUT " + one, c.renameNamespace},
		{"DELETE " + one, c.deleteNamespace},
		{"GET " + one + "/keys", c.listKeys},
		{"GET " + one + "/values/{key...}", c.getValue},
		{"PUT " + one + "/values/{key...}", c.putValue},
		{"DELETE " + one + "/values/{key...}", c.deleteValue},
		{"GET " + one + "/metadata/{key...}", c.getMetadata},
		{"PUT " + one + "/bulk", c.putValues},
		{"DELETE " + one + "/bulk", c.deleteValues},
		{"POST " + one + "/bulk/delete", c.deleteValues},
		{"POST " + one + "/bulk/get", c.getValues},
	}
}

// Limits of KV.
// Source: https://developers.cloudflare.com/kv/platform/limits/
const (
	maxKey      = 512
	maxValue    = 25 << 20
	maxMetadata = 1024
	maxBulk     = 10_000
	minTTL      = 60 * time.Second
)

func (c *Cloud) namespace(r *http.Request) (store.Namespace, error) {
	namespace, err := c.store.Namespace(r.Context(), r.PathValue("namespace"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Namespace{}, refuse(http.StatusNotFound, codeNamespaceNotFound, "get namespace: 'namespace not found'")
	}
	return namespace, err
}

func describeNamespace(namespace store.Namespace) map[string]any {
	return map[string]any{"id": namespace.ID, "title": namespace.Title, "supports_url_encoding": true}
}

func (c *Cloud) listNamespaces(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespaces, err := c.store.Namespaces(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, namespace := range namespaces {
		out = append(out, describeNamespace(namespace))
	}
	return paged(r, out, 20)
}

func readTitle(r *http.Request) (string, error) {
	request, err := decode[struct {
		Title string `json:"title"`
	}](r)
	if err == nil && (request.Title == "" || len(request.Title) > maxKey) {
		err = refuse(http.StatusBadRequest, codeBadKeyValue, "a namespace needs a title of at most %d bytes", maxKey)
	}
	return request.Title, err
}

func (c *Cloud) addNamespace(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	title, err := readTitle(r)
	if err != nil {
		return nil, err
	}
	namespace := store.Namespace{ID: store.NewID(), Title: title}
	err = c.store.AddNamespace(r.Context(), namespace, now())
	if errors.Is(err, store.ErrExists) {
		return nil, refuse(http.StatusBadRequest, codeNamespaceExists, "create namespace: 'a namespace with this account ID and title already exists'")
	}
	return ok(describeNamespace(namespace)), err
}

func (c *Cloud) getNamespace(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	return ok(describeNamespace(namespace)), err
}

func (c *Cloud) renameNamespace(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	if namespace.Title, err = readTitle(r); err != nil {
		return nil, err
	}
	return ok(describeNamespace(namespace)), c.store.RenameNamespace(r.Context(), namespace)
}

func (c *Cloud) deleteNamespace(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	return ok(nil), c.store.DeleteNamespace(r.Context(), namespace.ID)
}

func (c *Cloud) listKeys(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	limit, err := positive(r, "limit", 1000)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	page, err := c.store.KVList(r.Context(), namespace.ID, query.Get("prefix"), query.Get("cursor"), min(limit, 1000))
	if errors.Is(err, store.ErrCursor) {
		return nil, refuse(http.StatusBadRequest, codeBadQuery, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, key := range page.Keys {
		described := map[string]any{"name": key.Name}
		if !key.Expires.IsZero() {
			described["expiration"] = key.Expires.Unix()
		}
		if key.Metadata != nil {
			described["metadata"] = key.Metadata
		}
		out = append(out, described)
	}
	return &answer{result: out, info: &pageInfo{Count: len(out), Cursor: page.Cursor}}, nil
}

// entry finds the value that the path names.
func (c *Cloud) entry(r *http.Request) (store.Entry, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return store.Entry{}, err
	}
	entry, err := c.store.KVEntry(r.Context(), namespace.ID, r.PathValue("key"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Entry{}, refuse(http.StatusNotFound, codeKeyNotFound, "get: 'key not found'")
	}
	return entry, err
}

func (c *Cloud) getValue(w http.ResponseWriter, r *http.Request) (*answer, error) {
	entry, err := c.entry(r)
	if err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !entry.Expires.IsZero() {
		w.Header().Set("Expiration", strconv.FormatInt(entry.Expires.Unix(), 10))
	}
	_, _ = w.Write(entry.Value) // fails only when the client has gone
	return nil, nil
}

func (c *Cloud) getMetadata(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	entry, err := c.entry(r)
	return ok(entry.Metadata), err
}

// putValue takes the raw value as body, or a form with value and metadata.
func (c *Cloud) putValue(w http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	entry := store.Entry{Key: r.PathValue("key")}
	query := r.URL.Query()
	if entry.Expires, err = expiry(query.Get("expiration"), query.Get("expiration_ttl")); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxValue+1<<16)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // no type, or an odd one: a raw value
	if kind == "multipart/form-data" {
		err = readForm(r, &entry)
	} else {
		entry.Value, err = io.ReadAll(r.Body)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeBadKeyValue, "put: %v", err)
	}
	if err := checkEntry(entry); err != nil {
		return nil, err
	}
	return ok(nil), c.store.KVPutAll(r.Context(), namespace.ID, []store.Entry{entry})
}

func readForm(r *http.Request, entry *store.Entry) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		switch part.FormName() {
		case "value":
			entry.Value = body
		case "metadata":
			entry.Metadata = body
		}
	}
}

func checkEntry(entry store.Entry) error {
	bad := func(message string, args ...any) error {
		return refuse(http.StatusBadRequest, codeBadKeyValue, "put: '"+message+"'", args...)
	}
	switch {
	case entry.Key == "" || entry.Key == "." || entry.Key == ".." || len(entry.Key) > maxKey:
		return bad("key must be 1 to %d bytes, and not . or ..", maxKey)
	case len(entry.Value) > maxValue:
		return bad("value is larger than %d bytes", maxValue)
	case len(entry.Metadata) > maxMetadata:
		return bad("metadata is larger than %d bytes", maxMetadata)
	case len(entry.Metadata) > 0 && !json.Valid(entry.Metadata):
		return bad("metadata is not JSON")
	case !entry.Expires.IsZero() && time.Until(entry.Expires) < minTTL-time.Second:
		return bad("expiration must be at least %.0f seconds in the future", minTTL.Seconds())
	}
	return nil
}

// expiry reads a moment in seconds since 1970, or a time to live in seconds.
func expiry(at, ttl string) (time.Time, error) {
	text := at
	if text == "" {
		text = ttl
	}
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, refuse(http.StatusBadRequest, codeBadKeyValue, "put: 'expiration %q is not a number of seconds'", text)
	}
	if at == "" {
		return now().Add(time.Duration(seconds) * time.Second), nil
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (c *Cloud) deleteValue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	return ok(nil), c.store.KVDelete(r.Context(), namespace.ID, r.PathValue("key"))
}

func (c *Cloud) putValues(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[[]struct {
		Key           string          `json:"key"`
		Value         string          `json:"value"`
		Base64        bool            `json:"base64"`
		Metadata      json.RawMessage `json:"metadata"`
		Expiration    json.Number     `json:"expiration"`
		ExpirationTTL json.Number     `json:"expiration_ttl"`
	}](r)
	if err != nil {
		return nil, err
	}
	if len(request) > maxBulk {
		return nil, refuse(http.StatusBadRequest, codeBadKeyValue, "at most %d keys at once", maxBulk)
	}
	entries := []store.Entry{}
	for _, one := range request {
		entry := store.Entry{Key: one.Key, Value: []byte(one.Value), Metadata: one.Metadata}
		if one.Base64 {
			if entry.Value, err = base64.StdEncoding.DecodeString(one.Value); err != nil {
				return nil, refuse(http.StatusBadRequest, codeBadKeyValue, "value of key %q is not base64", one.Key)
			}
		}
		if entry.Expires, err = expiry(one.Expiration.String(), one.ExpirationTTL.String()); err != nil {
			return nil, err
		}
		if err := checkEntry(entry); err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	if err := c.store.KVPutAll(r.Context(), namespace.ID, entries); err != nil {
		return nil, err
	}
	return ok(bulkDone(len(entries))), nil
}

func bulkDone(count int) map[string]any {
	return map[string]any{"successful_key_count": count, "unsuccessful_keys": []string{}}
}

func (c *Cloud) deleteValues(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	keys, err := decode[[]string](r)
	if err != nil {
		return nil, err
	}
	if err := c.store.KVDeleteAll(r.Context(), namespace.ID, keys); err != nil {
		return nil, err
	}
	return ok(bulkDone(len(keys))), nil
}

// getValues reads up to 100 keys; absent ones are null.
func (c *Cloud) getValues(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	namespace, err := c.namespace(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Keys         []string `json:"keys"`
		Type         string   `json:"type"`
		WithMetadata bool     `json:"withMetadata"`
	}](r)
	if err != nil {
		return nil, err
	}
	if len(request.Keys) > 100 {
		return nil, refuse(http.StatusBadRequest, codeBadKeyValue, "at most 100 keys at once")
	}
	values := map[string]any{}
	for _, key := range request.Keys {
		entry, err := c.store.KVEntry(r.Context(), namespace.ID, key)
		if errors.Is(err, store.ErrNotFound) {
			values[key] = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		var value any = string(entry.Value)
		if request.Type == "json" {
			if !json.Valid(entry.Value) {
				return nil, refuse(http.StatusBadRequest, codeBadKeyValue, "value of key %q is not JSON", key)
			}
			value = json.RawMessage(entry.Value)
		}
		if request.WithMetadata {
			value = map[string]any{"value": value, "metadata": entry.Metadata}
		}
		values[key] = value
	}
	return ok(map[string]any{"values": values}), nil
}
