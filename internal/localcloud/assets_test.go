package localcloud

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/localcloud/assetrules"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// uploadFiles goes through an upload session and returns the token that a version names, and how many files were sent.
func uploadFiles(t *testing.T, cloud *Cloud, files map[string]string) (token string, sent int) {
	t.Helper()
	manifest, byHash := map[string]any{}, map[string]string{}
	for name, text := range files {
		hash := fmt.Sprintf("%x", name+text)
		manifest[name], byHash[hash] = map[string]any{"hash": hash, "size": len(text)}, text
	}
	session := succeed(t, cloud, "POST", hello+"/assets-upload-session", map[string]any{"manifest": manifest})
	token = session.get(t, "jwt").(string)
	for _, bucket := range session.get(t, "buckets").([]any) {
		for _, hash := range bucket.([]any) {
			got := uploadFile(t, cloud, token, hash.(string), byHash[hash.(string)])
			if sent++; got.Status != 201 && got.Status != 202 {
				t.Fatalf("%d %v", got.Status, got.Errors)
			}
			if done, isText := got.get(t, "jwt").(string); isText {
				defer func() { token = done }()
			}
		}
	}
	return token, sent
}

func uploadFile(t *testing.T, cloud *Cloud, token, hash, text string) reply {
	t.Helper()
	body := &bytes.Buffer{}
	form := multipart.NewWriter(body)
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", hash, hash)}, "Content-Type": {"text/html"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(base64.StdEncoding.EncodeToString([]byte(text))))
	_ = form.Close()
	r := request(t, cloud, "POST", "@/workers/assets/upload?base64=true", body, "Content-Type", form.FormDataContentType(), "Authorization", "Bearer "+token)
	return read(t, r)
}

func TestStaticAssets(t *testing.T) {
	dir := t.TempDir()
	cloud, fake := startFake(t, dir)
	both := map[string]string{"/index.html": "<p>index</p>", "/app.css": "p {}"}
	token, sent := uploadFiles(t, cloud, both)
	if sent != 2 {
		t.Errorf("%d files were asked for", sent)
	}
	assets := func(token string, config map[string]any) map[string]any {
		return map[string]any{"jwt": token, "config": config}
	}
	got := push(t, cloud, "PUT", hello, meta("assets", assets(token, map[string]any{"not_found_handling": "404-page", "run_worker_first": []string{"/api/*"}, "_redirects": "/old /", "_headers": "/*\n  X-Rule: yes"}),
		"bindings", []any{map[string]any{"type": "assets", "name": "ASSETS"}}), "x")
	if !got.Success || got.get(t, "has_assets") != true {
		t.Fatalf("%s %v", got.Result, got.Errors)
	}
	script, _ := fake.script("hello")
	held := script.Versions[0].Assets
	if held == nil || len(held.Files) != 2 || held.NotFoundHandling != "404-page" || fmt.Sprint(held.WorkerFirst) != "[/api/*]" || held.Alone {
		t.Fatalf("%+v", held)
	}
	rulesOf := func(assets *runtime.Assets) string {
		at, err := assetrules.ParseAddress("http://localhost/old")
		if err != nil {
			t.Fatal(err)
		}
		to, _ := assets.Redirects.Match(at)
		header := http.Header{}
		assets.Headers.Apply(at, header)
		return to.Location + " " + header.Get("X-Rule")
	}
	if rules := rulesOf(held); rules != "/ yes" {
		t.Errorf("rules: %q", rules)
	}
	file, err := held.Files["/index.html"].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if text := body(t, file); text != both["/index.html"] {
		t.Errorf("%q", text)
	}

	// What is here is not asked for again; and a version can keep what the one before had.
	both["/new.css"] = "a {}"
	if _, sent := uploadFiles(t, cloud, both); sent != 1 {
		t.Errorf("%d files were asked for the second time", sent)
	}
	kept := push(t, cloud, "POST", hello+"/versions", meta("keep_assets", true), "y")
	if !kept.Success {
		t.Fatal(kept.Errors)
	}
	shift(t, cloud, "", kept.get(t, "id"), 100)
	if script, _ := fake.script("hello"); script.Versions[0].Assets == nil || len(script.Versions[0].Assets.Files) != 2 || rulesOf(script.Versions[0].Assets) != "/ yes" {
		t.Errorf("kept: %+v", script.Versions[0].Assets)
	}

	stop(t, cloud)
	cloud, fake = startFake(t, dir)
	script, _ = fake.script("hello")
	if file, err := script.Versions[0].Assets.Files["/app.css"].Open(); err != nil {
		t.Errorf("after a restart: %v", err)
	} else {
		_ = file.Close()
	}
	if rules := rulesOf(script.Versions[0].Assets); rules != "/ yes" {
		t.Errorf("rules after a restart: %q", rules)
	}

	// Files alone, without a Worker.
	alone, _ := uploadFiles(t, cloud, map[string]string{"/index.html": "alone"})
	form, contentType := upload(t, map[string]any{"assets": assets(alone, nil), "compatibility_date": "2026-04-01"})
	if got := read(t, request(t, cloud, "PUT", hello, form, "Content-Type", contentType)); !got.Success || got.get(t, "has_modules") != false {
		t.Fatalf("%s %v", got.Result, got.Errors)
	}
	if script, _ := fake.script("hello"); !script.Versions[0].Assets.Alone || len(script.Versions[0].Modules) != 1 {
		t.Errorf("alone: %+v", script.Versions[0])
	}
}

func TestStaticAssetsAreRefused(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	if got := uploadFile(t, cloud, "no-session", "h", "x"); got.Status != 401 {
		t.Errorf("without a session: %d", got.Status)
	}
	session := succeed(t, cloud, "POST", hello+"/assets-upload-session", map[string]any{"manifest": map[string]any{"/a": map[string]any{"hash": "h", "size": 3}}})
	token := session.get(t, "jwt").(string)
	if got := read(t, request(t, cloud, http.MethodGet, "@/workers/scripts", nil, "Authorization", "Bearer "+token)); got.Status != 401 {
		t.Errorf("a session's token elsewhere: %d", got.Status)
	}
	for _, test := range []struct{ hash, text, want string }{
		{"other", "abc", "not in the manifest"}, {"h", "abcd", "has 4 bytes, and 3 in the manifest"},
	} {
		if got := uploadFile(t, cloud, token, test.hash, test.text); got.code() != codeBadUpload || !strings.Contains(got.Errors[0].Message, test.want) {
			t.Errorf("%+v: %v", test, got.Errors)
		}
	}
	config := func(name string, value any) map[string]any {
		return map[string]any{"jwt": token, "config": map[string]any{name: value}}
	}
	for want, assets := range map[string]map[string]any{
		"jwt is missing":     {},
		"complete upload":    {"jwt": token},
		"html_handling":      config("html_handling", "maybe"),
		"not_found_handling": config("not_found_handling", "maybe"),
		"begin with /":       config("run_worker_first", []string{"api/*"}),
	} {
		if got := push(t, cloud, "PUT", hello, meta("assets", assets), "x"); got.code() != codeBadUpload || !strings.Contains(got.Errors[0].Message, want) {
			t.Errorf("%s: %v", want, got.Errors)
		}
	}
	for want, assets := range map[string]map[string]any{
		"Invalid _redirects configuration:\nLine 2: Infinite loop detected in this rule.":                                 config("_redirects", "/a /b\n/* /index.html 200\n"),
		"Invalid _headers configuration:\nLine 1: Expected a path before headers\nLine 2: Expected a path before headers": config("_headers", "X-A: b\nX-B: c\n"),
	} {
		if got := push(t, cloud, "PUT", hello, meta("assets", assets), "x"); got.code() != codeBadAssetRules || !strings.HasPrefix(got.Errors[0].Message, want) {
			t.Errorf("%s: %v", want, got.Errors)
		}
	}
	if got := send(t, cloud, "POST", hello+"/assets-upload-session", map[string]any{"manifest": map[string]any{"a": map[string]any{"hash": "h", "size": 1}}}); got.code() != codeBadUpload {
		t.Errorf("a path without a slash: %v", got.Errors)
	}
}
