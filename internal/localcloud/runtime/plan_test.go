package runtime

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testWiring = wiring{dataPlane: "127.0.0.1:8", secret: "plane-secret", objects: "/state/objects"}

// TestPlanGolden compares the configuration for a deployment of two versions with the stored one.
func TestPlanGolden(t *testing.T) {
	t.Parallel()
	script := appScript([]Version{appVersion(t, 2, idTwo), appVersion(t, 1, idOne)}, Share{idOne, 90}, Share{idTwo, 10})
	p, err := planScript(script, testWiring, false)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	got.WriteString(p.config)
	for _, f := range p.files {
		fmt.Fprintf(&got, "# file %s\n", f.name)
	}
	fmt.Fprintf(&got, "# sockets %q\n# keys %q\n# environment %q\n", p.sockets, p.keys, p.env)
	name := filepath.Join("testdata", "plan.golden")
	if *update {
		if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readTestFile(t, "plan.golden")), got.String()); diff != "" {
		t.Errorf("the plan changed; if that is right, run with -update (-want +got):\n%s", diff)
	}
}

func TestPlanFingerprint(t *testing.T) {
	t.Parallel()
	print := func(change func(*Script)) string {
		s := appScript([]Version{appVersion(t, 1, idOne), appVersion(t, 2, idTwo)}, Share{idOne, 90}, Share{idTwo, 10})
		change(&s)
		p, err := planScript(s, testWiring, false)
		if err != nil {
			t.Fatal(err)
		}
		return p.fingerprint()
	}
	base := print(func(*Script) {})
	same := map[string]func(*Script){
		"shares":            func(s *Script) { s.Shares[0].Percentage = 50 },
		"order of versions": func(s *Script) { slices.Reverse(s.Versions) },
		"crons":             func(s *Script) { s.Crons = []string{"* * * * *"} },
		"message":           func(s *Script) { s.Versions[0].Message = "x" },
	}
	for name, change := range same {
		if print(change) != base {
			t.Errorf("%s: the process would be replaced for nothing", name)
		}
	}
	other := map[string]func(*Script){
		"code":    func(s *Script) { s.Versions[0].Modules[0].Body = []byte("x") },
		"secret":  func(s *Script) { s.Versions[0].Bindings[2].Text = "x" },
		"var":     func(s *Script) { s.Versions[0].Bindings[1].Text = "x" },
		"version": func(s *Script) { s.Versions = s.Versions[:1] },
		"storage": func(s *Script) { s.DurableObjects[0].SQL = false },
	}
	for name, change := range other {
		if print(change) == base {
			t.Errorf("%s: the change would not be deployed", name)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	bind := func(b Binding) func(*Script) {
		return func(s *Script) { s.Versions[0].Bindings = []Binding{b} }
	}
	tests := []struct {
		name   string
		change func(*Script)
		want   string
	}{
		{"vectorize", bind(Binding{Type: "hyperdrive", Name: "V", IndexName: "i"}), "binding V of type hyperdrive: there is no such service"},
		{"inherit", bind(Binding{Type: "inherit", Name: "I"}), "binding I of type inherit"},
		{"object of another script", bind(Binding{Type: "durable_object_namespace", Name: "D", ClassName: "C", ScriptName: "other"}),
			"it belongs to the script other"},
		{"entrypoint of another script", bind(Binding{Type: "service", Name: "S", Service: "other", Entrypoint: "E"}), "its entrypoint E"},
		{"NUL in a secret", bind(Binding{Type: "secret_text", Name: "S", Text: "a\x00b"}), "NUL"},
		{"bad JSON", bind(Binding{Type: "json", Name: "J", JSON: []byte("{")}), "not valid JSON"},
		{"no main module", func(s *Script) { s.Versions[0].MainModule = "x.js" }, `the main module "x.js"`},
		{"Python", func(s *Script) { s.Versions[0].Modules[0].ContentType = "text/x-python" }, `"text/x-python"`},
		{"no date", func(s *Script) { s.Versions[0].CompatibilityDate = "" }, "no compatibility date"},
		{"key that leaves the folder", func(s *Script) {
			s.DurableObjects = []DurableObjectClass{{ClassName: "C", UniqueKey: "../x"}}
		}, `"../x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Script{Name: "app", Versions: []Version{tinyVersion(1, idOne, "")}}
			tt.change(&s)
			if _, err := planScript(s, testWiring, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestScriptValidate(t *testing.T) {
	t.Parallel()
	one, two := Version{ID: "one"}, Version{ID: "two"}
	tests := []struct {
		script Script
		want   string // "" is none
	}{
		{Script{Name: "a", Versions: []Version{one, two}, Shares: []Share{{"one", 99.9}, {"two", 0.1}}}, ""},
		{Script{Versions: []Version{one}, Shares: []Share{{"one", 100}}}, "no name"},
		{Script{Name: "a", Versions: []Version{one}}, "names no version"},
		{Script{Name: "a", Versions: []Version{one}, Shares: []Share{{"one", 90}}}, "sum to 90"},
		{Script{Name: "a", Versions: []Version{one}, Shares: []Share{{"two", 100}}}, "two, which is not given"},
		{Script{Name: "a", Versions: []Version{one, two}, Shares: []Share{{"one", 100}}}, "two is given but has no share"},
		{Script{Name: "a", Versions: []Version{one, two}, Shares: []Share{{"one", 110}, {"two", -10}}}, "-10"},
	}
	for _, tt := range tests {
		err := tt.script.validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("error = %v, want %q", err, tt.want)
		}
	}
}

func TestCapnpText(t *testing.T) {
	t.Parallel()
	if got, want := capnpText("a\"b\\c\nd\x00\x1b\x7fü"), `"a\"b\\c\nd\x00\x1b\x7fü"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
