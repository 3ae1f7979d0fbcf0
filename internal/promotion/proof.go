package promotion

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Proof finds a version's id in what a Worker answers: apps show it in different places, and an id of 128 random bits is not
// there by chance. But the question names the version too, in the header that asks for it, and an app that shows what it
// was asked, as error pages do, would prove whatever is wanted. Such an echo is none. The zero value finds nothing.
type Proof struct {
	id     []byte
	echoes [][]byte // what stands before the id in an echo
}

// Proof is what shows that the version answered at the address.
func (a Address) Proof(version string) Proof {
	p := Proof{id: []byte(version)}
	if version == "" {
		return p
	}
	for _, values := range a.Header {
		for _, value := range values {
			before, _, found := strings.Cut(value, version)
			if !found || before == "" {
				continue
			}
			quoted := strconv.Quote(before)
			for _, form := range []string{
				before, quoted[1 : len(quoted)-1], html.EscapeString(before), strings.ReplaceAll(before, `"`, "&quot;"),
				url.QueryEscape(before), url.PathEscape(before),
			} {
				p.echoes = append(p.echoes, []byte(form))
			}
		}
	}
	return p
}

// In reports whether the text shows the id in a place that ends behind from: whoever reads piece by piece hands over the end of
// what came before, of the length of [Proof.Reach], and says how long that is.
func (p Proof) In(text []byte, from int) bool {
	if len(p.id) == 0 {
		return false
	}
	for next := 0; ; {
		at := bytes.Index(text[next:], p.id)
		if at < 0 {
			return false
		}
		at += next
		next = at + 1
		if at+len(p.id) > from && !slices.ContainsFunc(p.echoes, func(echo []byte) bool { return bytes.HasSuffix(text[:at], echo) }) {
			return true
		}
	}
}

// InHeader reports whether a header of the answer shows the id.
func (p Proof) InHeader(header http.Header) bool {
	for _, values := range header {
		for _, value := range values {
			if p.In([]byte(value), 0) {
				return true
			}
		}
	}
	return false
}

// Reach is how many bytes before a piece decide about an id that ends in it.
func (p Proof) Reach() int {
	longest := 0
	for _, echo := range p.echoes {
		longest = max(longest, len(echo))
	}
	return max(0, longest+len(p.id)-1)
}
