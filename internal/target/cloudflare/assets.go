package cloudflare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"path"
	"strings"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// assetBatch bounds the files of one request, in bytes before base64.
const assetBatch = 32 << 20

// uploadAssets uploads the static files that Cloudflare does not have, and returns the token that a version names. It may be
// repeated: each session asks only for what is missing.
func (t *Target) uploadAssets(ctx context.Context, assets *bundle.Assets) (string, error) {
	if assets == nil {
		return "", nil
	}
	manifest, byHash := map[string]api.AssetEntry{}, map[string]bundle.Asset{}
	for _, file := range assets.Files {
		hash := assetHash(file)
		manifest[file.Path], byHash[hash] = api.AssetEntry{Hash: hash, Size: file.Size}, file
	}
	var session api.AssetSession
	err := t.repeatHarmless(ctx, func() (err error) {
		session, err = t.api.OpenAssets(ctx, t.Worker.Name, manifest)
		return err
	})
	if err != nil {
		return "", err
	}
	token := ""
	if len(session.Missing) == 0 {
		token = session.Token
	}
	for _, group := range session.Missing {
		for len(group) > 0 {
			n := batch(group, byHash)
			contentType, body, err := encodeAssets(group[:n], byHash)
			if err != nil {
				return "", err
			}
			err = t.repeatHarmless(ctx, func() error {
				done, err := t.api.UploadAssets(ctx, session.Token, contentType, body)
				if done != "" {
					token = done
				}
				return err
			})
			if err != nil {
				return "", err
			}
			group = group[n:]
		}
	}
	if token == "" {
		return "", fmt.Errorf("%w: everything was uploaded, and Cloudflare did not say that it is complete", promotion.ErrUnreachable)
	}
	return token, nil
}

// batch is how many of the hashes go into one request: at least one, and no more than its bound.
func batch(hashes []string, byHash map[string]bundle.Asset) int {
	size := int64(0)
	for i, hash := range hashes {
		if size += byHash[hash].Size; i > 0 && size > assetBatch {
			return i
		}
	}
	return len(hashes)
}

func encodeAssets(hashes []string, byHash map[string]bundle.Asset) (contentType string, body []byte, err error) {
	var out bytes.Buffer
	form := multipart.NewWriter(&out)
	for _, hash := range hashes {
		file, known := byHash[hash]
		if !known {
			return "", nil, fmt.Errorf("cloudflare asks for a static file that was not listed: %q", hash)
		}
		content, err := file.Read()
		if err != nil {
			return "", nil, err
		}
		kind := assetType(file.Path)
		if kind == "" {
			kind = "application/null" // how clients say that there is none
		}
		encoded := []byte(base64.StdEncoding.EncodeToString(content))
		if err := formPart(form, fmt.Sprintf("form-data; name=%q; filename=%q", hash, hash), kind, encoded); err != nil {
			return "", nil, err
		}
	}
	if err := form.Close(); err != nil {
		return "", nil, err
	}
	return form.FormDataContentType(), out.Bytes(), nil
}

// assetHash names a file's content together with its content type, which Cloudflare keeps with it.
func assetHash(file bundle.Asset) string {
	sum := sha256.Sum256([]byte(file.Digest + "\n" + assetType(file.Path)))
	return hex.EncodeToString(sum[:16])
}

// assetTypes are the content types of files by their ends, as wrangler gives them. A machine's own list would make one build
// two different things on two machines.
var assetTypes = map[string]string{
	"aac": "audio/aac", "apng": "image/apng", "atom": "application/atom+xml", "avif": "image/avif", "bmp": "image/bmp", "cjs": "application/node",
	"css": "text/css", "csv": "text/csv", "eot": "application/vnd.ms-fontobject", "flac": "audio/x-flac", "gif": "image/gif",
	"glb": "model/gltf-binary", "gltf": "model/gltf+json", "gz": "application/gzip", "htm": "text/html", "html": "text/html",
	"ico": "image/vnd.microsoft.icon", "ics": "text/calendar", "jpeg": "image/jpeg", "jpg": "image/jpeg", "js": "text/javascript",
	"json": "application/json", "jsonld": "application/ld+json", "jxl": "image/jxl", "m3u8": "application/vnd.apple.mpegurl", "m4a": "audio/mp4",
	"m4v": "video/x-m4v", "map": "application/json", "md": "text/markdown", "mjs": "text/javascript", "mov": "video/quicktime",
	"mp3": "audio/mpeg", "mp4": "video/mp4", "oga": "audio/ogg", "ogg": "audio/ogg", "ogv": "video/ogg", "otf": "font/otf",
	"pdf": "application/pdf", "png": "image/png", "rss": "application/rss+xml", "svg": "image/svg+xml", "tar": "application/x-tar",
	"toml": "application/toml", "ts": "video/mp2t", "ttf": "font/ttf", "txt": "text/plain", "vtt": "text/vtt", "wasm": "application/wasm",
	"wav": "audio/wav", "webm": "video/webm", "webmanifest": "application/manifest+json", "webp": "image/webp", "woff": "font/woff",
	"woff2": "font/woff2", "xhtml": "application/xhtml+xml", "xml": "text/xml", "yaml": "text/yaml", "yml": "text/yaml", "zip": "application/zip",
}

// assetType is the content type of a static file, "" when its name does not tell.
func assetType(name string) string {
	kind := assetTypes[strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))]
	if strings.HasPrefix(kind, "text/") {
		kind += "; charset=utf-8"
	}
	return kind
}

// assetsForThis refuses a bundle whose static files are not those that the config asks for.
func (t *Target) assetsForThis(b *bundle.Bundle) error {
	want := t.Worker.Assets
	switch {
	case want == nil && b.Assets == nil:
		return nil
	case want == nil:
		want = &wrangler.Assets{} // a build with Cloudflare's Vite plugin adds static files of its own, served as by default
	case b.Assets == nil:
		return fmt.Errorf("%s has \"assets\", and the bundle has no static files: build it again", t.ConfigFile)
	}
	got := b.Assets.Config
	if got.HTMLHandling != want.HTMLHandling || got.NotFoundHandling != want.NotFoundHandling || !sameJSON(got.RunWorkerFirst, want.RunWorkerFirst) {
		return fmt.Errorf("the bundle was not built for environment %s: its static files are served otherwise than \"assets\" in %s says; build it again", t.Environment.Name, t.ConfigFile)
	}
	return nil
}

// namedAssets is how many changed files a plan names.
const namedAssets = 10

// diffAssets says which static files change, as far as it is known what the live version has: Cloudflare does not tell.
func (t *Target) diffAssets(live api.Version, next *bundle.Assets) []event.Change {
	before := readAssets(live.Annotations.Message)
	change := event.Change{Action: "update", Kind: "assets", Name: "static files"}
	if next != nil {
		change.To = inAll(next)
	}
	switch {
	case before == "" && next == nil:
		return nil
	case before == "":
		change.Action = "create"
		return []event.Change{change}
	case next != nil && before == next.Digest():
		return nil
	}
	var known *bundle.Assets
	if digest, _ := readMessage(live.Annotations.Message); t.KeptAssets != nil {
		if known = t.KeptAssets(digest); known != nil && known.Digest() != before {
			known = nil
		}
	}
	if known != nil {
		change.From = inAll(known)
	}
	switch {
	case next == nil:
		change.Action = "remove"
	case known == nil:
		change.From = "other files; which ones is not known on this machine"
	default:
		change.To += ": " + changedFiles(known, next)
	}
	return []event.Change{change}
}

func inAll(assets *bundle.Assets) string {
	return fmt.Sprintf("%d files, %d bytes", len(assets.Files), assets.Size())
}

// changedFiles counts what differs and names the first of it.
func changedFiles(before, next *bundle.Assets) string {
	old := map[string]string{}
	for _, file := range before.Files {
		old[file.Path] = file.Digest
	}
	var names []string
	added, changed, gone := 0, 0, 0
	for _, file := range next.Files {
		digest, exists := old[file.Path]
		delete(old, file.Path)
		switch {
		case !exists:
			added++
			names = append(names, "+"+file.Path)
		case digest != file.Digest:
			changed++
			names = append(names, "~"+file.Path)
		}
	}
	for _, file := range before.Files {
		if _, left := old[file.Path]; left {
			gone++
			names = append(names, "-"+file.Path)
		}
	}
	if len(names) == 0 {
		return "the same files, served otherwise"
	}
	text := fmt.Sprintf("%d new, %d changed, %d gone", added, changed, gone)
	if len(names) > namedAssets {
		return text + " (" + strings.Join(names[:namedAssets], " ") + fmt.Sprintf(" and %d more)", len(names)-namedAssets)
	}
	return text + " (" + strings.Join(names, " ") + ")"
}

// withoutAssets refuses to upload the live code once more when the Worker has static files: Cloudflare would let such an upload
// have those of the newest version, which need not be the live one's, and does not say how they were served.
func (t *Target) withoutAssets(ctx context.Context) error {
	script, err := t.api.Script(ctx, t.Worker.Name)
	if err != nil {
		return fmt.Errorf("look for static files of Worker %s: %w", t.Worker.Name, err)
	}
	if script.HasAssets || t.Worker.Assets != nil {
		return errors.New("the static files of the version that is live cannot be uploaded once more with it")
	}
	return nil
}
