package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTheCopyCannotBeChanged writes to the verified copy as an attacker with the same user would: by its descriptor.
func TestTheCopyCannotBeChanged(t *testing.T) {
	t.Parallel()
	content := []byte("any bytes at all\n")
	path := filepath.Join(t.TempDir(), "penstock-gates-x")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(content)
	copied, err := verify(PluginRef{Set: "x", Path: path, Pin: Pin{Set: "x", SHA256: hex.EncodeToString(digest[:])}}, t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.close()
	if copied.folder != "" {
		t.Skip("this system has no memory files that can be sealed")
	}
	if err := os.WriteFile(copied.path, []byte("changed"), 0o700); err == nil {
		t.Error("it was written to")
	}
	if err := os.Truncate(copied.path, 1); err == nil {
		t.Error("it was cut")
	}
	if now, err := os.ReadFile(copied.path); err != nil || string(now) != string(content) {
		t.Errorf("it is now %q, %v", now, err)
	}
}

// TestAPrivateFileServesToo starts a set from a file, as where there are no memory files.
func TestAPrivateFileServesToo(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	copied, err := newFileImage("penstock-gates-good", scratch)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.Open(os.Getenv("PENSTOCK_HOST_TEST_SETS"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := copyAndHash(copied.file, source, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := copied.seal(); err != nil {
		t.Fatal(err)
	}
	defer copied.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	running, err := launch(ctx, "good", copied, scratch, grant{}, Limits{}.orDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := running.describe(ctx, PluginRef{Set: "good"}); err != nil {
		t.Error(err)
	}
	if err := running.stop(ctx); err != nil {
		t.Error(err)
	}
}
