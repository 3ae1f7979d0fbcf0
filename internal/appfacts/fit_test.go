package appfacts

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/penstock-ci/penstock/pipelines"
)

var update = flag.Bool("update", false, "rewrite what the fixtures expect")

// wantFile is the part of a fixture that is not the app's: what Fit should make of it.
const wantFile = "WANT"

// TestFit fits the pipeline to the small apps in testdata: one archive each, with what is to be expected at its end.
func TestFit(t *testing.T) {
	t.Parallel()
	fixtures, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, fixture := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(fixture), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(fixture)
			if err != nil {
				t.Fatal(err)
			}
			p, problems, err := Fit(unpack(t, archive))
			if err != nil {
				t.Fatal(err)
			}
			got := summary(p, problems)
			last := &archive.Files[len(archive.Files)-1]
			if last.Name != wantFile {
				t.Fatalf("%s does not end with %s", fixture, wantFile)
			}
			if *update {
				last.Data = []byte(got)
				if err := os.WriteFile(fixture, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(last.Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// unpack writes the app's files into a folder named app.
func unpack(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	for _, file := range archive.Files {
		if file.Name == wantFile {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// summary is what a person would want to see of a pipeline at a glance.
func summary(p pipelines.Pipeline, problems pipelines.Problems) string {
	var out strings.Builder
	for _, problem := range problems {
		fmt.Fprintf(&out, "%s: %s\n", problem.Severity, problem)
	}
	if p.Name == "" {
		return out.String()
	}
	fmt.Fprintf(&out, "app %s\n", p.Name)
	for _, stage := range p.Stages {
		var starts []string
		for _, command := range stage.Run {
			starts = append(starts, strings.SplitN(command, "\n", 2)[0])
		}
		fmt.Fprintf(&out, "stage %s on %s needs %s: %s\n", stage.Name, stage.Image, strings.Join(stage.Needs, " "), strings.Join(starts, "; "))
	}
	for _, gate := range p.Gates {
		fmt.Fprintf(&out, "gate %s %s\n", gate.Gate, gate.Enforcement)
	}
	for _, env := range p.Environments {
		fmt.Fprintf(&out, "environment %s on %s is %q, seed %q, probes %v, version %s\n", env.Name, env.Target, env.WranglerEnv, env.Seed, env.Smoke.Probes, env.Smoke.Version)
	}
	return out.String()
}

func TestReadOfWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "package.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, _, err := Read(file); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("a file: %v", err)
	}
}

// TestTestScripts is the variety of real repositories.
func TestTestScripts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script  string
		runner  string
		watch   bool
		command string // "" when it is not one plain command
	}{
		{"vitest run", "vitest", false, "vitest run"},
		{"vitest", "vitest", true, "vitest"},
		{"vitest --watch", "vitest", true, "vitest --watch"},
		{"vitest --run src", "vitest", false, "vitest --run src"},
		{"TZ=UTC vitest run", "vitest", false, "TZ=UTC vitest run"},
		{"cross-env TZ=UTC NODE_ENV=test npx vitest run", "vitest", false, "TZ=UTC NODE_ENV=test vitest run"},
		{"npx --no-install vitest run", "vitest", false, "vitest run"},
		{"pnpm exec vitest run", "vitest", false, "vitest run"},
		{"tsc --noEmit && vitest run", "vitest", false, ""},
		{"npm run test:unit", "vitest", true, "vitest"},
		{"yarn test:unit", "vitest", true, "vitest"},
		{"npm run test:unit -- --run", "", false, ""},
		{"npm run test:unit && npm run test:e2e", "", false, ""},
		{"npm run again", "", false, ""},
		{"vitest bench", "", false, ""},
		{"vitest run | tee log", "", false, ""},
		{"vitest run > log", "", false, ""},
		{"vitest run || true", "", false, ""},
		{"true || vitest run", "", false, ""},
		{"vitest run &", "", false, ""},
		{"jest", "jest", false, "jest"},
		{"jest --watchAll", "jest", true, "jest --watchAll"},
		{"node --experimental-vm-modules node_modules/jest/bin/jest.js", "jest", false, "node --experimental-vm-modules node_modules/jest/bin/jest.js"},
		{"node --test", "node", false, "node --test"},
		{"node --import tsx --test 'test/**/*.ts'", "node", false, "node --import tsx --test 'test/**/*.ts'"},
		{"node test.js", "", false, ""},
		{"bun test", "", false, ""},
		{"mocha", "", false, ""},
		{"echo 'a", "", false, ""},
		{"", "", false, ""},
	} {
		r := &reading{manifest: &manifest{}}
		r.app.Scripts = map[string]string{"test": test.script, "test:unit": "vitest", "again": "npm test"}
		r.readTestScript()
		if r.app.TestRunner != test.runner || r.app.WatchMode != test.watch || r.app.TestCommand != test.command {
			t.Errorf("%q: runner %q, watches %v, command %q; want %q, %v, %q", test.script,
				r.app.TestRunner, r.app.WatchMode, r.app.TestCommand, test.runner, test.watch, test.command)
		}
	}
}

func TestLintAndTypecheckScripts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script  string
		eslint, plain bool
		typecheck     string
	}{
		{"lint", "eslint .", true, false, ""},
		{"lint", "npx eslint src --max-warnings 0", true, false, ""},
		{"lint", "eslint . && prettier --check .", false, false, ""},
		{"lint", "prettier --check . && eslint .", false, false, ""},
		{"lint", "eslint . -f stylish", false, false, ""},
		{"lint", "eslint --output-file=x .", false, false, ""},
		{"lint", "biome check", false, false, ""},
		{"check", "tsc --noEmit", false, true, "check"},
		{"check", "biome check && tsc", false, true, "check"},
		{"check", "biome check", false, false, ""},
		{"typecheck", "wrangler types && tsc --noEmit", false, true, "typecheck"},
		{"type-check", "tsc --pretty", false, false, "type-check"},
		{"types", "(tsc -p a; tsc -p b)", false, false, "types"},
	} {
		r := &reading{manifest: &manifest{}}
		r.app.Scripts = map[string]string{test.name: test.script}
		r.readLintScript()
		r.readTypecheckScript()
		if r.app.ESLint != test.eslint || r.app.PlainTypecheck != test.plain || r.app.Typecheck != test.typecheck {
			t.Errorf("%s %q: eslint %v, typecheck %q, plain %v", test.name, test.script, r.app.ESLint, r.app.Typecheck, r.app.PlainTypecheck)
		}
	}
}

func TestChooseNode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ engines, wrangler, nvmrc, want string }{
		{"", "", "", ""},
		{">=20.3", "", "", "20.20.2"},
		{">=18", ">=22.12", "", "22.23.3"},
		{">=20", "", "v24.1.0\n", "24.21.0"},
		{"", "", "22", "22.23.3"},
		{"^22 || ^24", "", "lts/*", "22.23.3"},
		{"20.x", "", "24", "20.20.2"},
		{"<18", "", "", ""},
	} {
		dir := t.TempDir()
		if test.nvmrc != "" {
			if err := os.WriteFile(filepath.Join(dir, ".nvmrc"), []byte(test.nvmrc), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := &reading{dir: dir, manifest: &manifest{}}
		r.app.NodeRange, r.app.WranglerNodeRange = test.engines, test.wrangler
		if err := r.chooseNode(); err != nil {
			t.Fatal(err)
		}
		if r.app.NodeVersion != test.want {
			t.Errorf("%+v: Node %q", test, r.app.NodeVersion)
		}
	}
}

// FuzzParseCall: a script is any text.
func FuzzParseCall(f *testing.F) {
	for _, seed := range []string{"vitest run", "cross-env A=b npx -y vitest", "a && (b; c) || d", "npm exec -- x", "A=$(b) c \"d e\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		found, ok := parseCall(script)
		if ok && len(found.words) == 0 {
			t.Error("a call of nothing")
		}
	})
}
