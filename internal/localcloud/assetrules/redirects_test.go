package assetrules

import (
	"fmt"
	"strings"
	"testing"
)

func at(t *testing.T, text string) Address {
	t.Helper()
	if strings.HasPrefix(text, "/") {
		text = "http://app.example.org" + text
	}
	address, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

const redirectsFile = "\uFEFF# comment" + `

/old /new 301
/default /page
  /indented	/page   308  # why
noslash /page 303
/added /page?added=1 301
/frag /page#part 307
/frag2 /page?x=1#part 301
/out https://example.com/path 301
/outq https://example.com/path?q=1#f
/here https://app.example.org/there
/me /users/id 200
/q?x=1#y /page
/über /page
/folder/ /page
/blog/* /news/:splat 301
/blog/late /never
/u/:id /users/id.html 200
/p/:year/:month/:slug /a/:year-:month-:slug?m=:month
/ph/:idx/:id /o/:id/:idx
/bad/:id/:idx /o
/multi/*/x/* /page
/ext/* https://example.com/:splat
/slashes/* /:splat
/back/* /\:splat
/hosty/* //:splat
/dots.and+more/:x /dots
/api/* /v2/:splat 200
`

// TestRedirects: what wrangler 4.86 answers to each.
func TestRedirects(t *testing.T) {
	t.Parallel()
	rules, invalid := ParseRedirects(redirectsFile, "")
	if len(invalid) > 0 {
		t.Fatalf("%+v", invalid)
	}
	for _, test := range []struct{ ask, want string }{
		{"/old", "301 /new"}, {"/old?q=1", "301 /new?q=1"}, {"/default", "302 /page"}, {"/indented", "308 /page"}, {"/noslash", "303 /page"},
		{"/a/../old", "301 /new"},
		{"/added", "301 /page?added=1"}, {"/added?mine=1", "301 /page?added=1"},
		{"/frag", "307 /page#part"}, {"/frag?q=1", "307 /page?q=1#part"}, {"/frag2?q=1", "301 /page?x=1#part"},
		{"/out?q=2", "301 https://example.com/path?q=2"}, {"/outq?q=2", "302 https://example.com/path?q=1#f"},
		{"https://app.example.org/here", "302 /there"}, {"http://app.example.org/here", "302 https://app.example.org/there"},
		{"/me?q=1", "200 in /users/id"},
		{"/q", "302 /page"}, {"/q?x=1", "302 /page?x=1"}, {"/%C3%BCber", "302 /page"}, {"/folder/", "302 /page"},
		{"/blog/a/b?c=d", "301 /news/a/b?c=d"}, {"/blog/", "301 /news/"}, {"/blog/late", "301 /news/late"}, {"/blog/%3Cx%3E", "301 /news/%3Cx%3E"},
		{"/u/7", "200 in /users/id.html"}, {"/u/%2F", "200 in /users/id.html"},
		{"/p/2020/01/x", "302 /a/2020-01-x?m=01"}, {"/ph/1/2", "302 /o/2/1"},
		{"/ext/a/b?c=d", "302 https://example.com/a/b?c=d"},
		{"/slashes//evil.com/x", "302 /evil.com/x"}, {"/slashes/https://evil.com/x", "302 /https:/evil.com/x"}, {"/hosty/evil.com/x", "302 /evil.com/x"},
		{"/dots.and+more/1", "302 /dots"},
		{"/api/a%20b", "200 in /v2/a%20b"},
		{"/old/", ""}, {"/OLD", ""}, {"/blog", ""}, {"/u/", ""}, {"/u/7/8", ""}, {"/folder", ""}, {"/dotsXand+more/1", ""},
		{"/bad/1/2", ""}, {"/multi/a/x/b", ""}, // name a part twice
	} {
		got := ""
		switch to, found := rules.Match(at(t, test.ask)); {
		case found && to.Status == 200:
			got = "200 in " + to.Path
		case found:
			got = fmt.Sprintf("%d %s", to.Status, to.Location)
		}
		if got != test.want {
			t.Errorf("%s: %q, not %q", test.ask, got, test.want)
		}
	}
	if _, found := (Redirects{}).Match(at(t, "/old")); found {
		t.Error("no rules, and one matches")
	}
}

func TestRedirectsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, html, want string }{
		{"/one", "", "2 or 3 words"}, {"/four a b c", "", "not 4"},
		{"/bad /page 418", "", "status 418"}, {"/bad /page 301!", "", "status 301!"},
		{"https://example.com/abs /page", "", "begins with a path"},
		{"/badto page", "", "leads to a path"}, {"/badto http://example.com/", "", "leads to a path"},
		{"/proxy https://example.com/x 200", "", "another file of the site"},
		{"/* /index.html 200", "", "Infinite loop"}, {"/x/* /index 302", "none", "Infinite loop"}, {"/ /index.html 200", "", "Infinite loop"},
		{"/ /index.html 200", "none", ""}, {"/* https://example.com/index.html", "", ""},
		{"/ok /page\n/ok /late", "", "/ok already"},
		{"/long /" + strings.Repeat("x", 2000), "", "longer than 2000"},
	} {
		rules, invalid := ParseRedirects("# first\n/ok0 /page\n"+test.line+"\n/after /page\n", test.html)
		got := ""
		if len(invalid) > 0 {
			got = invalid[0].Message
		}
		if len(invalid) > 1 || (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%q: %+v, not %q", test.line, invalid, test.want)
		}
		if len(invalid) > 0 && invalid[0].Line != 3+strings.Count(test.line, "\n") {
			t.Errorf("%q: line %d", test.line, invalid[0].Line)
		}
		if _, found := rules.Match(at(t, "/after")); !found {
			t.Errorf("%q: the rules after it are gone", test.line)
		}
	}
}

func TestRedirectsAreLimited(t *testing.T) {
	t.Parallel()
	static, dynamic := &strings.Builder{}, &strings.Builder{}
	for i := range maxStatic {
		fmt.Fprintf(static, "/s%d /x\n", i)
	}
	for i := range maxDynamic {
		fmt.Fprintf(dynamic, "/d%d/* /x\n", i)
	}
	if _, invalid := ParseRedirects(static.String()+dynamic.String(), ""); len(invalid) > 0 {
		t.Errorf("as many as there may be: %+v", invalid)
	}
	rules, invalid := ParseRedirects(static.String()+"/more /x\n"+dynamic.String()+"/static /x\n/ignored\n", "")
	if len(invalid) != 2 || invalid[0].Line != 2001 || invalid[1].Line != 2102 {
		t.Errorf("%+v", invalid)
	}
	for ask, want := range map[string]bool{"/s1999": true, "/more": false, "/d99/x": true, "/static": false} {
		if _, found := rules.Match(at(t, ask)); found != want {
			t.Errorf("%s: %v", ask, found)
		}
	}
}
