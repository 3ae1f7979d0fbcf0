package cloudflare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// binding is one entry of the metadata's bindings, in Cloudflare's own words; "type" and "name" are always there.
type binding map[string]json.RawMessage

func (b binding) text(key string) string {
	var text string
	if json.Unmarshal(b[key], &text) != nil {
		return ""
	}
	return text
}

// newBinding makes a binding of texts: name, type, and pairs of key and value.
func newBinding(name, kind string, pairs ...string) binding {
	b := binding{"name": encode(name), "type": encode(kind)}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b[pairs[i]] = encode(pairs[i+1])
		}
	}
	return b
}

// upload is a version's metadata while it is being made.
type upload struct {
	rest     map[string]json.RawMessage // everything but the bindings
	bindings []binding
}

// prepareUpload makes the metadata of a version from the bundle's: the config's ids become those of this account, the
// environment's variables and the given secrets are put in. found may lack resources; their bindings keep the config's
// ids, for a plan to show.
func (t *Target) prepareUpload(b *bundle.Bundle, found resources) (*upload, error) {
	u := &upload{}
	if err := json.Unmarshal(b.Metadata, &u.rest); err != nil {
		return nil, fmt.Errorf("read the bundle's metadata: %w", err)
	}
	if raw, ok := u.rest["bindings"]; ok {
		if err := json.Unmarshal(raw, &u.bindings); err != nil {
			return nil, fmt.Errorf("read the bundle's bindings: %w", err)
		}
		delete(u.rest, "bindings")
	}
	// Durable Object migrations cannot go through a version upload (DESIGN section 6); Prepare has applied them.
	delete(u.rest, "migrations")
	// No version carries these; wrangler versions upload leaves them out too. See settings.
	for _, key := range []string{"logpush", "observability"} {
		delete(u.rest, key)
	}
	if err := t.builtForThis(u); err != nil {
		return nil, err
	}
	for _, database := range t.Worker.D1Databases {
		if id := found.databases[database.Binding]; id != "" {
			u.set(newBinding(database.Binding, "d1", "id", id))
		}
	}
	for _, namespace := range t.Worker.KVNamespaces {
		if id := found.namespaces[namespace.Binding]; id != "" {
			u.set(newBinding(namespace.Binding, "kv_namespace", "namespace_id", id))
		}
	}
	for _, bucket := range t.Worker.R2Buckets {
		u.set(newBinding(bucket.Binding, "r2_bucket", "bucket_name", t.bucketName(bucket), "jurisdiction", bucket.Jurisdiction))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Environment.Vars)) {
		u.set(newBinding(name, "plain_text", "text", t.Environment.Vars[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Secrets)) {
		u.set(newBinding(name, "secret_text", "text", t.Secrets[name]))
	}
	return u, t.assetsForThis(b)
}

// set replaces the binding of that name, in its place, or adds it.
func (u *upload) set(b binding) {
	if i := u.index(b.text("name")); i >= 0 {
		u.bindings[i] = b
		return
	}
	u.bindings = append(u.bindings, b)
}

func (u *upload) index(name string) int {
	return slices.IndexFunc(u.bindings, func(b binding) bool { return b.text("name") == name })
}

// encode returns the metadata part for the given promotion.
func (u *upload) encode(tag, message string) json.RawMessage {
	whole := maps.Clone(u.rest)
	whole["bindings"] = encode(u.bindings)
	// Without this a version has only the secrets that it names. wrangler versions upload sends the same.
	whole["keep_bindings"] = encode([]string{"secret_text", "secret_key"})
	whole["annotations"] = encode(map[string]string{"workers/message": message, "workers/tag": tag})
	return encode(whole)
}

// builtForThis refuses a bundle that wrangler made for another environment: it would carry that one's variables and
// buckets into this one.
func (t *Target) builtForThis(u *upload) error {
	other := func(what string) error {
		env := "--env=" + t.Worker.Environment
		if t.Worker.Environment == "" {
			env = `--env=""`
		}
		return fmt.Errorf("the bundle was not built for environment %s: %s; build it with `wrangler deploy --dry-run --outfile FILE %s`", t.Environment.Name, what, env)
	}
	for _, want := range t.configured() {
		name := want.text("name")
		i := u.index(name)
		if i < 0 {
			return other(fmt.Sprintf("%s has the binding %s, and the bundle has not", t.ConfigFile, name))
		}
		got := u.bindings[i]
		if got.text("type") == "inherit" {
			continue // the config leaves the id to wrangler
		}
		for key, value := range want {
			if !sameJSON(value, got[key]) {
				return other(fmt.Sprintf("%s of %s is %s in %s and %s in the bundle", key, name, value, t.ConfigFile, shown(got[key])))
			}
		}
	}
	return nil
}

// configured are the bindings that the wrangler config asks for, as far as one environment's differ from another's.
func (t *Target) configured() []binding {
	var list []binding
	for _, name := range slices.Sorted(maps.Keys(t.Worker.Vars)) {
		if text, ok := t.Worker.VarText(name); ok {
			list = append(list, binding{"name": encode(name), "type": encode("plain_text"), "text": encode(text)})
			continue
		}
		list = append(list, binding{"name": encode(name), "type": encode("json"), "json": t.Worker.Vars[name]})
	}
	for _, namespace := range t.Worker.KVNamespaces {
		list = append(list, newBinding(namespace.Binding, "kv_namespace", "namespace_id", namespace.ID))
	}
	for _, object := range t.Worker.DurableObjects.Bindings {
		list = append(list, newBinding(object.Name, "durable_object_namespace", "class_name", object.ClassName, "script_name", object.ScriptName))
	}
	for _, producer := range t.Worker.Queues.Producers {
		list = append(list, newBinding(producer.Binding, "queue", "queue_name", producer.Queue))
	}
	for _, bucket := range t.Worker.R2Buckets {
		list = append(list, newBinding(bucket.Binding, "r2_bucket", "bucket_name", bucket.BucketName))
	}
	for _, database := range t.Worker.D1Databases {
		list = append(list, newBinding(database.Binding, "d1", "id", database.DatabaseID))
	}
	for _, index := range t.Worker.Vectorize {
		list = append(list, newBinding(index.Binding, "vectorize", "index_name", index.IndexName))
	}
	for _, service := range t.Worker.Services {
		list = append(list, newBinding(service.Binding, "service", "service", service.Service))
	}
	return list
}

// encode is for our own strings, and lists and maps of raw JSON, which always encode.
func encode(value any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// sameJSON compares values, not spelling.
func sameJSON(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return bytes.Equal(encode(x), encode(y))
}

func shown(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "missing"
	}
	return string(raw)
}
