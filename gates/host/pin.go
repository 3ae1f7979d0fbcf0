package host

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// Pin says which binary a set is. Whoever may write pins may decide what gates answer.
type Pin struct {
	Set     string
	Version string // that the set must claim; "" accepts any, since the checksum settles it
	SHA256  string // of the binary, in hex
	// Interpreter runs a binary that is a script; a script without one is refused.
	Interpreter Interpreter
}

// PluginRef is where a set's binary lies and what it must be. Without a pin it is refused.
type PluginRef struct {
	Set  string
	Path string
	Pin  Pin
}

// BinaryPrefix and the set's name make the name of a set's binary.
const BinaryPrefix = "penstock-gates-"

// setName returns the name of the set that a binary's file name gives.
func setName(path string) (string, error) {
	name, isSet := strings.CutPrefix(strings.TrimSuffix(filepath.Base(path), ".exe"), BinaryPrefix)
	if !isSet || !gates.ValidName(name) {
		return "", fmt.Errorf("%s is not called %s<set>, with a lower-case word for the set: rename it", path, BinaryPrefix)
	}
	return name, nil
}

// ParsePins reads "quality=<sha256 hex>,security=<sha256 hex>", the form in which a build pins the sets that it made.
func ParsePins(text string) ([]Pin, error) {
	var pins []Pin
	for _, item := range strings.Split(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		set, digest, _ := strings.Cut(item, "=")
		if !validDigest(digest) {
			return nil, fmt.Errorf("read the gate pins of this build: %q is not set=sha256: build penstock with `make build`", item)
		}
		pins = append(pins, Pin{Set: set, SHA256: strings.ToLower(digest)})
	}
	return pins, nil
}

// Shipped refers to the sets that were built together with this binary: dir is the folder in which it lies, pins is
// buildinfo.GatePins. A build without pins trusts nothing, and the error says how to make one with.
func Shipped(dir, pins string) ([]PluginRef, error) {
	parsed, err := ParsePins(pins)
	if err != nil {
		return nil, err
	}
	if len(parsed) == 0 {
		return nil, fmt.Errorf("%w: this penstock was built without the checksums of its gate sets: build it with `make build`", ErrUntrusted)
	}
	refs := make([]PluginRef, 0, len(parsed))
	for _, pin := range parsed {
		name := BinaryPrefix + pin.Set
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		refs = append(refs, PluginRef{Set: pin.Set, Path: filepath.Join(dir, name), Pin: pin})
	}
	return refs, nil
}

// validDigest reports whether text is a SHA-256 in hex. Anything of another length can only be a mistake, and a mistake
// here must not become a check that never matches or never runs.
func validDigest(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32
}
