//go:build unix

package daemon_test

import (
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
)

// TestWhatTheStarterInheritedIsNotHeld: penstock called under flock(1), or with its output read to the end, must not leave
// that lock or that pipe with a daemon that stays for hours.
func TestWhatTheStarterInheritedIsNotHeld(t *testing.T) {
	needWorkerd(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	inherited, err := syscall.Dup(int(write.Fd())) // as it came from a parent: not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	handle, err := daemon.Up(t.Context(), options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close(context.WithoutCancel(t.Context()))
	if err := syscall.Close(inherited); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody still has it: %v", err)
	}
}
