package host

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// shortestSecret is the length below which a value is too common to be removed from texts: it would hide more than it
// protects.
const shortestSecret = 4

// redactor returns what removes secrets from a text: those that the caller knows of, and the values that were passed to
// the gate, also in the encodings that they travel in.
func (h *Host) redactor(secrets map[string]string) func(string) string {
	var pairs []string
	for _, value := range secrets {
		for _, form := range formsOf(value) {
			pairs = append(pairs, form, "***")
		}
	}
	replacer := strings.NewReplacer(pairs...)
	return func(text string) string {
		// First what is invisible goes: a secret with a control character in it would otherwise pass, and be whole later.
		text = replacer.Replace(strip(text, true))
		if h.options.Redact != nil {
			text = h.options.Redact(text)
		}
		return text
	}
}

// formsOf returns a secret in the encodings that it travels in; none for one that is too short to be looked for.
func formsOf(value string) []string {
	if len(value) < shortestSecret {
		return nil
	}
	return []string{
		value, base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
		hex.EncodeToString([]byte(value)), url.QueryEscape(value),
	}
}
