package cloudflare

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// UnsupportedError lists what the wrangler config asks for and this target cannot do. Nothing was changed.
type UnsupportedError struct {
	File string
	Keys []UnsupportedKey
}

// UnsupportedKey is one of them.
type UnsupportedKey struct {
	Path string // "d1_databases[0].migrations_pattern"
	Line int    // from 1; 0 unknown
	Why  string // and what can be done
}

// Error lists every key, one a line.
func (e *UnsupportedError) Error() string {
	text := fmt.Sprintf("%s asks for what this environment cannot have:", e.File)
	for _, key := range e.Keys {
		text += "\n  " + key.Path
		if key.Line > 0 {
			text += fmt.Sprintf(" (line %d)", key.Line)
		}
		text += ": " + key.Why
	}
	return text
}

// carried are the keys that wrangler writes into the upload metadata as they are, and that need nothing else.
var carried = []string{
	// Their known parts are typed; what is new in them travels with the rest.
	"ai", "analytics_engine_datasets", "durable_objects", "kv_namespaces", "limits", "observability", "placement",
	"r2_buckets", "ratelimits", "services", "tail_consumers", "vectorize", "version_metadata",
	// Bindings of which nothing is typed.
	"ai_search", "ai_search_namespaces", "artifacts", "browser", "cache", "dispatch_namespaces", "flagship", "hyperdrive",
	"images", "logfwdr", "media", "mtls_certificates", "pipelines", "secrets_store_secrets", "send_email", "stream",
	"streaming_tail_consumers", "unsafe", "vpc_networks", "vpc_services", "worker_loaders",
	// Settles nothing here: the metadata of every upload lists all of its variables.
	"legacy_env",
}

// unsupported names everything in the config that cannot be honoured, nil when all of it can. Keys that wrangler does not
// know either are left to its own warnings.
func (t *Target) unsupported() error {
	e := &UnsupportedError{File: t.ConfigFile}
	refuse := func(line int, path, why string) { e.Keys = append(e.Keys, UnsupportedKey{path, line, why}) }
	for _, key := range t.Worker.Other {
		if key.Known && !slices.Contains(carried, topKey(key.Path)) {
			refuse(key.Line, key.Path, "Penstock cannot deploy this yet; deploy this Worker with wrangler, or remove the key")
		}
	}
	if assets := t.Worker.Assets; assets != nil {
		// Without a directory the build says where they lie, or wrangler has refused.
		if folder := filepath.Clean(filepath.FromSlash(assets.Directory)); assets.Directory != "" && (folder == "." || !filepath.IsLocal(folder)) {
			refuse(0, "assets.directory", "static files must lie in a folder of their own within the app's folder")
		}
	}
	for i, database := range t.Worker.D1Databases {
		if database.MigrationsPattern != "" {
			refuse(0, fmt.Sprintf("d1_databases[%d].migrations_pattern", i), "only .sql files directly in migrations_dir are applied")
		}
	}
	if len(e.Keys) == 0 {
		return nil
	}
	return e
}

// topKey is the key of the top level that a path belongs to: "hyperdrive" for "env.production.hyperdrive[0].id".
func topKey(path string) string {
	parts := strings.Split(path, ".")
	if parts[0] == "env" && len(parts) > 2 {
		parts = parts[2:]
	}
	key, _, _ := strings.Cut(parts[0], "[")
	return key
}
