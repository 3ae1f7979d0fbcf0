package appfacts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/penstock-ci/penstock/pipelines"
)

// generatedApp builds as Cloudflare's Vite plugin does, and its wrangler tells how it was called. BUILT_FOR stands for a build
// script that chooses the environment by itself.
const generatedApp = `
-- package.json --
{ "scripts": { "build": "node build.mjs" }, "devDependencies": { "wrangler": "4", "@cloudflare/vite-plugin": "1" } }
-- package-lock.json --
{ "packages": {} }
-- wrangler.jsonc --
{ "name": "spa", "main": "src/index.ts", "compatibility_date": "2026-04-01", "env": { "staging": {} } }
-- build.mjs --
import fs from "node:fs";
const write = (file, value) => { fs.mkdirSync(file.replace(/\/[^/]*$/, ""), { recursive: true }); fs.writeFileSync(file, JSON.stringify(value)); };
if (process.env.BUILT_FOR !== "nothing") {
  write(".wrangler/deploy/config.json", { configPath: "../../dist/spa/wrangler.json" });
  write("dist/spa/wrangler.json", { name: "spa", targetEnvironment: process.env.BUILT_FOR ?? process.env.CLOUDFLARE_ENV, assets: { directory: "../client" } });
  write("dist/client/index.html", "hello");
}
-- node_modules/.bin/wrangler --
#!/bin/sh
mkdir -p .penstock-bundle
echo "$* environment=${CLOUDFLARE_ENV-unset}" >.penstock-bundle/worker.form
`

func TestGeneratedConfigIsWhatIsBundled(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed here", tool)
		}
	}
	for _, test := range []struct {
		name, builtFor, refusal string
	}{
		{name: "for the environment that is asked for"},
		{name: "for another one", builtFor: "production", refusal: `built for the wrangler environment "production", and this is for "staging"`},
		{name: "without the plugin", builtFor: "nothing", refusal: "the build script left no .wrangler/deploy/config.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := unpack(t, txtar.Parse([]byte(generatedApp)))
			if err := os.Chmod(filepath.Join(dir, "node_modules/.bin/wrangler"), 0o755); err != nil {
				t.Fatal(err)
			}
			p, problems, err := Fit(dir)
			if err != nil || problems.Err() != nil {
				t.Fatal(err, problems.Err())
			}
			if p.Stage(pipelines.StageBuild) != nil {
				t.Error("there is a build stage, whose result the bundle stage would not see")
			}
			shell := exec.Command("sh", "-eu", "-c", strings.Join(p.Stage(pipelines.StageBundle).Run, "\n"))
			shell.Dir = dir
			shell.Env = append(os.Environ(), "CLOUDFLARE_ENV=staging")
			if test.builtFor != "" {
				shell.Env = append(shell.Env, "BUILT_FOR="+test.builtFor)
			}
			output, err := shell.CombinedOutput()
			if test.refusal != "" {
				if err == nil || !strings.Contains(string(output), test.refusal) {
					t.Fatalf("got %v and\n%s\nwant it to say %q", err, output, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v:\n%s", err, output)
			}
			called, err := os.ReadFile(filepath.Join(dir, pipelines.BundleFile))
			if err != nil {
				t.Fatal(err)
			}
			// The build has chosen: wrangler must not add the environment to the Worker's name once more.
			if want := "deploy --dry-run --outfile .penstock-bundle/worker.form --config dist/spa/wrangler.json environment=unset\n"; string(called) != want {
				t.Errorf("wrangler was called with %q, want %q", called, want)
			}
			if _, err := os.Stat(filepath.Join(dir, pipelines.AssetsFolder, "index.html")); err != nil {
				t.Errorf("the static files do not lie beside the upload: %v", err)
			}
		})
	}
}
