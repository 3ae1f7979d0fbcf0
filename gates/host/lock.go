package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/penstock-ci/penstock/gates"
)

// lockFile is penstock.lock: the gate sets of strangers that an app uses, each by what it is, not by what it is called.
// JSON is YAML too, so either form is read.
type lockFile struct {
	Version int         `yaml:"version"`
	Sets    []lockedSet `yaml:"sets"`
}

type lockedSet struct {
	Name    string            `yaml:"name"`
	Version string            `yaml:"version"`
	Path    string            `yaml:"path"`   // relative to the lock file
	SHA256  map[string]string `yaml:"sha256"` // by platform: linux/amd64, darwin/arm64, …
}

// ReadLock reads penstock.lock. Every problem in it is told at once; a file with a problem yields no set at all. That a
// set has no checksum for this platform is told when it is asked, because another platform may run this app.
func ReadLock(path string) ([]PluginRef, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	return parseLock(text, path)
}

func parseLock(text []byte, path string) ([]PluginRef, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var file lockFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the lock file %s: %w", path, err)
	}
	if file.Version != 1 {
		return nil, fmt.Errorf("read the lock file %s: it has version %d, and this penstock reads version 1: update penstock, or lock again",
			path, file.Version)
	}

	var refs []PluginRef
	var problems []error
	seen := map[string]bool{}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	for _, locked := range file.Sets {
		tell := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%s: set %q: "+format, append([]any{path, locked.Name}, args...)...))
		}
		if !gates.ValidName(locked.Name) {
			tell("the name is not a lower-case word")
		}
		if seen[locked.Name] {
			tell("it is locked twice: keep one of them")
		}
		seen[locked.Name] = true
		if locked.Path == "" {
			tell("the path of its binary is missing")
		}
		if len(locked.SHA256) == 0 {
			tell("it has no sha256: add the checksum of its binary for each platform")
		}
		for on, digest := range locked.SHA256 {
			if !validDigest(digest) {
				tell("the sha256 for %s is not 64 hex digits", on)
			}
		}
		binary := locked.Path
		if !filepath.IsAbs(binary) {
			binary = filepath.Join(filepath.Dir(path), filepath.FromSlash(binary))
		}
		refs = append(refs, PluginRef{
			Set:  locked.Name,
			Path: binary,
			Pin:  Pin{Set: locked.Name, Version: locked.Version, SHA256: strings.ToLower(locked.SHA256[platform])},
		})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return refs, nil
}
