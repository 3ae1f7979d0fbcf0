package cloudflare

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// A version's message says what it was made from, so that the next plan can tell whether anything changed. Cloudflare
// keeps up to 1000 bytes of it.
var recorded = regexp.MustCompile(`penstock bundle (sha256:[0-9a-f]{64})(?: secrets ([0-9a-f]{32}))?(?: assets (sha256:[0-9a-f]{64}))?`)

// preparedFor finds the promotion in the message of a version that Prepare made.
var preparedFor = regexp.MustCompile(`^penstock .* for promotion ([0-9a-z]+)$`)

// message is what Upload writes on a version.
func (t *Target) message(b *bundle.Bundle) string {
	text := "penstock bundle " + b.Digest
	if mark := t.secretsMark(); mark != "" {
		text += " secrets " + mark
	}
	if b.Assets != nil {
		text += " assets " + b.Assets.Digest()
	}
	return text
}

// readMessage returns what message wrote; empty strings when somebody else made the version.
func readMessage(text string) (bundle, secrets string) {
	if match := recorded.FindStringSubmatch(text); match != nil {
		return match[1], match[2]
	}
	return "", ""
}

// readAssets returns the digest of the static files that message wrote; "" when the version has none, or somebody else made it.
func readAssets(text string) string {
	if match := recorded.FindStringSubmatch(text); match != nil {
		return match[3]
	}
	return ""
}

// secretsMark changes when a secret's value changes, and tells nothing about it: it is keyed with the API token, so that
// whoever may read the message cannot try out values. "" when no values were given.
func (t *Target) secretsMark() string {
	if len(t.Secrets) == 0 {
		return ""
	}
	return t.mark(slices.Sorted(maps.Keys(t.Secrets))...)
}

// valueMark is the mark of one secret's value in a plan: what is approved is this value, and no other that somebody has in
// their environment when the plan is made real.
func (t *Target) valueMark(name string) string {
	if _, given := t.Secrets[name]; !given {
		return ""
	}
	return ", known by " + t.mark(name)[:12]
}

func (t *Target) mark(names ...string) string {
	mac := hmac.New(sha256.New, []byte(t.Token))
	for _, name := range names {
		// %q makes the fields unambiguous; a hash never returns an error.
		_, _ = fmt.Fprintf(mac, "%q=%q\n", name, t.Secrets[name])
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
