package host_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/executor/host"
)

// Programs that ask where they are, as package managers do, are told the real path. What they write of it into links must hold in
// later stages, whatever the state folder is called.
func TestLinksIntoTheWorkspaceHoldWhereTheStateFolderIsALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := filepath.Join(t.TempDir(), "state")
	if err := os.Symlink(w.state, link); err != nil {
		t.Fatal(err)
	}
	w.state = link
	build := script("build", "mkdir dist", "echo hello > dist/a", `ln -s "$(pwd -P)/dist/a" dist/b`)
	build.Outputs = []string{"dist"}
	use := script("use", "cat dist/b")
	use.Needs = []string{"build"}
	s := w.open(build, use)
	s.pass(use, s.pass(build))
	if said := s.said(); !strings.Contains(said, "hello") {
		t.Errorf("said %q", said)
	}
}

// An output is taken out of the stage's folder, and out of no other, wherever a link leads.
func TestAnOutputBehindALinkThatLeadsOutIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	stage := script("build", "ln -s '"+outside+"' dist")
	stage.Outputs = []string{"dist/precious"}
	s := w.open(stage)
	if result, err := s.Run(context.Background(), s.job(&stage)); err == nil || !strings.Contains(err.Error(), "dist/precious") {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("it was taken away: %v", err)
	}
}

// The app's own programs come from its workspace, by whatever name its folder is reached.
func TestProgramsOfTheAppAreNotOnThePathByAnotherNameOfItsFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(".gitignore", "node_modules\n")
	w.write("node_modules/.bin/own", "#!/bin/sh\necho the real one\n")
	if err := os.Chmod(filepath.Join(w.app, "node_modules/.bin/own"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "app")
	if err := os.Symlink(w.app, link); err != nil {
		t.Fatal(err)
	}
	w.extra = func(o *host.Options) {
		o.Environ = []string{"PATH=" + filepath.Join(link, "node_modules/.bin") + ":/bin:/usr/bin"}
	}
	stage := script("use", "own || echo not there")
	s := w.open(stage)
	s.pass(stage)
	if said := s.said(); !strings.Contains(said, "not there") {
		t.Errorf("said %q", said)
	}
}
