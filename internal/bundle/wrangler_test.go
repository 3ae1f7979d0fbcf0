package bundle_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// TestRealWranglerGivesOneDigest builds testdata/app with the real wrangler in two folders of different depth.
func TestRealWranglerGivesOneDigest(t *testing.T) {
	if os.Getenv("PENSTOCK_SLOW") == "" {
		t.Skip("installs wrangler from the npm registry: set PENSTOCK_SLOW=1 to run it")
	}
	t.Parallel()
	tools := t.TempDir()
	run(t, tools, "npm", "install", "--no-audit", "--no-fund", "--prefix", tools, "wrangler@4.86.0")

	var digests []string
	for _, folder := range []string{"a", "b/deep/er"} {
		app := filepath.Join(t.TempDir(), folder, "app")
		if err := os.CopyFS(app, os.DirFS("testdata/app")); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "bundle.upload")
		run(t, app, "node", filepath.Join(tools, "node_modules/wrangler/bin/wrangler.js"),
			"deploy", "--config", "wrangler.jsonc", "--dry-run", "--outfile", out)
		file, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		b, err := bundle.Parse(file, app)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, b.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("one source, two digests: %v", digests)
	}
	if want := parse(t, recorded(t)).Digest; digests[0] != want {
		t.Errorf("wrangler gives %s, and the recording has %s: record it again", digests[0], want)
	}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "WRANGLER_SEND_METRICS=false", "CI=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
