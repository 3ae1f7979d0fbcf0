package host

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFoldersThatASetShutsAreRemoved: a set may make folders into which nobody may look.
func TestFoldersThatASetShutsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "set")
	inner := filepath.Join(dir, "shut", "inner")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "file"), nil, 0o000); err != nil {
		t.Fatal(err)
	}
	for _, shut := range []string{inner, filepath.Dir(inner)} {
		if err := os.Chmod(shut, 0o100); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
