package appfacts

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/penstock-ci/penstock/pipelines"
)

// monorepo is a workspace of pnpm's in the form of real ones: the lock file and the tools at its root, an app that uses one of the
// packages, a package that it does not use, and a folder that is no member.
const monorepo = `
-- package.json --
{ "name": "all", "packageManager": "pnpm@10.0.0", "devDependencies": { "wrangler": "4", "typescript": "5" } }
-- pnpm-workspace.yaml --
packages: ["apps/*", "packages/**", "!apps/old"]
-- pnpm-lock.yaml --
lockfileVersion: "9.0"
-- apps/api/package.json --
{ "name": "api", "scripts": { "test": "vitest run" }, "dependencies": { "@all/shared": "workspace:*" }, "devDependencies": { "vitest": "4" } }
-- apps/api/tsconfig.json --
{}
-- apps/api/wrangler.jsonc --
{ "name": "api", "main": "src/index.ts", "compatibility_date": "2026-04-01" }
-- apps/api/src/index.ts --
export default {};
-- apps/old/package.json --
{ "name": "old" }
-- apps/old/wrangler.jsonc --
{ "name": "old", "main": "index.js" }
-- apps/web/package.json --
{ "name": "web" }
-- packages/shared/package.json --
{ "name": "@all/shared", "scripts": { "build": "tsc" }, "dependencies": { "@all/deep": "workspace:*" } }
-- packages/nested/deep/package.json --
{ "name": "@all/deep" }
`

func TestMemberOfAWorkspace(t *testing.T) {
	t.Parallel()
	dir := unpack(t, txtar.Parse([]byte(monorepo)))
	app := filepath.Join(dir, "apps", "api")
	if root, place := SourceRoot(app); root != dir || place != "apps/api" {
		t.Fatalf("the source is %s at %q, want %s at apps/api", root, place, dir)
	}
	p, problems, err := Fit(app)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems.Err())
	}
	if text := summary(pipelines.Pipeline{}, problems); !strings.Contains(text, "build script, which no stage runs: @all/shared") || strings.Contains(text, "no lock file") {
		t.Errorf("the problems are\n%s", text)
	}
	p = pipelines.Within(p, "apps/api")
	const enter = `export PATH="$PWD/apps/api/node_modules/.bin:$PWD/node_modules/.bin:$PATH"; cd 'apps/api'`
	for _, test := range []struct {
		stage                string
		run, inputs, outputs []string
	}{
		{
			"install",
			[]string{enter, "(cd ../.. && pnpm install --frozen-lockfile)", "mkdir -p node_modules ../../node_modules ../../apps/web/node_modules ../../packages/nested/deep/node_modules ../../packages/shared/node_modules"},
			[]string{"**/package.json", ".npmrc", "patches/**", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".pnpmfile.cjs", ".pnpmfile.mjs"},
			[]string{"apps/api/node_modules", "node_modules", "apps/web/node_modules", "packages/nested/deep/node_modules", "packages/shared/node_modules"},
		},
		{
			"typecheck", // an edit of a package that the app does not use is none of its
			[]string{enter, "tsc --noEmit --pretty false"},
			[]string{"**", "!apps/api/penstock.yaml", "!apps/api/.github/**", "!.github/**", "!apps/web/**"},
			nil,
		},
	} {
		stage := p.Stage(test.stage)
		if !slices.Equal(stage.Run, test.run) || !slices.Equal(stage.Inputs, test.inputs) || !slices.Equal(stage.Outputs, test.outputs) {
			t.Errorf("%s runs\n%q\nfrom %q\nand leaves %q; want\n%q\nfrom %q\nand %q", test.stage, stage.Run, stage.Inputs, stage.Outputs, test.run, test.inputs, test.outputs)
		}
	}
	if outputs := p.Stage("bundle").Outputs; !slices.Equal(outputs, []string{"apps/api/" + pipelines.BundleFile}) {
		t.Errorf("the bundle is %q", outputs)
	}
}

func TestNoMemberOfAWorkspace(t *testing.T) {
	t.Parallel()
	dir := unpack(t, txtar.Parse([]byte(monorepo+"-- apps/web/.git --\ngitdir: elsewhere\n")))
	for _, folder := range []string{"apps/old", "apps/web", "."} { // excluded, a repository of its own, the workspace itself
		app := filepath.Join(dir, folder)
		if root, place := SourceRoot(app); root != app || place != "" {
			t.Errorf("the source of %s is %s at %q, want it alone", folder, root, place)
		}
	}
	_, problems, err := Fit(filepath.Join(dir, "apps", "old"))
	if err != nil || !strings.Contains(summary(pipelines.Pipeline{}, problems), "no workspace there names this folder") {
		t.Errorf("got %v, %v", problems, err)
	}
}

func TestWorkspacesOfEachManager(t *testing.T) {
	t.Parallel()
	for name, manifest := range map[string]string{
		"npm":    `{ "workspaces": ["./apps/*/"] }`,
		"yarn 1": `{ "workspaces": { "packages": ["apps/api"], "nohoist": ["**"] } }`,
	} {
		dir := unpack(t, txtar.Parse([]byte("-- package.json --\n"+manifest+"\n-- apps/api/package.json --\n{}\n")))
		if _, place := SourceRoot(filepath.Join(dir, "apps", "api")); place != "apps/api" {
			t.Errorf("%s: the app lies at %q, want apps/api", name, place)
		}
	}
}
