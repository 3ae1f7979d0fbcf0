package runtime

import (
	"math"
	"net/http"
	"strconv"
	"testing"
)

func TestChooseVersion(t *testing.T) {
	t.Parallel()
	all := func(id string) []Share { return []Share{{"old", 100}, {id, 0}} }
	tests := []struct {
		name   string
		shares []Share
		header http.Header
		want   string
	}{
		{"only one", []Share{{"old", 100}}, nil, "old"},
		{"none at 0", []Share{{"new", 0}, {"old", 100}}, nil, "old"},
		{"override at 0", all("new"), overrides(`app="new"`), "new"},
		{"override among others", all("new"), overrides(`a=1, app="new";x=?1, z="old"`), "new"},
		{"override in two lines", all("new"), overrides(`other="old"`, `app="new"`), "new"},
		{"last override wins", all("new"), overrides(`app="old", app="new"`), "new"},
		{"override of another script", all("new"), overrides(`other="new"`), "old"},
		{"override not deployed", all("new"), overrides(`app="gone"`), "old"},
		{"override not a string", all("new"), overrides(`app=new`), "old"},
		{"override malformed", all("new"), overrides(`app="new", =`), "old"},
		{"override before key", all("new"), http.Header{headerOverrides: {`app="new"`}, headerVersionKey: {"k"}}, "new"},
		{"key ignores 0", all("new"), http.Header{headerVersionKey: {"k"}}, "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				if got := chooseVersion("app", tt.shares, tt.header); got != tt.want {
					t.Fatalf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

func overrides(lines ...string) http.Header { return http.Header{headerOverrides: lines} }

// TestStickyKeys: keys spread by the percentages, and while a version grows no key ever leaves it.
func TestStickyKeys(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	onNew := map[int]bool{}
	for _, percent := range []float64{0, 1, 10, 50, 100} {
		shares := []Share{{"old", 100 - percent}, {"new", percent}}
		count := 0
		for i := range keys {
			got := pickVersion(shares, keyPosition("user-"+strconv.Itoa(i)))
			if got == "new" {
				count++
				onNew[i] = true
			} else if onNew[i] {
				t.Fatalf("at %g %% key %d went back to the old version", percent, i)
			}
		}
		p := percent / 100
		if deviation := math.Abs(float64(count) - keys*p); deviation > 6*math.Sqrt(keys*p*(1-p)) {
			t.Errorf("at %g %%, %d of %d keys are on the new version", percent, count, keys)
		}
	}
}

func TestDictionaryString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field, key, want string
		ok               bool
	}{
		{`a="x"`, "a", "x", true},
		{`  a="x"  `, "a", "x", true},
		{"a=\"x\" \t, \t b=\"y\"", "b", "y", true},
		{`a="q\"b\\"`, "a", `q"b\`, true},
		{`a=(1 "b";c=d 2.5);e, b="y"`, "b", "y", true},
		{`a, b="y"`, "b", "y", true},
		{`a=?0, c=:aGk=:, d=-1.5, e=to*ken/x, b="y"`, "b", "y", true},
		{`my-worker_1.x="y"`, "my-worker_1.x", "y", true},
		{``, "a", "", false},
		{`a`, "a", "", false},
		{`a=x`, "a", "", false},
		{`a="x", a=1`, "a", "", false},
		{`a="x",`, "a", "", false},
		{`a="x" b="y"`, "a", "", false},
		{`a="x`, "a", "", false},
		{`a="\n"`, "a", "", false},
		{"a=\"\x01\"", "a", "", false},
		{`A="x"`, "A", "", false},
		{`a="x", b=`, "a", "", false},
		{`a="x", b=(1`, "a", "", false},
		{`a="x";`, "a", "", false},
		{`a= "x"`, "a", "", false},
	}
	for _, tt := range tests {
		if got, ok := dictionaryString(tt.field, tt.key); got != tt.want || ok != tt.ok {
			t.Errorf("dictionaryString(%q, %q) = %q, %t; want %q, %t", tt.field, tt.key, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzDictionaryString(f *testing.F) {
	for _, seed := range []string{`a="x", b=(1 2);c`, `a`, `=`, `a="\\`, `a=?`, `a=:`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		value, ok := dictionaryString(field, "a")
		if !ok && value != "" {
			t.Errorf("%q: a value though there is none", field)
		}
	})
}
