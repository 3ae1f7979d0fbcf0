package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// wantComment is a comment in a snippet that says what is found on its line, or so many lines after it.
var wantComment = regexp.MustCompile(`// want ([a-z-]+)(?: \+(\d+))?`)

// snippets are the apps in testdata/<gate>, each a txtar file whose comments say what is to be found in it.
func snippets(t *testing.T, gate string) []gatetest.Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", gate, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no snippets of %s: %v", gate, err)
	}
	var cases []gatetest.Case
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		outcome := gates.Pass
		for _, one := range archive.Files {
			for i, line := range strings.Split(string(one.Data), "\n") {
				for _, match := range wantComment.FindAllStringSubmatch(line, -1) {
					further, _ := strconv.Atoi(match[2])
					want = append(want, fmt.Sprintf("%s:%d %s", one.Name, i+1+further, match[1]))
					switch {
					case !strings.HasSuffix(match[1], "-unfollowed") && match[1] != "unread":
						outcome = gates.Fail
					case outcome == gates.Pass:
						outcome = gates.Inconclusive
					}
				}
			}
		}
		slices.Sort(want)
		cases = append(cases, gatetest.Case{
			Name: strings.TrimSuffix(filepath.Base(file), ".txtar"), Request: gates.Request{SourceDir: unpacked(t, archive)}, Want: outcome,
			Check: func(t *testing.T, verdict gates.Verdict) {
				var got []string
				for _, finding := range verdict.Findings {
					if finding.Level != gates.LevelNote {
						got = append(got, fmt.Sprintf("%s:%d %s", finding.File, finding.Line, finding.Rule))
					}
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s\n%+v", diff, verdict.Findings)
				}
			},
		})
	}
	return cases
}

func unpacked(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	root := t.TempDir()
	for _, one := range archive.Files {
		file := filepath.Join(root, filepath.FromSlash(one.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, one.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// appOf is a folder with these files, each a name and its text.
func appOf(t *testing.T, files ...string) string {
	t.Helper()
	archive := &txtar.Archive{}
	for i := 0; i < len(files); i += 2 {
		archive.Files = append(archive.Files, txtar.File{Name: files[i], Data: []byte(files[i+1])})
	}
	return unpacked(t, archive)
}

// TestExample judges the app that the demo runs: it does what both gates ask for.
func TestExample(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		gate    gates.Gate
		counted string
		least   float64
	}{{sqlGate{}, "statements", 10}, {inputGate{}, "reads", 2}} {
		verdict, err := one.gate.Evaluate(t.Context(), &gates.Request{SourceDir: filepath.Join("..", "..", "examples", "atomic-guide")})
		if err != nil {
			t.Fatal(err)
		}
		if verdict.Outcome != gates.Pass {
			t.Errorf("%s: %s %s %+v", one.gate.Describe().Name, verdict.Outcome, verdict.Summary, verdict.Findings)
		}
		for _, measurement := range verdict.Measurements {
			if measurement.Name == one.counted && measurement.Value < one.least {
				t.Errorf("%s: only %v %s were seen", one.gate.Describe().Name, measurement.Value, one.counted)
			}
		}
	}
}

// TestPlaces shows that positions are those of the original, whatever was taken out before them.
func TestPlaces(t *testing.T) {
	t.Parallel()
	text := "type A = { a: string };\nimport type { B } from './b';\nenum E { X = 'x' }\n@dec class C<T extends A> { constructor(private readonly é: B) {} }\nconst s = '😀' as const; target(s);\n"
	m, err := parseModule("a.ts", text)
	if err != nil {
		t.Fatal(err)
	}
	var got location
	m.body.walk(func(n *node) bool {
		if n.is(kName) && n.text == "target" {
			got = n.place()
		}
		return true
	})
	if want := (location{5, 26}); got != want { // a column is a UTF-16 unit, as editors count
		t.Errorf("got %v, want %v", got, want)
	}
}

// FuzzSource shows that no source makes the gates panic: a parser's panic is a file that could not be read, and what could
// be read can be judged.
func FuzzSource(f *testing.F) {
	for _, gate := range []string{"sql", "input"} {
		files, err := filepath.Glob(filepath.Join("testdata", gate, "*.txtar"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, one := range archive.Files {
				f.Add(string(one.Data))
			}
		}
	}
	f.Add("for (const [a, ...b] of c) ({ a, [b]: c, ...d } = e ?? (() => f`${g}`)); export * as x from './a'; label: while (1) { break label }")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseModule("src/a.tsx", text)
		if err != nil {
			return
		}
		app := &codebase{modules: map[string]*module{m.path: m}, judged: []*module{m}}
		app.index()
		judged := newJudgement(app, "sql")
		for _, one := range app.statements(m) {
			app.judgeStatement(one, judged)
		}
		app.handedOn(m)
		if _, err := app.judgeInput(t.Context(), judged); err != nil {
			t.Fatal(err)
		}
		judged.verdict()
	})
}
