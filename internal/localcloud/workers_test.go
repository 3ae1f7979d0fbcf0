package localcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

const hello = "@/workers/scripts/hello"

// upload builds an upload body as wrangler does: metadata without a file name, then the modules.
func upload(t *testing.T, meta map[string]any, modules ...string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	if meta != nil {
		text, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		if err := form.WriteField("metadata", string(text)); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(modules); i += 2 {
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", modules[i], modules[i])},
			"Content-Type":        {"application/javascript+module"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, modules[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return body, form.FormDataContentType()
}

// meta is the least that an upload says, and what a test adds.
func meta(fields ...any) map[string]any {
	out := map[string]any{"main_module": "index.js", "compatibility_date": "2026-04-01", "bindings": []any{}}
	for i := 0; i < len(fields); i += 2 {
		out[fields[i].(string)] = fields[i+1]
	}
	return out
}

func push(t *testing.T, cloud *Cloud, method, path string, meta map[string]any, code string) reply {
	t.Helper()
	body, contentType := upload(t, meta, "index.js", code)
	return read(t, request(t, cloud, method, path, body, "Content-Type", contentType, "User-Agent", "wrangler/4.86.0"))
}

// deployed puts a script and returns its version's ID.
func deployed(t *testing.T, cloud *Cloud, fields ...any) string {
	t.Helper()
	got := push(t, cloud, "PUT", hello, meta(fields...), "export default {}")
	if !got.Success {
		t.Fatalf("put: %v", got.Errors)
	}
	id := got.get(t, "deployment_id").(string)
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// added uploads a version and returns its ID.
func added(t *testing.T, cloud *Cloud, fields ...any) string {
	t.Helper()
	got := push(t, cloud, "POST", hello+"/versions?bindings_inherit=strict", meta(fields...), "export default {}")
	if !got.Success {
		t.Fatalf("version: %v", got.Errors)
	}
	return got.get(t, "id").(string)
}

func shift(t *testing.T, cloud *Cloud, query string, shares ...any) reply {
	t.Helper()
	versions := []map[string]any{}
	for i := 0; i < len(shares); i += 2 {
		versions = append(versions, map[string]any{"version_id": shares[i], "percentage": shares[i+1]})
	}
	return send(t, cloud, "POST", hello+"/deployments"+query, map[string]any{"strategy": "percentage", "versions": versions})
}

func TestBadUploadsAreRefused(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	tests := []struct {
		name        string
		meta        map[string]any
		modules     []string
		contentType string // instead of the right one
		code        int
		says        string
	}{
		{name: "not multipart", meta: meta(), contentType: "application/json", code: codeBadUpload, says: "multipart/form-data"},
		{name: "no metadata", modules: []string{"index.js", "x"}, code: codeBadUpload, says: "metadata"},
		{name: "as cloudflare-go generates it", modules: []string{"files.0", "x", "metadata.main_module", "index.js"}, code: codeBadUpload, says: "no part named metadata"},
		{name: "no main module", meta: map[string]any{}, modules: []string{"index.js", "x"}, code: codeBadUpload, says: "main_module"},
		{name: "main module missing", meta: meta(), modules: []string{"other.js", "x"}, code: codeBadUpload, says: "index.js"},
		{name: "module twice", meta: meta(), modules: []string{"index.js", "x", "index.js", "y"}, code: codeBadUpload, says: "twice"},
		{name: "service worker", meta: map[string]any{"body_part": "index.js"}, modules: []string{"index.js", "x"}, code: codeBadUpload, says: "ES modules"},
		{name: "bad date", meta: meta("compatibility_date", "soon"), modules: []string{"index.js", "x"}, code: codeBadUpload, says: "soon"},
		{name: "does not start", meta: meta(), modules: []string{"index.js", "syntax error"}, code: codeBadUpload, says: "Unexpected token"},
		{name: "unknown database", meta: meta("bindings", []any{map[string]any{"type": "d1", "name": "DB", "id": "x"}}), modules: []string{"index.js", "x"},
			code: codeBadUpload, says: "binding DB of type d1 must have a valid `id` specified"},
		{name: "unknown namespace", meta: meta("bindings", []any{map[string]any{"type": "kv_namespace", "name": "KV", "namespace_id": "x"}}), modules: []string{"index.js", "x"},
			code: codeBadUpload, says: "binding KV of type kv_namespace"},
		{name: "unknown bucket", meta: meta("bindings", []any{map[string]any{"type": "r2_bucket", "name": "FILES", "bucket_name": "x"}}), modules: []string{"index.js", "x"},
			code: codeBadUpload, says: "binding FILES of type r2_bucket"},
		{name: "unknown queue", meta: meta("bindings", []any{map[string]any{"type": "queue", "name": "JOBS", "queue_name": "x"}}), modules: []string{"index.js", "x"},
			code: codeBadUpload, says: "binding JOBS of type queue"},
		{name: "unknown class", meta: meta("bindings", []any{map[string]any{"type": "durable_object_namespace", "name": "DO", "class_name": "C"}}), modules: []string{"index.js", "x"},
			code: codeClassNotConfigured, says: "'C'"},
		{name: "nothing to inherit", meta: meta("bindings", []any{map[string]any{"type": "inherit", "name": "X"}}), modules: []string{"index.js", "x"}, code: codeBadInherit, says: "X"},
		{name: "name twice", meta: meta("bindings", []any{map[string]any{"type": "plain_text", "name": "X", "text": "1"}, map[string]any{"type": "plain_text", "name": "X", "text": "2"}}),
			modules: []string{"index.js", "x"}, code: codeBadUpload, says: "twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, contentType := upload(t, test.meta, test.modules...)
			if test.contentType != "" {
				contentType = test.contentType
			}
			got := read(t, request(t, cloud, "PUT", hello, body, "Content-Type", contentType))
			if got.Status != http.StatusBadRequest || got.code() != test.code || !strings.Contains(got.Errors[0].Message, test.says) {
				t.Errorf("%d %v", got.Status, got.Errors)
			}
		})
	}
	if got := succeed(t, cloud, "GET", "@/workers/scripts", nil); string(got.Result) != "[]" {
		t.Errorf("refused uploads left %s", got.Result)
	}
}

func TestAbsentWorker(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	tests := []struct {
		method, path string
		code         int
	}{
		{"GET", hello + "/settings", codeScriptNotFound}, {"GET", hello + "/deployments", codeScriptNotFound},
		{"GET", hello + "/versions", codeScriptNotFound}, {"GET", hello + "/secrets", codeScriptNotFound},
		{"GET", hello + "/subdomain", codeScriptNotFound}, {"DELETE", hello, codeScriptNotFound},
		{"GET", "@/workers/services/hello", codeServiceNotFound},
	}
	for _, test := range tests {
		if got := send(t, cloud, test.method, test.path, nil); got.Status != 404 || got.code() != test.code {
			t.Errorf("%s %s: %d %v", test.method, test.path, got.Status, got.Errors)
		}
	}
	if got := push(t, cloud, "POST", hello+"/versions", meta(), "x"); got.Status != 404 || got.code() != codeScriptNotFound {
		t.Errorf("version upload: %d %v", got.Status, got.Errors)
	}
}

func TestUploadThenShiftTraffic(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	blue := deployed(t, cloud, "annotations", map[string]any{"workers/tag": "t1", "workers/message": "first"})
	green := added(t, cloud, "annotations", map[string]any{"workers/tag": "t2"})
	if script, _ := fake.script("hello"); len(script.Versions) != 1 {
		t.Errorf("an upload without deployment runs %d versions", len(script.Versions))
	}
	if got := shift(t, cloud, "", blue, 100, green, 0); !got.Success {
		t.Fatal(got.Errors)
	}
	script, _ := fake.script("hello")
	if diff := cmp.Diff([]runtime.Share{{VersionID: blue, Percentage: 100}, {VersionID: green, Percentage: 0}}, script.Shares); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	if script.Versions[1].Tag != "t2" || script.Versions[1].Number != 2 || string(script.Versions[1].Modules[0].Body) != "export default {}" {
		t.Errorf("green runs as %+v", script.Versions[1])
	}
	if got := shift(t, cloud, "", green, 100); !got.Success {
		t.Fatal(got.Errors)
	}
	list := succeed(t, cloud, "GET", hello+"/deployments", nil)
	for path, want := range map[string]any{
		"deployments.0.versions.0.version_id": green, "deployments.0.versions.1": nil, "deployments.1.versions.1.percentage": 0.0,
		"deployments.2.versions.0.version_id": blue, "deployments.3": nil, "deployments.2.annotations.workers/message": "first",
	} {
		if got := list.get(t, path); got != want {
			t.Errorf("%s is %v, not %v", path, got, want)
		}
	}
	versions := succeed(t, cloud, "GET", hello+"/versions?deployable=true", nil)
	if versions.get(t, "items.0.id") != green || versions.get(t, "items.1.annotations.workers/tag") != "t1" || versions.get(t, "items.0.number") != 2.0 {
		t.Errorf("versions: %s", versions.Result)
	}
}

func TestBadDeploymentsAreRefused(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	blue, green, third := deployed(t, cloud), added(t, cloud), added(t, cloud)
	tests := []struct {
		name   string
		shares []any
		code   int
	}{
		{"none", nil, codeBadDeployment},
		{"three", []any{blue, 50, green, 25, third, 25}, codeBadDeployment},
		{"sum below 100", []any{blue, 50, green, 49}, codeBadDeployment},
		{"sum above 100", []any{blue, 100, green, 1}, codeBadDeployment},
		{"negative", []any{blue, 101, green, -1}, codeBadDeployment},
		{"without percentage", []any{blue, nil}, codeBadDeployment},
		{"same version twice", []any{blue, 50, blue, 50}, codeBadDeployment},
		{"unknown version", []any{"00000000-0000-0000-0000-000000000000", 100}, codeVersionNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := shift(t, cloud, "", test.shares...); got.Status != 400 || got.code() != test.code {
				t.Errorf("%d %v", got.Status, got.Errors)
			}
		})
	}
	if script, _ := fake.script("hello"); len(script.Shares) != 1 || script.Shares[0].VersionID != blue {
		t.Errorf("refused deployments left %v", script.Shares)
	}
}

func TestBrokenVersionIsRefusedAtUpload(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	deployed(t, cloud)
	if got := push(t, cloud, "POST", hello+"/versions", meta(), "syntax error"); got.code() != codeBadUpload {
		t.Errorf("%d %v", got.Status, got.Errors)
	}
	added(t, cloud)
	if len(fake.scripts) != 1 {
		t.Errorf("checking uploads left %d scripts running", len(fake.scripts))
	}
}

func TestDurableObjectMigrations(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	binding := func(class string) []any {
		return []any{map[string]any{"type": "durable_object_namespace", "name": "DO", "class_name": class}}
	}
	blue := deployed(t, cloud, "bindings", binding("Counter"), "migrations", map[string]any{
		"new_tag": "v1", "steps": []any{map[string]any{"new_sqlite_classes": []string{"Counter"}}, map[string]any{"new_classes": []string{"Old"}}},
	})
	first, _ := fake.script("hello")
	if got := first.DurableObjects; len(got) != 2 || got[0].ClassName != "Counter" || !got[0].SQL || got[1].SQL || got[0].UniqueKey == got[1].UniqueKey {
		t.Fatalf("classes: %+v", got)
	}
	if got := succeed(t, cloud, "GET", "@/workers/scripts", nil).get(t, "0.migration_tag"); got != "v1" {
		t.Errorf("migration tag is %v", got)
	}

	again := map[string]any{"new_tag": "v1", "steps": []any{map[string]any{"new_sqlite_classes": []string{"Counter"}}}}
	if got := push(t, cloud, "PUT", hello, meta("migrations", again), "x"); got.code() != codeMigrationTag {
		t.Errorf("a migration that was applied: %v", got.Errors)
	}
	again["old_tag"], again["new_tag"] = "v1", "v2"
	if got := push(t, cloud, "PUT", hello, meta("migrations", again), "x"); got.code() != codeClassConflict {
		t.Errorf("a class that is there: %v", got.Errors)
	}
	if got := push(t, cloud, "POST", hello+"/versions", meta("migrations", again), "x"); got.code() != codeMigrationInVersion {
		t.Errorf("a migration in a version upload: %v", got.Errors)
	}

	// One step without "steps", as the API allows too.
	deployed(t, cloud, "bindings", binding("Tally"), "migrations", map[string]any{
		"old_tag": "v1", "new_tag": "v2", "renamed_classes": []any{map[string]any{"from": "Counter", "to": "Tally"}}, "deleted_classes": []string{"Old"},
	})
	second, _ := fake.script("hello")
	if got := second.DurableObjects; len(got) != 1 || got[0].ClassName != "Tally" || got[0].UniqueKey != first.DurableObjects[0].UniqueKey {
		t.Errorf("after the renaming: %+v", got)
	}
	if got := shift(t, cloud, "", blue, 100); got.code() != codeBadDeployment || !strings.Contains(got.Errors[0].Message, "v2") {
		t.Errorf("going back over a migration: %v", got.Errors)
	}
}

func TestSecrets(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	text := func() string {
		script, _ := fake.script("hello")
		for _, binding := range script.Versions[0].Bindings {
			if binding.Name == "KEY" {
				return binding.Text
			}
		}
		return ""
	}
	put := func(value string) reply {
		return send(t, cloud, "PUT", hello+"/secrets", map[string]any{"name": "KEY", "text": value, "type": "secret_text"})
	}
	blue := deployed(t, cloud)
	if got := put("one"); !got.Success || strings.Contains(string(got.Result), "one") {
		t.Fatalf("put: %v %s", got.Errors, got.Result)
	}
	if text() != "one" {
		t.Errorf("the secret is %q", text())
	}
	for _, path := range []string{"/secrets", "/secrets/KEY", "/settings", "/versions"} {
		if got := succeed(t, cloud, "GET", hello+path, nil); strings.Contains(string(got.Result), "one") {
			t.Errorf("%s shows the secret: %s", path, got.Result)
		}
	}
	deployed(t, cloud)
	if text() != "one" {
		t.Errorf("after a deployment that does not name it the secret is %q", text())
	}
	deployed(t, cloud, "keep_bindings", []string{"plain_text"})
	if text() != "" {
		t.Errorf("an upload that keeps other bindings kept the secret %q", text())
	}
	put("two")
	current := succeed(t, cloud, "GET", hello+"/deployments", nil).get(t, "deployments.0.versions.0.version_id").(string)
	green := added(t, cloud)
	if got := put("three"); got.code() != codeSecretNotDeployed {
		t.Errorf("editing while the newest version is not deployed: %v", got.Errors)
	}
	if got := send(t, cloud, "PATCH", hello+"/secrets-bulk", map[string]any{"secrets": map[string]any{"KEY": nil}}); got.code() != codeSettingsNotDeployed {
		t.Errorf("editing in bulk while the newest version is not deployed: %v", got.Errors)
	}
	shift(t, cloud, "", current, 50, green, 50)
	if got := put("three"); got.code() != codeSecretNotDeployed {
		t.Errorf("editing during a gradual deployment: %v", got.Errors)
	}
	shift(t, cloud, "", green, 100)
	if got := send(t, cloud, "PATCH", hello+"/secrets-bulk", map[string]any{"secrets": map[string]any{
		"KEY": map[string]any{"type": "secret_text", "text": "four"}, "OTHER": map[string]any{"type": "secret_text", "text": "five"},
	}}); !got.Success {
		t.Fatal(got.Errors)
	}
	if text() != "four" {
		t.Errorf("after a bulk edit the secret is %q", text())
	}
	if got := shift(t, cloud, "", blue, 100); got.code() != codeSecretsChanged || got.Errors[0].Message != "The following secrets have changed: KEY, OTHER" {
		t.Errorf("going back over changed secrets: %v", got.Errors)
	}
	if got := shift(t, cloud, "?force=true", blue, 100); !got.Success {
		t.Errorf("with force: %v", got.Errors)
	}
	if got := send(t, cloud, "DELETE", hello+"/secrets/KEY", nil); got.code() != codeSecretNotDeployed {
		t.Errorf("deleting after a rollback: %v", got.Errors)
	}
	deployed(t, cloud)
	if got := send(t, cloud, "DELETE", hello+"/secrets/KEY", nil); !got.Success {
		t.Errorf("delete: %v", got.Errors)
	}
	if got := send(t, cloud, "DELETE", hello+"/secrets/KEY", nil); got.Status != 404 || got.code() != codeSecretNotFound {
		t.Errorf("delete again: %v", got.Errors)
	}
}

func TestInheritedBindings(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	deployed(t, cloud, "bindings", []any{map[string]any{"type": "plain_text", "name": "A", "text": "1"}, map[string]any{"type": "json", "name": "J", "json": map[string]any{"x": 1}}})
	deployed(t, cloud, "bindings", []any{map[string]any{"type": "inherit", "name": "A"}, map[string]any{"type": "inherit", "name": "K", "old_name": "J"}})
	script, _ := fake.script("hello")
	want := []runtime.Binding{{Type: "plain_text", Name: "A", Text: "1"}, {Type: "json", Name: "K", JSON: json.RawMessage(`{"x":1}`)}}
	if diff := cmp.Diff(want, script.Versions[0].Bindings); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
}

func TestBulkSettingsKeepWhatIsNotNamedAnew(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	deployed(t, cloud, "bindings", []any{map[string]any{"type": "plain_text", "name": "A", "text": "1"}})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("settings", `{"bindings":[{"type":"plain_text","name":"A"},{"type":"secret_text","name":"S","text":"x"}]}`)
	_ = form.Close()
	if got := read(t, request(t, cloud, "PATCH", hello+"/settings", &body, "Content-Type", form.FormDataContentType())); !got.Success {
		t.Fatal(got.Errors)
	}
	script, _ := fake.script("hello")
	want := []runtime.Binding{{Type: "plain_text", Name: "A", Text: "1"}, {Type: "secret_text", Name: "S", Text: "x"}}
	if diff := cmp.Diff(want, script.Versions[0].Bindings); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
}

func TestContentComesBackAsUploaded(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	body, contentType := upload(t, meta(), "index.js", "import './lib/a.js'", "lib/a.js", "42")
	first := read(t, request(t, cloud, "PUT", hello, body, "Content-Type", contentType))
	if !first.Success {
		t.Fatal(first.Errors)
	}
	response := request(t, cloud, "GET", hello+"/content/v2", nil)
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	got, parts := map[string]string{}, multipart.NewReader(response.Body, parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got[part.FormName()] = part.Header.Get("Content-Type") + " " + string(text)
	}
	want := map[string]string{"index.js": "application/javascript+module import './lib/a.js'", "lib/a.js": "application/javascript+module 42"}
	if diff := cmp.Diff(want, got); diff != "" || response.Header.Get("cf-entrypoint") != "index.js" {
		t.Errorf("entry %s, modules (-want +got):\n%s", response.Header.Get("cf-entrypoint"), diff)
	}
}

func TestGoneResourceCannotBeDeployedAgain(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	id := succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": "t"}).get(t, "id")
	blue := deployed(t, cloud, "bindings", []any{map[string]any{"type": "kv_namespace", "name": "KV", "namespace_id": id}})
	deployed(t, cloud)
	succeed(t, cloud, "DELETE", fmt.Sprintf("@/storage/kv/namespaces/%s", id), nil)
	if got := shift(t, cloud, "", blue, 100); got.code() != codeBadUpload || !strings.Contains(got.Errors[0].Message, "KV") {
		t.Errorf("%v", got.Errors)
	}
}

func TestVersionUploadsAndDeploymentsTogether(t *testing.T) {
	cloud, fake := startFake(t, t.TempDir())
	blue := deployed(t, cloud)
	var ids [8]string
	t.Run("at once", func(t *testing.T) {
		for i := range ids {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				ids[i] = added(t, cloud)
				if got := shift(t, cloud, "", blue, 90, ids[i], 10); !got.Success {
					t.Error(got.Errors)
				}
			})
		}
	})
	list := succeed(t, cloud, "GET", hello+"/deployments", nil)
	script, _ := fake.script("hello")
	if recorded := list.get(t, "deployments.0.versions.1.version_id"); recorded != script.Shares[1].VersionID {
		t.Errorf("recorded is %v, but %v runs", recorded, script.Shares[1].VersionID)
	}
	if list.get(t, "deployments.8") == nil || list.get(t, "deployments.9") != nil {
		t.Errorf("deployments are missing or too many")
	}
}
