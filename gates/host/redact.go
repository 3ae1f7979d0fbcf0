package host

import "github.com/penstock-ci/penstock/internal/redact"

// redactor returns what removes secrets from a text: those that the caller knows of, and the values that were passed to
// the gate, also in the encodings that they travel in. It is a net under gates that say too much, and no wall against one that
// means to tell: a secret that is spelt backwards, or over several findings, is not known again. Who is granted one is trusted
// with it.
func (h *Host) redactor(secrets map[string]string) func(string) string {
	passed := redact.New(secrets)
	return func(text string) string {
		// First what is invisible goes: a secret with a control character in it would otherwise pass, and be whole later.
		text = passed.String(strip(text, true))
		if h.options.Redact != nil {
			text = h.options.Redact(text)
		}
		return text
	}
}
