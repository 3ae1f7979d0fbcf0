package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"mime/multipart"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/bundle"
)

const recordedBoundary = "----formdata-undici-004233028404"

// recorded is what wrangler 4.86.0 wrote for testdata/app.
func recorded(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/wrangler-4.86.0.upload")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func parse(t testing.TB, body []byte) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Parse(bytes.NewReader(body), "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseReadsWhatWranglerWrote(t *testing.T) {
	t.Parallel()
	b := parse(t, recorded(t))
	type module struct {
		Name, Type string
		Size       int
	}
	var got []module
	for _, m := range b.Modules {
		got = append(got, module{m.Name, m.ContentType, len(m.Body)})
	}
	want := []module{
		{"./0e24de2a654535665d4cfab1675ed252371f863a-note.txt", "text/plain", 7},
		{"./c6006650182737e2b09bada7fc0774812b802917-add.wasm", "application/wasm", 8},
		{"index.js", "application/javascript+module", 1062},
		{"index.js.map", "application/source-map", 1538},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if want := int64(7 + 8 + 1062 + 1538); b.Size() != want {
		t.Errorf("Size() = %d, want %d", b.Size(), want)
	}
	if prefix := `{"bindings":[{"name":"GREETING","text":"hello","type":"plain_text"},`; !strings.HasPrefix(string(b.Metadata), prefix) {
		t.Errorf("the metadata is not canonical: %s", b.Metadata)
	}
	// Whoever changes how the digest is computed makes every recorded digest worthless: that must be on purpose.
	if want := "sha256:26f83002897ea6b56708aec31d9a4890e5bfd5450e2bcdfbb53cf0af6c796422"; b.Digest != want {
		t.Errorf("Digest = %s, want %s", b.Digest, want)
	}
}

func TestDigestIgnoresHowTheBundleWasWrapped(t *testing.T) {
	t.Parallel()
	original := recorded(t)
	want := parse(t, original)

	otherBoundary := bytes.ReplaceAll(original, []byte(recordedBoundary), []byte("another-boundary"))
	if got := parse(t, otherBoundary).Digest; got != want.Digest {
		t.Errorf("another boundary gives another digest: %s, not %s", got, want.Digest)
	}

	reversed := *want
	reversed.Modules = nil
	for i := range want.Modules {
		reversed.Modules = append(reversed.Modules, want.Modules[len(want.Modules)-1-i])
	}
	var otherOrder bytes.Buffer
	if _, err := reversed.Encode(&otherOrder, nil); err != nil {
		t.Fatal(err)
	}
	if got := parse(t, otherOrder.Bytes()).Digest; got != want.Digest {
		t.Errorf("another order of parts gives another digest: %s, not %s", got, want.Digest)
	}

	spaced := bytes.Replace(original, []byte(`{"main_module":"index.js",`), []byte("{ \"main_module\" :\t\"index.js\","), 1)
	if bytes.Equal(spaced, original) {
		t.Fatal("the recorded metadata begins with something else")
	}
	if got := parse(t, spaced).Digest; got != want.Digest {
		t.Errorf("space in the metadata gives another digest: %s, not %s", got, want.Digest)
	}
}

func TestDigestCoversEverythingThatIsSent(t *testing.T) {
	t.Parallel()
	original := recorded(t)
	want := parse(t, original).Digest
	for what, change := range map[string][2]string{
		"a variable":        {`"text":"hello"`, `"text":"hullo"`},
		"a module's body":   {"a note", "a nope"},
		"a module's type":   {"Content-Type: text/plain", "Content-Type: text/x-python"},
		"a module's name":   {"index.js.map", "index.jz.map"},
		"the compatibility": {"2026-04-01", "2026-04-02"},
	} {
		changed := bytes.ReplaceAll(original, []byte(change[0]), []byte(change[1]))
		if bytes.Equal(changed, original) {
			t.Fatalf("%s: the recording has no %q", what, change[0])
		}
		if got := parse(t, changed).Digest; got == want {
			t.Errorf("%s was changed and the digest stayed %s", what, got)
		}
	}
}

func TestEncodeWritesWhatCloudflareWants(t *testing.T) {
	t.Parallel()
	b := parse(t, recorded(t))
	metadata := json.RawMessage(`{"main_module":"index.js","annotations":{"workers/tag":"x"}}`)
	var body bytes.Buffer
	contentType, err := b.Encode(&body, metadata)
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("content type %q (%v)", contentType, err)
	}
	reader := multipart.NewReader(&body, params["boundary"])
	part, err := reader.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(part); err != nil {
		t.Fatal(err)
	}
	// The API tells the metadata from a module by the missing file name.
	if part.FormName() != "metadata" || part.FileName() != "" || got.String() != string(metadata) {
		t.Errorf("the first part is %v: %s", part.Header, &got)
	}
	for _, module := range b.Modules {
		part, err := reader.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		want := `form-data; name="` + module.Name + `"; filename="` + module.Name + `"`
		if disposition := part.Header.Get("Content-Disposition"); disposition != want {
			t.Errorf("got %s, want %s", disposition, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	part := func(disposition, contentType, body string) string {
		head := "--b\r\nContent-Disposition: " + disposition + "\r\n"
		if contentType != "" {
			head += "Content-Type: " + contentType + "\r\n"
		}
		return head + "\r\n" + body + "\r\n"
	}
	metadata := part(`form-data; name="metadata"`, "", `{"main_module":"a.js"}`)
	module := func(name, body string) string {
		return part(`form-data; name="`+name+`"; filename="`+name+`"`, "application/javascript+module", body)
	}
	const end = "--b--\r\n"
	if _, err := bundle.Parse(strings.NewReader(metadata+module("a.js", "x")+end), ""); err != nil {
		t.Fatalf("the body that the cases vary is refused: %v", err)
	}
	for name, tc := range map[string]struct{ body, want string }{
		"nothing":            {"", "multipart boundary"},
		"no multipart":       {"export default {}\n", "multipart boundary"},
		"no metadata":        {module("a.js", "x") + end, `"metadata"`},
		"metadata twice":     {metadata + metadata + module("a.js", "x") + end, "two parts"},
		"module twice":       {metadata + module("a.js", "x") + module("a.js", "y") + end, "two parts"},
		"unknown field":      {metadata + part(`form-data; name="files.0"`, "", "x") + end, "neither"},
		"cut off":            {metadata + module("a.js", "x"), "EOF"},
		"metadata no object": {part(`form-data; name="metadata"`, "", "null") + end, "null"},
		"metadata no JSON":   {part(`form-data; name="metadata"`, "", "{") + end, "metadata"},
		"two values":         {part(`form-data; name="metadata"`, "", "{} {}") + end, "more than one"},
		"no entry":           {part(`form-data; name="metadata"`, "", "{}") + end, "static assets only"},
		"entry is missing":   {metadata + module("b.js", "x") + end, `"a.js"`},
		"names differ":       {metadata + part(`form-data; name="a.js"; filename="b.js"`, "text/plain", "x") + end, "import specifiers"},
		"no type":            {metadata + part(`form-data; name="a.js"; filename="a.js"`, "", "x") + end, "content type"},
		"backslash":          {metadata + module("a.js", "x") + module(`a\\b.js`, "x") + end, "characters"},
		"huge metadata":      {part(`form-data; name="metadata"`, "", `{"a":"`+strings.Repeat("x", bundle.MaxMetadataSize)+`"}`) + end, "1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.Parse(strings.NewReader(tc.body), "")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error about %q", err, tc.want)
			}
		})
	}
}

func TestParseRefusesWhatDependsOnTheFolder(t *testing.T) {
	t.Parallel()
	const folder = "/home/anna/apps/guide"
	with := func(old, replacement string) []byte {
		changed := bytes.ReplaceAll(recorded(t), []byte(old), []byte(replacement))
		if bytes.Equal(changed, recorded(t)) {
			t.Fatalf("the recording has no %q", old)
		}
		return changed
	}
	for name, body := range map[string][]byte{
		"absolute module name":  with("index.js.map", "/srv/x/index.js.map"),
		"Windows module name":   with("index.js.map", "C:/x/index.js.map"),
		"URL as module name":    with("index.js.map", "file:///x/index.js.map"),
		"source map's sources":  with(`"src/index.ts"`, `"/srv/x/index.ts"`),
		"source map's root":     with(`"sourceRoot":""`, `"sourceRoot":"file:///srv"`),
		"folder in code":        with("console.log(", `console.log("`+folder+`/src", `),
		"folder in a variable":  with(`"text":"hello"`, `"text":"`+folder+`"`),
		"folder in a text file": with("a note", "a note in "+folder+"/src"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.Parse(bytes.NewReader(body), folder)
			var path *bundle.PathError
			if !errors.As(err, &path) {
				t.Errorf("got %v, want a PathError", err)
			}
		})
	}
	if _, err := bundle.Parse(bytes.NewReader(with(`"text":"hello"`, `"text":"/app/help"`)), "/app"); err != nil {
		t.Errorf("a URL's path that begins like the folder /app is refused: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(recorded(f))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"main_module\":\"a\"}\r\n--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx\r\n--b--"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := bundle.Parse(bytes.NewReader(body), "/home/anna/apps/guide")
		if err != nil {
			return
		}
		var again bytes.Buffer
		if _, err := b.Encode(&again, nil); err != nil {
			t.Fatalf("what was parsed cannot be encoded: %v", err)
		}
		second, err := bundle.Parse(&again, "")
		if err != nil {
			t.Fatalf("what was encoded cannot be parsed: %v\n%q", err, again.String())
		}
		if diff := cmp.Diff(b, second); diff != "" {
			t.Fatalf("the round trip changed it (-first +second):\n%s", diff)
		}
	})
}
