package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// minVariant is the shortest encoded form that is replaced: base64 says little about so few bytes.
const minVariant = 5

// minLine is the shortest line of a secret with several lines (a private key) that is replaced by itself.
const minLine = 8

// variants lists the forms in which a secret may turn up: itself, without surrounding space, line by line, as JSON, in
// URLs, in hex, and within base64 of something larger.
func variants(value string) []string {
	forms := []string{value}
	add := func(form string, shortest int) {
		if len(form) >= shortest {
			forms = append(forms, form)
		}
	}
	trimmed := strings.TrimSpace(value)
	add(trimmed, MinLength)
	if strings.ContainsAny(trimmed, "\r\n") {
		add(strings.ReplaceAll(trimmed, "\r\n", "\n"), MinLength)
		for line := range strings.Lines(trimmed) {
			add(strings.TrimSpace(line), minLine)
		}
	}
	for _, plain := range []string{value, trimmed} {
		if len(plain) < MinLength {
			continue
		}
		for _, form := range encodings(plain) {
			add(form, minVariant)
		}
	}
	return forms
}

func encodings(plain string) []string {
	query, path := url.QueryEscape(plain), url.PathEscape(plain)
	// Node's encodeURIComponent: as a query, but these stay as they are and a space is %20.
	component := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(query)
	inHex := hex.EncodeToString([]byte(plain))
	forms := []string{asJSON(plain, true), asJSON(plain, false), inHex, strings.ToUpper(inHex)}
	for _, escaped := range []string{query, path, component} {
		forms = append(forms, escaped, lowerEscapes(escaped))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			forms = append(forms, within(encoding, plain, offset))
		}
	}
	return forms
}

// within is the part of a base64 text that depends on plain alone when offset bytes (modulo 3) stand before it and anything
// may follow: base64("user:" + secret) shows the secret shifted by five bytes.
func within(encoding *base64.Encoding, plain string, offset int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("\x00", offset) + plain))
	first := (offset*8 + 5) / 6           // characters that hold bits of what stands before
	last := (offset + len(plain)) * 8 / 6 // characters that hold bits of nothing but plain
	if first >= last {
		return ""
	}
	return text[first:last]
}

// lowerEscapes writes %2F as %2f, as some programs do.
func lowerEscapes(escaped string) string {
	out := []byte(escaped)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:i+3], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return string(out)
}

func asJSON(plain string, html bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(html)
	if err := encoder.Encode(plain); err != nil {
		return ""
	}
	text := strings.TrimSuffix(out.String(), "\n")
	return text[1 : len(text)-1]
}
