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
	"github.com/rogpeppe/go-internal/txtar"

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
