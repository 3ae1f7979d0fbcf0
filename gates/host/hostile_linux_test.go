package host_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestAHostileGateGoesThroughNoBackDoor lets a gate try what Linux offers beside opening files and sockets, and what files can
// be told without being opened.
func TestAHostileGateGoesThroughNoBackDoor(t *testing.T) {
	dir, pid := t.TempDir(), os.Getpid()
	// Each of these would succeed without the sandbox, which is tried first; the others take a right that the tests may not have,
	// or would change the machine for whoever shares it.
	provable := []string{
		fmt.Sprintf("readlink /proc/%d/cwd", pid), fmt.Sprintf("limit-other %d", pid),
		"open-to-write FILE", "hard-link FILE", "write-by-link FILE", "chmod FILE", "fchmod FILE", "chown FILE", "utime FILE", "watch FILE", "watch " + dir,
		"truncate FILE", "rename FILE", "type-ahead x", "memory-file x", "shared-memory x", "stack-memory x", "start-itself x",
	}
	attempts := append(provable,
		fmt.Sprintf("read /proc/%d/mem", pid), fmt.Sprintf("read /proc/%d/root/etc/passwd", pid), fmt.Sprintf("list /proc/%d/fd", pid),
		fmt.Sprintf("read-memory %d", pid), fmt.Sprintf("readlink /proc/%d/exe", pid), fmt.Sprintf("ptrace %d", pid), fmt.Sprintf("take-descriptor %d", pid), "setxattr FILE",
		"terminal x", "io-uring x", "userfault x", "keyring x", "bpf x", "perf x", "namespace x", "mount x", "chroot x", "host-name x", "clock x", "shm x",
		"fork x", "fork-3 x", "start-copy x",
	)
	fresh := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("do-not-tell"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	scratch := t.TempDir()
	for _, attempt := range provable {
		kind, what, _ := strings.Cut(strings.ReplaceAll(attempt, "FILE", fresh("file")), " ")
		unconfined := exec.Command(built.path, "unconfined", kind, what)
		unconfined.Env = append(os.Environ(), "TMPDIR="+scratch)
		if said, err := unconfined.CombinedOutput(); err != nil {
			t.Errorf("%s does not succeed without a sandbox, so it proves nothing: %s", attempt, said)
		}
		if err := os.RemoveAll(filepath.Join(scratch, "hard")); err != nil {
			t.Fatal(err)
		}
	}

	// A descriptor that whoever started this process left open without knowing.
	leaked := fresh("leaked")
	fd, err := unix.Open(leaked, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", fmt.Sprintf("@penstock-host-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	attempts = append(attempts, fmt.Sprintf("inherited %d", info.Ino), "abstract-socket "+socket.Addr().String()[1:])

	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	if lacking := missing(t, h); len(lacking) > 0 {
		skipUnlessCI(t, strings.Join(lacking, "; "))
	}
	file := fresh("file")
	verdict := ask(t, h, "good/spy", gates.Request{Run: gates.Run{App: strings.ReplaceAll(strings.Join(attempts, "\n"), "FILE", file)}})
	if len(verdict.Findings) != len(attempts) {
		t.Fatalf("%+v", verdict)
	}
	for i, attempt := range attempts {
		if verdict.Findings[i].Detail != "refused" {
			t.Errorf("%s: %s", attempt, verdict.Findings[i].Detail)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "do-not-tell" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is now %v, %v", info, err)
	}
}

// TestAGrantedNetworkReachesNoSocketFile: who may connect to hosts could else talk to Docker, the user's SSH agent or the system's
// log, which listen on socket files.
func TestAGrantedNetworkReachesNoSocketFile(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pgt") //nolint:usetesting // t.TempDir's names are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	stream, datagram, packets := filepath.Join(dir, "stream"), filepath.Join(dir, "datagram"), filepath.Join(dir, "packets")
	for path, network := range map[string]string{stream: "unix", packets: "unixpacket"} {
		listener, err := net.Listen(network, path)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	provable := []string{"unix " + stream, "datagram " + datagram, "seqpacket " + packets, fmt.Sprintf("family %d", unix.AF_NETLINK)}
	for _, attempt := range provable {
		kind, what, _ := strings.Cut(attempt, " ")
		if said, err := exec.Command(built.path, "unconfined", kind, what).CombinedOutput(); err != nil {
			t.Errorf("%s does not succeed without a sandbox, so it proves nothing: %s", attempt, said)
		}
	}
	attempts := append(provable, "connect-inherited "+stream, "link-among-sockets "+stream, "move-among-sockets "+stream)
	app := strings.Join(attempts, "\n")

	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Hosts: []string{"127.0.0.1:1"}})
	if lacking := missing(t, h); len(lacking) > 0 {
		skipUnlessCI(t, strings.Join(lacking, "; "))
	}
	for _, one := range []struct {
		gate, granted string
		request       gates.Request
	}{
		{"good/spy", "nothing", gates.Request{Run: gates.Run{App: app}}},
		{"good/prober", "the running version", gates.Request{Phase: gates.PhasePromote, Run: gates.Run{App: app, URL: version(t).URL}}},
		{"good/traveller", "a host", gates.Request{Run: gates.Run{App: app}}},
	} {
		verdict := ask(t, h, one.gate, one.request)
		if len(verdict.Findings) != len(attempts) {
			t.Fatalf("granted %s: %+v", one.granted, verdict)
		}
		for i, attempt := range attempts {
			if verdict.Findings[i].Detail != "refused" {
				t.Errorf("granted %s, %s: %s", one.granted, attempt, verdict.Findings[i].Detail)
			}
		}
	}
}

// TestAGreedyGateIsEnded lets a gate take more and more of what no kernel bounds for an ordinary user.
func TestAGreedyGateIsEnded(t *testing.T) {
	t.Parallel()
	for what, says := range map[string]string{
		"disk":      "wrote more than 32 MiB",
		"unnamed":   "wrote more than 32 MiB", // files that were removed and are held open
		"files":     "made more than 1100 files",
		"processes": "started more than 8 processes",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Limits: host.Limits{Disk: 32 << 20, Files: 1100, Procs: 8}})
			if lacking := missing(t, h); len(lacking) > 0 {
				skipUnlessCI(t, strings.Join(lacking, "; "))
			}
			verdict := ask(t, h, "good/greedy", gates.Request{Run: gates.Run{App: what}, History: emptyHistory(t)})
			if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, says) {
				t.Errorf("%+v", verdict)
			}
			if verdict := ask(t, h, "good/pass", gates.Request{}); verdict.Outcome != gates.Pass {
				t.Errorf("afterwards: %+v", verdict)
			}
			if left := processesCalled("penstock-gates-lingerer"); what == "processes" && len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
		})
	}
}
