package localcloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/assetrules"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) assetRoutes() []route {
	return []route{
		{"POST /accounts/{account}/workers/scripts/{script}/assets-upload-session", c.openAssetSession},
		{"POST /accounts/{account}/workers/assets/upload", c.uploadAssets},
	}
}

// Limits of static assets.
// Source: https://developers.cloudflare.com/workers/static-assets/billing-and-limitations/
const (
	maxAsset        = 25 << 20
	maxAssets       = 20_000
	assetBucketSize = 100 // files in one upload
	assetSessions   = time.Hour
)

// assetFile is what a manifest says of a file.
type assetFile struct {
	Hash string `json:"hash"`
	Size int64  `json:"size"`
}

// assetSession is one upload of static assets, from its manifest until a version takes it.
type assetSession struct {
	script   string
	manifest map[string]assetFile
	expires  time.Time
	complete bool
}

// assetUploads are the sessions by their tokens, which are both the right to upload and, complete, the assets themselves.
type assetUploads struct {
	mutex    sync.Mutex
	sessions map[string]*assetSession
}

// open makes a session and its token, which has the form of a JWT since wrangler looks into it for its end.
func (a *assetUploads) open(session *assetSession) string {
	encode := func(value any) string {
		text, _ := json.Marshal(value) // of strings and numbers
		return base64.RawURLEncoding.EncodeToString(text)
	}
	token := encode(map[string]any{"alg": "none", "typ": "JWT"}) + "." +
		encode(map[string]any{"exp": session.expires.Unix(), "iat": time.Now().Unix()}) + "." + store.NewID()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	maps.DeleteFunc(a.sessions, func(_ string, old *assetSession) bool { return time.Now().After(old.expires) })
	a.sessions[token] = session
	return token
}

// get finds a session; nil when there is none any more.
func (a *assetUploads) get(token string) *assetSession {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if session := a.sessions[token]; session != nil && time.Now().Before(session.expires) {
		return session
	}
	return nil
}

// openAssetSession takes a manifest and answers which files are to be uploaded, in buckets, and with which token.
// Source: https://developers.cloudflare.com/workers/static-assets/direct-upload/
func (c *Cloud) openAssetSession(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Manifest map[string]assetFile `json:"manifest"`
	}](r)
	if err != nil {
		return nil, err
	}
	if len(request.Manifest) > maxAssets {
		return nil, badUpload("%d static assets, and a version can have %d", len(request.Manifest), maxAssets)
	}
	for name, file := range request.Manifest {
		if !strings.HasPrefix(name, "/") || file.Hash == "" || file.Size < 0 || file.Size > maxAsset {
			return nil, badUpload("asset %q needs a path that begins with /, a hash and a size up to %d bytes", name, maxAsset)
		}
	}
	missing, err := c.missingAssets(r.Context(), request.Manifest)
	if err != nil {
		return nil, err
	}
	session := &assetSession{
		script: r.PathValue("script"), manifest: request.Manifest, expires: now().Add(assetSessions), complete: len(missing) == 0,
	}
	buckets := [][]string{}
	for part := range slices.Chunk(missing, assetBucketSize) {
		buckets = append(buckets, part)
	}
	return ok(map[string]any{"jwt": c.assets.open(session), "buckets": buckets}), nil
}

// missingAssets are the hashes of a manifest whose files are not here, in order.
func (c *Cloud) missingAssets(ctx context.Context, manifest map[string]assetFile) ([]string, error) {
	missing := map[string]bool{}
	for _, file := range manifest {
		_, err := c.store.Asset(ctx, file.Hash)
		if errors.Is(err, store.ErrNotFound) {
			missing[file.Hash] = true
		} else if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// uploadAssets takes files as the parts of a form, each named by its hash, in base64. The caller bears a session's token;
// the answer to the last upload holds the one that a version names.
func (c *Cloud) uploadAssets(w http.ResponseWriter, r *http.Request) (*answer, error) {
	session := c.assets.get(bearer(r))
	if session == nil {
		return nil, refuse(http.StatusUnauthorized, codeInvalidToken, "the upload session does not exist or has expired; begin anew")
	}
	if r.URL.Query().Get("base64") != "true" {
		return nil, badUpload("assets are uploaded in base64: set ?base64=true")
	}
	r.Body = http.MaxBytesReader(w, r.Body, assetBucketSize*maxAsset)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, badUpload("multipart body: %v", err)
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badUpload("multipart body: %v", err)
		}
		if err := c.keepAsset(r.Context(), session, part.FormName(), part.Header.Get("Content-Type"), part); err != nil {
			return nil, err
		}
	}
	missing, err := c.missingAssets(r.Context(), session.manifest)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return &answer{status: http.StatusAccepted, result: map[string]any{}}, nil
	}
	done := &assetSession{script: session.script, manifest: session.manifest, expires: now().Add(assetSessions), complete: true}
	return &answer{status: http.StatusCreated, result: map[string]any{"jwt": c.assets.open(done)}}, nil
}

func (c *Cloud) keepAsset(ctx context.Context, session *assetSession, hash, contentType string, from io.Reader) error {
	var wanted *assetFile
	for _, file := range session.manifest {
		if file.Hash == hash {
			wanted = &file
		}
	}
	if wanted == nil {
		return badUpload("asset %q is not in the manifest", hash)
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, from))
	if err != nil {
		return badUpload("asset %s is not base64: %v", hash, err)
	}
	if int64(len(body)) != wanted.Size {
		return badUpload("asset %s has %d bytes, and %d in the manifest", hash, len(body), wanted.Size)
	}
	blob, err := c.store.PutBlob(bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType == "application/null" { // how clients say that there is none
		contentType = ""
	}
	return c.store.PutAsset(ctx, store.Asset{Hash: hash, ContentType: contentType, Blob: blob.Digest, Size: blob.Size})
}

// assetMetadata is what an upload says of its static assets.
type assetMetadata struct {
	JWT    string `json:"jwt"`
	Config struct {
		HTMLHandling     string          `json:"html_handling"`
		NotFoundHandling string          `json:"not_found_handling"`
		RunWorkerFirst   json.RawMessage `json:"run_worker_first"`
		ServeDirectly    *bool           `json:"serve_directly"`
		Redirects        string          `json:"_redirects"`
		Headers          string          `json:"_headers"`
	} `json:"config"`
}

// versionAssets gives an upload its static assets: those of a complete session, or those of the version before.
func (c *Cloud) versionAssets(ctx context.Context, script string, meta metadata, base *store.Version) (*store.VersionAssets, error) {
	if meta.Assets == nil {
		if meta.KeepAssets && base != nil {
			return base.Assets, nil
		}
		return nil, nil
	}
	config := meta.Assets.Config
	out := &store.VersionAssets{
		HTMLHandling: config.HTMLHandling, NotFoundHandling: config.NotFoundHandling, Files: map[string]store.Asset{},
		Redirects: config.Redirects, Headers: config.Headers,
	}
	if !slices.Contains([]string{"", "auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"}, out.HTMLHandling) {
		return nil, badUpload("assets: html_handling %q is not known", out.HTMLHandling)
	}
	if !slices.Contains([]string{"", "none", "single-page-application", "404-page"}, out.NotFoundHandling) {
		return nil, badUpload("assets: not_found_handling %q is not known", out.NotFoundHandling)
	}
	if err := checkRules(out); err != nil {
		return nil, err
	}
	first, err := workerFirst(config.RunWorkerFirst)
	if err != nil {
		return nil, err
	}
	if config.ServeDirectly != nil && !*config.ServeDirectly {
		first = []string{"/*"}
	}
	out.WorkerFirst = first
	if meta.Assets.JWT == "" {
		if meta.KeepAssets && base != nil && base.Assets != nil {
			out.Files = base.Assets.Files
			return out, nil
		}
		return nil, badUpload("assets: jwt is missing: upload the files in a session first")
	}
	session := c.assets.get(meta.Assets.JWT)
	if session == nil || !session.complete || session.script != script {
		return nil, badUpload("assets: the jwt is not one of a complete upload for this Worker")
	}
	for name, file := range session.manifest {
		asset, err := c.store.Asset(ctx, file.Hash)
		if err != nil {
			return nil, fmt.Errorf("asset %s: %w", name, err)
		}
		out.Files[name] = asset
	}
	return out, nil
}

// checkRules refuses _redirects and _headers with lines that are no rules, all of them in one answer. Cloudflare says it in
// this form of redirects in a circle and of headers without a path (https://github.com/cloudflare/workers-sdk/issues/15624 and
// /14547); its pages have other lines ignored. Here they are refused, too: what was meant would not happen.
func checkRules(assets *store.VersionAssets) error {
	_, redirects := assetrules.ParseRedirects(assets.Redirects, assets.HTMLHandling)
	_, headers := assetrules.ParseHeaders(assets.Headers)
	for _, file := range []struct {
		name    string
		invalid []assetrules.Invalid
	}{{"_redirects", redirects}, {"_headers", headers}} {
		if len(file.invalid) == 0 {
			continue
		}
		message := "Invalid " + file.name + " configuration:"
		for _, line := range file.invalid {
			message += fmt.Sprintf("\nLine %d: %s", line.Line, line.Message)
		}
		return refuse(http.StatusBadRequest, codeBadAssetRules, "%s", message)
	}
	return nil
}

// workerFirst reads run_worker_first: true, false, or patterns of paths.
func workerFirst(text json.RawMessage) ([]string, error) {
	var always bool
	var patterns []string
	switch {
	case len(text) == 0 || string(text) == "null":
		return nil, nil
	case json.Unmarshal(text, &always) == nil:
		if always {
			return []string{"/*"}, nil
		}
		return nil, nil
	case json.Unmarshal(text, &patterns) != nil:
		return nil, badUpload("assets: run_worker_first must be true, false or a list of patterns")
	}
	for _, pattern := range patterns {
		if !strings.HasPrefix(strings.TrimPrefix(pattern, "!"), "/") {
			return nil, badUpload("assets: pattern %q of run_worker_first must begin with / or !/", pattern)
		}
	}
	return patterns, nil
}

// noWorker stands where a version of files alone has no code. The edge never asks it.
var noWorker = runtime.Module{
	Name: "no-worker.js", ContentType: "application/javascript+module", Body: []byte("export default { fetch() { return new Response(null, { status: 404 }) } }\n"),
}

// runnable is a version as the runtime runs it, with its static assets.
func (c *Cloud) runnable(version store.Version) (runtime.Version, error) {
	out, err := c.store.Runnable(version)
	if err != nil || version.Assets == nil {
		return out, err
	}
	out.Assets = &runtime.Assets{
		Files: map[string]runtime.Asset{}, HTMLHandling: version.Assets.HTMLHandling, NotFoundHandling: version.Assets.NotFoundHandling,
		WorkerFirst: version.Assets.WorkerFirst, Alone: version.MainModule == "",
	}
	out.Assets.Redirects, _ = assetrules.ParseRedirects(version.Assets.Redirects, version.Assets.HTMLHandling)
	out.Assets.Headers, _ = assetrules.ParseHeaders(version.Assets.Headers)
	if out.Assets.Alone {
		out.MainModule, out.Modules = noWorker.Name, []runtime.Module{noWorker}
	}
	for name, asset := range version.Assets.Files {
		out.Assets.Files[name] = runtime.Asset{
			Hash: asset.Hash, ContentType: asset.ContentType, Size: asset.Size,
			Open: func() (io.ReadCloser, error) { return c.store.OpenBlob(asset.Blob) },
		}
	}
	return out, nil
}
