package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestEveryDependencyHasItsReason holds docs/deps.md against go.mod: each module that is asked for directly has a row with
// its version and a reason, and no row is about a module that is gone.
func TestEveryDependencyHasItsReason(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "deps.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{}
	for _, line := range strings.Split(string(page), "\n") {
		if cells := strings.Split(strings.Trim(line, "| "), " | "); len(cells) >= 3 && strings.Contains(cells[0], ".") {
			told[cells[0]] = cells[1:]
		}
	}
	for _, required := range module.Require {
		if required.Indirect {
			continue
		}
		row, found := told[required.Mod.Path]
		switch {
		case !found:
			t.Errorf("docs/deps.md has no row for %s", required.Mod.Path)
		case row[0] != required.Mod.Version:
			t.Errorf("docs/deps.md says %s of %s, go.mod %s", row[0], required.Mod.Path, required.Mod.Version)
		case len(row[1]) < 10:
			t.Errorf("docs/deps.md gives no reason for %s", required.Mod.Path)
		}
		delete(told, required.Mod.Path)
	}
	for path := range told {
		t.Errorf("docs/deps.md has a row for %s, which go.mod does not ask for", path)
	}
}
