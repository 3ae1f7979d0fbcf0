package promotion_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
)

func TestAnEchoProvesNothing(t *testing.T) {
	t.Parallel()
	const id = "1a2b3c4d-0000-4000-8000-000000000001"
	proof := promotion.Address{Header: http.Header{"Cloudflare-Workers-Version-Overrides": {`my-app="` + id + `"`}, "Host": {"a.example"}}}.Proof(id)
	for text, proves := range map[string]bool{
		id:                         true,
		`{"version":"` + id + `"}`: true,
		`<meta name="version" content="` + id + `">`: true,
		`version="` + id + `"`:                       true,
		"another":                                    false,
		`my-app="` + id + `"`:                        false,
		`{"h":"my-app=\"` + id + `\""}`:              false,
		`<p>my-app=&quot;` + id + `&quot;</p>`:       false,
		`<p>my-app=&#34;` + id + `&#34;</p>`:         false,
		`/login?next=my-app%3D%22` + id:              false,
		`my-app="` + id + `" and ` + id:              true,
		id + `, asked for my-app="` + id + `"`:       true,
	} {
		if got := proof.In([]byte(text), 0); got != proves {
			t.Errorf("%s: %v", text, got)
		}
		if got := proof.InHeader(http.Header{"X-Shown": {text}}); got != proves {
			t.Errorf("%s in a header: %v", text, got)
		}
		// Read byte by byte, with as much of what came before as decides.
		padded := strings.Repeat("x", 3*proof.Reach()) + text
		var tail []byte
		found := false
		for i := range len(padded) {
			window := append(tail, padded[i])
			found = found || proof.In(window, len(window)-1)
			tail = append([]byte{}, window[max(0, len(window)-proof.Reach()):]...)
		}
		if found != proves {
			t.Errorf("%s, byte by byte: %v", text, found)
		}
	}
	if (promotion.Proof{}).In([]byte(id), 0) || (promotion.Address{}).Proof("").In([]byte(id), 0) {
		t.Error("no version is proven by anything")
	}
}
