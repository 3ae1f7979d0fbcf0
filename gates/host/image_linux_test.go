package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	needSealed(t, copied)
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

// TestAStartWritesOverNoImage puts the image right after the highest stream, where the child of os.StartProcess puts a pipe of
// its own: to execute that was "permission denied".
func TestAStartWritesOverNoImage(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), BinaryPrefix+"good")
	if err := os.Link(os.Getenv("PENSTOCK_HOST_TEST_SETS"), binary); err != nil {
		t.Fatal(err)
	}
	ref, err := Trusting(binary)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := verify(ref, t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.close()
	needSealed(t, copied)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	const free = 700 // no other test comes so far
	dup := func(file *os.File, lowest int) *os.File {
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), file.Name())
	}
	stream := dup(null, free)
	defer stream.Close()
	after := int(stream.Fd()) + 1
	moved := &image{name: copied.name, file: dup(copied.file, after), path: fmt.Sprintf("/proc/self/fd/%d", after)}
	defer moved.file.Close()
	if int(moved.file.Fd()) != after {
		t.Fatalf("descriptor %d is in use", after)
	}
	process, err := startProcess(moved, nil, t.TempDir(), []*os.File{stream, null, null}, false, &SandboxReport{})
	if err != nil {
		t.Fatal(err)
	}
	killTree(process)
	if _, err := process.Wait(); err != nil {
		t.Error(err)
	}
}

// needSealed leaves out what a kernel without memory files cannot show: there a file in a private folder is executed. In CI, whose
// machines have them, it is a failure.
func needSealed(t *testing.T, copied *image) {
	t.Helper()
	switch {
	case copied.folder == "":
	case os.Getenv("CI") != "":
		t.Fatal("this machine of CI has no memory files that can be sealed")
	default:
		t.Skip("this kernel has no memory files that can be sealed, so a file in a private folder is executed instead")
	}
}
