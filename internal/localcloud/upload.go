package localcloud

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// maxUpload is Cloudflare's limit for a script before compression.
// Source: https://developers.cloudflare.com/workers/platform/limits/#worker-size
const maxUpload = 64 << 20

// metadata is the JSON part of an upload.
// Source: https://developers.cloudflare.com/workers/configuration/multipart-upload-metadata/
type metadata struct {
	MainModule         string            `json:"main_module"`
	BodyPart           string            `json:"body_part"`
	Bindings           []store.Binding   `json:"bindings"`
	KeepBindings       *[]string         `json:"keep_bindings"`
	CompatibilityDate  string            `json:"compatibility_date"`
	CompatibilityFlags []string          `json:"compatibility_flags"`
	Migrations         *migrations       `json:"migrations"`
	Annotations        map[string]string `json:"annotations"`
	Assets             *assetMetadata    `json:"assets"`
	KeepAssets         bool              `json:"keep_assets"`
	Exports            json.RawMessage   `json:"exports"`

	// Kept and answered, without effect here.
	Limits       json.RawMessage `json:"limits"`
	Placement    json.RawMessage `json:"placement"`
	CacheOptions json.RawMessage `json:"cache_options"`

	// These belong to the script, not to the version.
	Logpush       json.RawMessage `json:"logpush"`
	Observability json.RawMessage `json:"observability"`
	TailConsumers json.RawMessage `json:"tail_consumers"`
	Tags          json.RawMessage `json:"tags"`
}

// settings are the parts of the metadata that belong to the script.
func (m metadata) settings() map[string]json.RawMessage {
	return present(map[string]json.RawMessage{
		"logpush": m.Logpush, "observability": m.Observability, "tail_consumers": m.TailConsumers, "tags": m.Tags,
	})
}

func present(fields map[string]json.RawMessage) map[string]json.RawMessage {
	for name, value := range fields {
		if value == nil {
			delete(fields, name)
		}
	}
	return fields
}

func badUpload(message string, args ...any) error {
	return refuse(http.StatusBadRequest, codeBadUpload, message, args...)
}

// form opens a multipart body and reads its JSON part of the given name; the other parts are handed to each.
func form(w http.ResponseWriter, r *http.Request, jsonPart string, into any, each func(*multipart.Part) error) error {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return badUpload("content type must be multipart/form-data with a boundary, not %q", r.Header.Get("Content-Type"))
	}
	parts, found := multipart.NewReader(http.MaxBytesReader(w, r.Body, maxUpload), parameters["boundary"]), false
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badUpload("multipart body: %v", err)
		}
		if part.FormName() == jsonPart {
			found = true
			if err := json.NewDecoder(part).Decode(into); err != nil {
				return badUpload("part %s is not valid JSON: %v", jsonPart, err)
			}
			continue
		}
		if err := each(part); err != nil {
			return err
		}
	}
	if !found {
		return badUpload("multipart body has no part named %s", jsonPart)
	}
	return nil
}

// readUpload reads an upload and stores its modules.
func (c *Cloud) readUpload(w http.ResponseWriter, r *http.Request) (metadata, []store.Module, error) {
	meta, modules := metadata{}, []store.Module{}
	err := form(w, r, "metadata", &meta, func(part *multipart.Part) error {
		contentType := part.Header.Get("Content-Type")
		if contentType == "application/source-map" {
			return nil // for Cloudflare's stack traces; nothing here reads it
		}
		name := part.FormName() // not FileName, which cuts folders off
		if name == "" {
			return badUpload("every part of the upload must have a name")
		}
		if slices.ContainsFunc(modules, func(m store.Module) bool { return m.Name == name }) {
			return badUpload("module %s is uploaded twice", name)
		}
		blob, err := c.store.PutBlob(part)
		if err != nil {
			return err
		}
		modules = append(modules, store.Module{Name: name, ContentType: contentType, Blob: blob.Digest, Size: blob.Size})
		return nil
	})
	if err != nil {
		return metadata{}, nil, err
	}
	return meta, modules, meta.check(modules)
}

func (m metadata) check(modules []store.Module) error {
	switch {
	case m.BodyPart != "":
		return badUpload("scripts in service-worker format do not run here: export a default object with a fetch handler, as ES modules do")
	case m.MainModule == "" && m.Assets != nil && len(modules) == 0: // static assets alone
	case m.MainModule == "":
		return badUpload("metadata has no main_module")
	case !slices.ContainsFunc(modules, func(one store.Module) bool { return one.Name == m.MainModule }):
		return badUpload("main_module %s is not among the uploaded modules", m.MainModule)
	case m.Exports != nil:
		return badUpload("declarative exports are not provided by the local cloudflare: use migrations for durable object classes")
	}
	if m.CompatibilityDate != "" {
		if _, err := time.Parse(time.DateOnly, m.CompatibilityDate); err != nil {
			return badUpload("compatibility_date %q is not a date like 2026-01-31", m.CompatibilityDate)
		}
	}
	return nil
}

// firstCompatibilityDate is what a script without a date gets.
// Source: https://developers.cloudflare.com/workers/configuration/compatibility-dates/
const firstCompatibilityDate = "2021-11-02"

// newVersion gives an upload the shape of a version; its bindings are resolved by the caller.
func newVersion(r *http.Request, script string, meta metadata, modules []store.Module, bindings []store.Binding) store.Version {
	version := store.Version{
		ID: uuid.NewString(), Script: script, CreatedAt: now(), Source: source(r), Annotations: meta.Annotations,
		MainModule: meta.MainModule, CompatibilityDate: meta.CompatibilityDate, CompatibilityFlags: meta.CompatibilityFlags,
		Bindings: bindings, Modules: modules, ETag: codeDigest(modules),
		Extra: present(map[string]json.RawMessage{"limits": meta.Limits, "placement": meta.Placement, "cache_options": meta.CacheOptions}),
	}
	if version.CompatibilityDate == "" {
		version.CompatibilityDate = firstCompatibilityDate
	}
	return version
}

// codeDigest names the code alone: equal modules give an equal ETag.
func codeDigest(modules []store.Module) string {
	sum := sha256.New()
	for _, module := range modules {
		_, _ = io.WriteString(sum, module.Name+"\x00"+module.ContentType+"\x00"+module.Blob+"\x00") // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// source tells which client did something, as Cloudflare's own lists do.
func source(r *http.Request) string {
	if strings.HasPrefix(r.Header.Get("User-Agent"), "wrangler/") {
		return "wrangler"
	}
	return "api"
}

// now is cut to what is stored, so that an answer and a later reading of it agree.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
