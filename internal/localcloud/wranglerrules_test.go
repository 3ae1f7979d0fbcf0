package localcloud

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const peerRedirects = `# comment
/old /new 301
/default /page
/perm /page 308
/added /page?added=1 301
/frag /page#part 301 # why
/outq https://example.com/path?q=1#f
/app.css /page 301
/me /users/id 200
/me2 /users/id.html 200
/gone /nothing 200
/über /page
/q?x=1 /page
/blog/* /news/:splat 301
/blog/late /never
/u/:id /users/id 200
/p/:year/:month/:slug /a/:year-:month-:slug?m=:month
/bad/:id/:idx /o
/multi/*/x/* /page
/ext/* https://example.com/:splat
/slashes/* /:splat
/hosty/* //:splat
/api/old /page
`

const peerHeaders = `/*
  X-All: all
  X-Path: :splat
/page
  X-All: page
  x-two: a
  X-Two: b
  Cache-Control: no-store
  ! ETag
/old
  ! X-All
/twice
  X-First: 1
/u/:id
  X-User: user :id
https://example.com/*
  X-Host: example
https://:sub.example.net/*
  X-Sub: :sub
/twice
  X-Second: 2
`

// wranglerObeysRules asks wrangler's own server and a Cloud the same: `wrangler dev` serves files with the program that
// Cloudflare uses.
func wranglerObeysRules(t *testing.T, cloud *Cloud, w wrangler) {
	for name, text := range map[string]string{
		"index.html": "index", "page.html": "page", "users/id.html": "user", "app.css": "p {}", "twice.html": "twice", "folder/index.html": "folder",
		"_redirects": peerRedirects, "_headers": peerHeaders,
	} {
		w.write(t, "public/"+name, text)
	}
	w.write(t, "index.js", `export default { fetch(request, env) {
		const url = new URL(request.url)
		return url.pathname.startsWith("/api/assets/") ? env.ASSETS.fetch(new URL(url.pathname.slice(11), url), { redirect: "manual" }) : new Response("worker")
	} }`)
	w.write(t, "wrangler.jsonc", `{"name": "hello", "main": "index.js", "compatibility_date": "2026-04-01", "assets": {"directory": "public", "binding": "ASSETS", "run_worker_first": ["/api/*"]}}`)
	w.run(t, "deploy", "Current Version ID")
	peer := w.dev(t)
	ours := cloud.URL("hello")
	for _, ask := range []string{
		"GET /old?q=1", "POST /old", "HEAD /old", "GET /default", "GET /perm", "GET /added?mine=1", "GET /frag?q=1", "GET /outq?q=2", "GET /app.css",
		"GET /me?q=1", "PUT /me", "GET /me2?q=1", "GET /gone", "GET /%C3%BCber", "GET /q?x=1", "GET /blog/a/b?c=d", "GET /blog/", "GET /blog", "GET /blog/late",
		"GET /u/7", "GET /u/7/8", "GET /u/%2F", "GET /p/2020/01/x", "GET /bad/1/2", "GET /multi/a/x/b", "GET /ext/a/b?c=d", "GET /slashes//evil.com/x", "GET /hosty/evil.com/x",
		"GET /api/old", "GET /api/assets/old", "GET /api/assets/page", "GET /api/assets/me", "GET /api/assets/none",
		"GET /page", "HEAD /page", "POST /page", "GET /page.html", "GET /", "GET /none", "POST /none", "GET /twice", "GET /folder", "GET /old/", "GET /OLD",
		"GET /page example.com", "GET /page a.example.net", "GET /page a.b.example.net", "GET /old example.com:8080",
	} {
		if got, want := answerOf(t, ours, ask), answerOf(t, peer, ask); got != want {
			t.Errorf("%s:\n %s\nand with wrangler dev\n %s", ask, got, want)
		}
	}
}

// answerOf is what a server answers to "GET /path", or to "GET /path host", in short.
func answerOf(t *testing.T, base, ask string) string {
	t.Helper()
	words := strings.Fields(ask)
	r, err := http.NewRequestWithContext(t.Context(), words[0], base+words[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(words) > 2 {
		r.Host = words[2]
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	out := fmt.Sprint(response.StatusCode)
	for _, name := range []string{"Location", "Cache-Control", "X-All", "X-Path", "X-Two", "X-First", "X-Second", "X-User", "X-Host", "X-Sub"} {
		if values, there := response.Header[name]; there {
			out += fmt.Sprintf(" %s=%s", name, strings.Join(values, ", "))
		}
	}
	_, tagged := response.Header["Etag"]
	return fmt.Sprintf("%s tagged=%v %q", out, tagged, body(t, response.Body))
}

// dev starts `wrangler dev` and waits until it serves.
func (w wrangler) dev(t *testing.T) (url string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	said := &strings.Builder{}
	command := exec.CommandContext(t.Context(), "node", w.script, "dev", "--ip", "127.0.0.1", "--port", port, "--inspector-port", "0", "--show-interactive-dev-session=false",
		"--config", filepath.Join(w.folder, "wrangler.jsonc"))
	command.Dir, command.Env, command.Stdout, command.Stderr = w.folder, w.env, said, said
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // so that it ends its workerd
	command.WaitDelay = 20 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended }) // the test's context is over by then
	url = "http://127.0.0.1:" + port
	for deadline := time.Now().Add(2 * time.Minute); ; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_ = response.Body.Close()
			return url
		}
		select {
		case <-ended:
			t.Fatalf("wrangler dev ended:\n%s", said)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("wrangler dev does not serve at %s", url)
		}
	}
}
