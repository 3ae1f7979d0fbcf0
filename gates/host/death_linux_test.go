package host_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestNoOrphanOutlivesTheRun asks a gate that starts a process in a session of its own.
func TestNoOrphanOutlivesTheRun(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	if lacking := strings.Join(missing(t, h), "; "); strings.Contains(lacking, "processes") {
		skipUnlessCI(t, lacking)
	}
	mark := fmt.Sprintf("orphan-%d", os.Getpid())
	verdict := ask(t, h, "good/orphan", gates.Request{Run: gates.Run{ID: mark}, History: emptyHistory(t)})
	if verdict.Outcome != gates.Pass || verdict.Summary != "started" {
		t.Fatalf("%+v", verdict)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := processesCalled("penstock-gates-lingerer\x00" + mark); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestSetsDieWithTheirHost kills a host as kill -9 does, in the midst of a question.
func TestSetsDieWithTheirHost(t *testing.T) {
	t.Parallel()
	const scratchVariable, nameVariable = "PENSTOCK_HOST_TEST_SCRATCH", "PENSTOCK_HOST_TEST_NAME"
	if scratch, name := os.Getenv(scratchVariable), os.Getenv(nameVariable); scratch != "" {
		h := host.New(host.Options{Sets: []host.PluginRef{refTo(t, name)}, ScratchDir: scratch})
		h.Evaluate(t.Context(), name+"/slow", gates.Request{Phase: gates.PhaseBuild}, func(message string) { fmt.Println(message) })
		return
	}

	name := fmt.Sprintf("mortal-%d", os.Getpid())
	dying := exec.Command(os.Args[0], "-test.run=^TestSetsDieWithTheirHost$", "-test.v")
	dying.Env = append(os.Environ(), scratchVariable+"="+t.TempDir(), nameVariable+"="+name)
	output, err := dying.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(output); scanner.Scan() && !strings.Contains(scanner.Text(), "step"); {
	}
	if running := processesCalled(host.BinaryPrefix + name); len(running) != 1 {
		t.Errorf("while the host lives: %v", running)
	}
	if err := dying.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dying.Wait() // it says that it was killed
	for range 100 {
		if len(processesCalled(host.BinaryPrefix+name)) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("outlived its host: %v", processesCalled(host.BinaryPrefix+name))
}

// emptyHistory is a view of a history without commits. Who is granted one may start git, and so any process.
func emptyHistory(t *testing.T) *gates.History {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "history")
	if err := os.MkdirAll(filepath.Join(dir, "objects", "info"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &gates.History{Dir: dir}
}

// processesCalled returns the ids of the processes whose arguments, joined by zero bytes, begin so.
func processesCalled(arguments string) []int {
	var found []int
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, entry := range entries {
		text, err := os.ReadFile(entry) // one that has gone meanwhile cannot be read
		if err == nil && strings.HasPrefix(string(text), arguments+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
			found = append(found, pid)
		}
	}
	return found
}
