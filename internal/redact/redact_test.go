package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/redact"
)

const secret = `p@ss/w0rd"<&>+ünï`

func TestForms(t *testing.T) {
	t.Parallel()
	asJSON, err := json.Marshal(map[string]string{"token": secret})
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{
		"plain":       "token=" + secret + "!",
		"json":        string(asJSON),
		"query":       "https://host/?t=" + url.QueryEscape(secret),
		"path":        "https://host/" + url.PathEscape(secret) + "/x",
		"lower query": "?t=" + strings.NewReplacer("%2F", "%2f", "%3C", "%3c", "%3E", "%3e", "%2B", "%2b", "%C3", "%c3", "%BC", "%bc", "%AF", "%af").Replace(url.QueryEscape(secret)),
		"base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"basic auth1": base64.StdEncoding.EncodeToString([]byte("u:" + secret)),
		"basic auth2": base64.StdEncoding.EncodeToString([]byte("us:" + secret)),
		"basic auth3": base64.URLEncoding.EncodeToString([]byte("use:" + secret + "\n")),
		"twice":       secret + secret,
	}
	r := redact.New(map[string]string{"TOKEN": secret})
	core := base64.RawStdEncoding.EncodeToString([]byte(secret))[2:12]
	for name, text := range forms {
		got := r.String(text)
		if !strings.Contains(got, redact.Mask) || strings.Contains(got, "w0rd") || strings.Contains(got, core) {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}

func TestLongestWins(t *testing.T) {
	t.Parallel()
	r := redact.New(map[string]string{"A": "abcd", "B": "abcdefgh", "C": "xabcdef"})
	if got, want := r.String("abcdefgh abcdef xabcdefgh abc"), "*** ***ef ***gh abc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrivateKey(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
	r := redact.New(map[string]string{"KEY": key})
	for _, text := range []string{key, strings.TrimSpace(key), strings.ReplaceAll(key, "\n", "\r\n"), strings.ReplaceAll(key, "\n", `\n`), "line: hkiG9w0BAQEFAASC"} {
		if got := r.String(text); strings.Contains(got, "hkiG9w") {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestShortAreNamed(t *testing.T) {
	t.Parallel()
	r := redact.New(map[string]string{"PIN": "123", "A": "1", "EMPTY": "", "OK": "12345"})
	if diff := cmp.Diff([]string{"A", "PIN"}, r.Short()); diff != "" {
		t.Error(diff)
	}
	if got := r.String("123 12345"); got != "123 ***" {
		t.Errorf("got %q", got)
	}
}

func TestNothingIsHeldBackWithoutNeed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := redact.New(map[string]string{"T": "secret"}).Writer(&out)
	if _, err := w.Write([]byte("hello sec")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "hello " {
		t.Errorf("before the rest is known: %q", got)
	}
	if _, err := w.Write([]byte("ond")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "hello second" {
		t.Errorf("once it is known: %q", got)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "report.xml"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("<a>topsecret</a>"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, other); err != nil {
		t.Skipf("this file system has no hard links: %v", err)
	}
	if err := redact.New(map[string]string{"T": "topsecret"}).File(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "<a>***</a>" {
		t.Errorf("got %q, %v", got, err)
	}
	if kept, _ := os.ReadFile(other); !bytes.Contains(kept, []byte("topsecret")) {
		t.Errorf("another link was written through: %q", kept)
	}
}

// FuzzChunks: however a stream is cut, the result is that of the whole, and no secret is left in it.
func FuzzChunks(f *testing.F) {
	f.Add("hunter22", "abcabcabd", "xx hunter22 abcabcabcabd yy", uint8(3))
	f.Add("aaaa", "aaaaab", "aaaaaaaaab", uint8(1))
	f.Fuzz(func(t *testing.T, one, two, text string, cut uint8) {
		if len(text) > 4096 || len(one) > 256 || len(two) > 256 {
			t.Skip("larger than what is interesting")
		}
		r := redact.New(map[string]string{"1": one, "2": two})
		whole := r.String(text)
		var out bytes.Buffer
		w := r.Writer(&out)
		for rest := []byte(text); len(rest) > 0; {
			n := min(len(rest), int(cut)%7+1)
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole {
			t.Fatalf("in chunks %q, as a whole %q", out.String(), whole)
		}
		for _, value := range []string{one, two} {
			if len(value) >= redact.MinLength && !strings.Contains(value, "*") {
				for part := range strings.SplitSeq(whole, redact.Mask) {
					if strings.Contains(part, value) {
						t.Fatalf("%q is left in %q", value, whole)
					}
				}
			}
		}
	})
}
