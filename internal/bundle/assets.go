package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The bounds of static assets.
// Source: https://developers.cloudflare.com/workers/static-assets/billing-and-limitations/
const (
	MaxAssetSize = 25 << 20 // of one file, in bytes
	MaxAssets    = 100_000  // of one version, on the larger plans
)

// maxRules bounds _headers, _redirects and .assetsignore, each, in bytes.
const maxRules = 1 << 20

// Assets are the static files of a Worker, and how Cloudflare serves them. They are immutable, and their files lie on disk:
// there may be more of them than fits into memory.
type Assets struct {
	Config AssetConfig `json:"config"`
	// Files are sorted by path.
	Files []Asset `json:"files"`
}

// AssetConfig is what an upload says of how static files are served, in Cloudflare's own words.
type AssetConfig struct {
	HTMLHandling     string          `json:"html_handling,omitempty"`
	NotFoundHandling string          `json:"not_found_handling,omitempty"`
	RunWorkerFirst   json.RawMessage `json:"run_worker_first,omitempty"` // a boolean or a list of patterns
	Redirects        string          `json:"_redirects,omitempty"`       // the text of the file of that name
	Headers          string          `json:"_headers,omitempty"`         // likewise
}

// Asset is one static file.
type Asset struct {
	Path   string `json:"path"`   // as people ask for it: "/css/site.css"
	Size   int64  `json:"size"`   // in bytes
	Digest string `json:"digest"` // SHA-256 of its content, in hex

	file string // where it lies on this machine
}

// Read reads the whole file, and makes sure that it is still what was digested.
func (a Asset) Read() ([]byte, error) {
	content, err := os.ReadFile(a.file)
	if err != nil {
		return nil, fmt.Errorf("read the static file %s: %w", a.Path, err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != a.Digest {
		return nil, fmt.Errorf("the static file %s was changed since it was built", a.Path)
	}
	return content, nil
}

// Size is the sum of the files' sizes in bytes.
func (a *Assets) Size() int64 {
	var size int64
	for _, file := range a.Files {
		size += file.Size
	}
	return size
}

// Digest is "sha256:…" over the files and how they are served.
func (a *Assets) Digest() string {
	sum := sha256.New()
	field(sum, []byte("penstock assets 1"))
	field(sum, a.Manifest())
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Manifest is all of it but the files' contents, as JSON in one form; [ParseManifest] reads it.
func (a *Assets) Manifest() []byte {
	encoded, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings, numbers and JSON that was checked when it was taken in
	}
	return encoded
}

func (a *Assets) encodeFiles() []byte { return (&Assets{Files: a.Files}).Manifest() }

// WithAssets is the bundle together with static files. Its digest is another; that of a bundle without static files is as
// Parse made it.
func (b *Bundle) WithAssets(assets *Assets) *Bundle {
	sum := sha256.New()
	field(sum, []byte("penstock bundle with assets 1"))
	field(sum, []byte(digest(b.Metadata, b.Modules)))
	field(sum, assets.Manifest())
	return &Bundle{Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Metadata: b.Metadata, Modules: b.Modules, Assets: assets}
}

// ParseManifest reads what [Assets.Manifest] wrote. locate says where the file of a digest lies; nil when the contents are
// of no interest.
func ParseManifest(manifest []byte, locate func(digest string) string) (*Assets, error) {
	assets := &Assets{}
	if err := json.Unmarshal(manifest, assets); err != nil {
		return nil, fmt.Errorf("read the list of static files: %w", err)
	}
	for i := range assets.Files {
		file := &assets.Files[i]
		if sum, err := hex.DecodeString(file.Digest); err != nil || len(sum) != sha256.Size || !strings.HasPrefix(file.Path, "/") {
			return nil, fmt.Errorf("read the list of static files: entry %q is none", file.Path)
		}
		if locate != nil {
			file.file = locate(file.Digest)
		}
	}
	return assets, nil
}

// The files of the folder that are about the others and not served.
const (
	ignoreFile    = ".assetsignore"
	redirectsFile = "_redirects"
	headersFile   = "_headers"
	pagesWorker   = "_worker.js"
)

// ReadAssets reads a folder as wrangler would: all files but those that .assetsignore names, with the texts of _headers and
// _redirects in the config. The folder must stay as it is while the assets are used.
func ReadAssets(dir string, config AssetConfig) (*Assets, error) {
	a := &Assets{Config: config}
	if info, err := os.Lstat(dir); err != nil {
		return nil, fmt.Errorf("read the static files: %w", err)
	} else if !info.IsDir() {
		return nil, errors.New("read the static files: what the stage left is not a folder")
	}
	var err error
	if len(config.RunWorkerFirst) > 0 {
		if a.Config.RunWorkerFirst, err = canonicalFirst(config.RunWorkerFirst); err != nil {
			return nil, err
		}
	}
	if a.Config.Redirects, _, err = rules(dir, redirectsFile); err != nil {
		return nil, err
	}
	if a.Config.Headers, _, err = rules(dir, headersFile); err != nil {
		return nil, err
	}
	text, hasIgnore, err := rules(dir, ignoreFile)
	if err != nil {
		return nil, err
	}
	ignored, err := parseIgnore("/" + ignoreFile + "\n/" + redirectsFile + "\n/" + headersFile + "\n" + text)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil || relative == "." {
			return err
		}
		name := filepath.ToSlash(relative)
		if ignored.matches(name, entry.IsDir()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if name == pagesWorker && !hasIgnore {
			return errors.New(pagesWorker + " would be served to everybody, code and all: name it in .assetsignore, or take it out of the folder")
		}
		if entry.IsDir() {
			return nil
		}
		if len(a.Files) == MaxAssets {
			return fmt.Errorf("more than %d files, which Cloudflare does not accept", MaxAssets)
		}
		file, err := readAsset(path, "/"+name)
		if err != nil {
			return err
		}
		a.Files = append(a.Files, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the static files: %w", err)
	}
	slices.SortFunc(a.Files, func(x, y Asset) int { return strings.Compare(x.Path, y.Path) })
	return a, nil
}

// readAsset takes files only: where a link of a stage leads on this machine is not what it led to where the stage ran.
func readAsset(path, name string) (Asset, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return Asset{}, err
	case info.Mode()&fs.ModeSymlink != 0:
		return Asset{}, fmt.Errorf("%s is a link: let the stage copy what it leads to (cp -RL)", name)
	case !info.Mode().IsRegular():
		return Asset{}, fmt.Errorf("%s is neither a file nor a folder", name)
	case info.Size() > MaxAssetSize:
		return Asset{}, fmt.Errorf("%s has %d bytes, and Cloudflare accepts %d MiB: put it into an R2 bucket, or name it in .assetsignore", name, info.Size(), MaxAssetSize>>20)
	}
	file, err := os.Open(path)
	if err != nil {
		return Asset{}, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return Asset{}, err
	}
	return Asset{Path: name, Size: size, Digest: hex.EncodeToString(sum.Sum(nil)), file: path}, nil
}

// rules reads a small text file of the folder; found is false when there is none.
func rules(dir, name string) (text string, found bool, err error) {
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return "", false, fmt.Errorf("read the static files: %s is not a file", name)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read the static files: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxRules+1))
	if err != nil {
		return "", false, fmt.Errorf("read the static files: %w", err)
	}
	if len(content) > maxRules {
		return "", false, fmt.Errorf("read the static files: %s is larger than %d KiB", name, maxRules>>10)
	}
	return string(content), true, nil
}

// canonicalFirst makes one value of run_worker_first one text, however the config spells it.
func canonicalFirst(raw json.RawMessage) (json.RawMessage, error) {
	var always bool
	if json.Unmarshal(raw, &always) == nil {
		return json.Marshal(always)
	}
	var patterns []string
	if err := json.Unmarshal(raw, &patterns); err != nil {
		return nil, errors.New("assets.run_worker_first must be true, false or a list of patterns")
	}
	return json.Marshal(patterns)
}
