package assetrules

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const headersFile = `# comment
/*
  X-All: all
  X-Path: :splat
/page
  X-All: page
  x-two: a
  X-Two: b:c
  Cache-Control: no-store
  ! ETag
/app.css
	! x-all
	Content-Type: text/x-mine
/u/:id
  X-User: user :id
https://example.com/*
  X-Host: example
https://:sub.example.net/*
  X-Sub: :sub
/late
  ! X-All
/twice
  X-First: 1
/q?x=1#y
  X-Query: 1
/twice
  X-Second: 2
/back
  ! X-All
  X-All: again
`

// TestHeaders: what wrangler 4.86 answers to each.
func TestHeaders(t *testing.T) {
	t.Parallel()
	rules, invalid := ParseHeaders(headersFile)
	if len(invalid) > 0 {
		t.Fatalf("%+v", invalid)
	}
	for _, test := range []struct{ ask, want string }{
		{"/", "X-All=all X-Path="},
		{"/x/y%20z?q", "X-All=all X-Path=x/y%20z"},
		{"/page", "Cache-Control=no-store -Etag X-All=all,page X-Path=page X-Two=a, b:c"},
		{"/app.css", "Content-Type=text/x-mine X-Path=app.css"},
		{"/u/7", "X-All=all X-Path=u/7 X-User=user 7"},
		{"/u/%2F", "X-All=all X-Path=u/%2F X-User=user %2F"},
		{"http://example.com:8080/x", "X-All=all X-Host=example X-Path=x"},
		{"https://a.example.net/x", "X-All=all X-Path=x X-Sub=a"},
		{"https://a.b.example.net/x", "X-All=all X-Path=x"},
		{"/late", "X-Path=late"},
		{"/twice", "X-All=all X-Path=twice X-Second=2"},
		{"/q", "X-All=all X-Path=q X-Query=1"},
		{"/back", "X-All=again X-Path=back"},
	} {
		header := http.Header{"Etag": {"tag"}, "Cache-Control": {"public"}, "Content-Type": {"text/html"}}
		rules.Apply(at(t, test.ask), header)
		var got []string
		for _, name := range []string{"Cache-Control", "Content-Type", "Etag", "X-All", "X-First", "X-Host", "X-Path", "X-Query", "X-Second", "X-Sub", "X-Two", "X-User"} {
			before := map[string]string{"Etag": "tag", "Cache-Control": "public", "Content-Type": "text/html"}[name]
			values, there := header[name]
			switch now := strings.Join(values, ","); {
			case !there && before != "":
				got = append(got, "-"+name)
			case there && now != before || there && before == "":
				got = append(got, name+"="+now)
			}
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s:\n %s, not\n %s", test.ask, text, test.want)
		}
	}
}

func TestHeadersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, want string
		line       int
	}{
		{"X-A: b", "Expected a path before headers", 1},
		{"/p\n  X y: 1\n  X-Ok: 1", `"X y" is no name`, 2}, {"/p\n  nocolon\n  X-Ok: 1", "expected Name: value", 2}, {"/p\n  !Name\n  X-Ok: 1", "expected Name: value", 2},
		{"/p\n  : v\n  X-Ok: 1", `"" is no name`, 2}, {"/p\n  X-E:\n  X-Ok: 1", "X-E has no value", 2}, {"/p\n  X(y): 1\n  X-Ok: 1", "is no name", 2},
		{"/p\n\n/q\n  X-Ok: 1", "/p has no headers", 1}, {"/q\n  X-Ok: 1\n/p", "/p has no headers", 3},
		{"http://example.com/*\n  X-H: 1\n/q\n  X-Ok: 1", "https:// address", 1},
		{"https://example.com:8080/p\n  X-P: 1\n/q\n  X-Ok: 1", "has a port", 1},
		{"/a/*/b/*\n  X-P: 1\n/q\n  X-Ok: 1", "two parts of one name", 1}, {"/*/:splat\n  X-P: 1\n/q\n  X-Ok: 1", "two parts of one name", 1},
		{"/p\n  X-L: " + strings.Repeat("x", 2000) + "\n  X-Ok: 1", "longer than 2000", 2},
	} {
		_, invalid := ParseHeaders(test.text)
		if len(invalid) != 1 || !strings.Contains(invalid[0].Message, test.want) || invalid[0].Line != test.line {
			t.Errorf("%q: %+v, not %q in line %d", test.text, invalid, test.want, test.line)
		}
	}
	text := &strings.Builder{}
	for i := range maxHeaderRules {
		fmt.Fprintf(text, "/p%d\n  X-A: 1\n", i)
	}
	if _, invalid := ParseHeaders(text.String()); len(invalid) > 0 {
		t.Errorf("as many as there may be: %+v", invalid)
	}
	if rules, invalid := ParseHeaders(text.String() + "/more\n  X-A: 1\n"); len(invalid) != 1 || invalid[0].Line != 201 || len(rules.rules) != 100 {
		t.Errorf("one more: %+v", invalid)
	}
}
