package host_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// TestAHostileGateReachesNothing lets a gate try what a stranger's code would. Each attempt would succeed outside of the
// sandbox: the test does every one of them itself first.
func TestAHostileGateReachesNothing(t *testing.T) {
	// Penstock keeps the folders of gates in its own, beside the ledger, and a gate knows where it is.
	state := t.TempDir()
	ledger := filepath.Join(state, "ledger.db")
	if err := os.WriteFile(ledger, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, ScratchDir: filepath.Join(state, "gates")})
	if lacking := missing(t, h); len(lacking) > 0 {
		t.Skipf("this machine cannot confine: %s", strings.Join(lacking, "; "))
	}
	t.Setenv("DEPLOY_TOKEN", "do-not-tell")

	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	socket := filepath.Join(dir, "s")
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()

	attempts := []string{
		"read " + secret, "read /etc/passwd", "read /proc/self/environ", fmt.Sprintf("read /proc/%d/environ", os.Getpid()), "read " + os.Args[0],
		"read " + ledger, "write " + ledger, "list " + state, "list " + filepath.Join(state, "gates"),
		"list " + dir, "list /", "list /tmp", "list " + home(t),
		"write " + filepath.Join(dir, "new"), "write " + secret,
		"run /bin/true",
		fmt.Sprintf("signal %d", os.Getpid()),
		"tcp " + tcp.Addr().String(), "udp " + udp.LocalAddr().String(), "unix " + socket, "listen 127.0.0.1:0",
		"cwd", "stdin",
	}
	verdict := ask(t, h, "good/spy", gates.Request{
		Run:     gates.Run{App: strings.Join(append(attempts, "scratch", "env"), "\n")},
		Secrets: map[string]string{"TOKEN": "do-not-tell"},
	})
	if len(verdict.Findings) != len(attempts)+2 {
		t.Fatalf("%+v", verdict)
	}
	for i, attempt := range attempts {
		if finding := verdict.Findings[i]; finding.Detail != "refused" {
			t.Errorf("%s: %s", attempt, finding.Detail)
		}
	}
	if scratch := verdict.Findings[len(attempts)]; scratch.Detail != "done" {
		t.Errorf("its own scratch folder: %s", scratch.Detail)
	}
	environment := verdict.Findings[len(attempts)+1].Detail
	if strings.Contains(environment, "DEPLOY_TOKEN") || strings.Contains(environment, "PATH=") || !strings.Contains(environment, "GOMEMLIMIT=") {
		t.Errorf("its environment:\n%s", environment)
	}
}

// TestAGrantedHostIsReachable is the other side: what was asked for and granted works.
func TestAGrantedHostIsReachable(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[string]string{"": "permission denied", "127.0.0.1:1": "connection refused"} {
		h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Hosts: []string{allowed}})
		if allowed == "" && len(missing(t, h)) > 0 {
			continue
		}
		if verdict := ask(t, h, "good/network", gates.Request{}); !strings.Contains(verdict.Summary, want) {
			t.Errorf("allowed %q: %+v", allowed, verdict)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}, Limits: host.Limits{Memory: 512 << 20}})
	if lacking := strings.Join(missing(t, h), "; "); strings.Contains(lacking, "memory") {
		skipUnlessCI(t, lacking)
	}
	verdict := ask(t, h, "good/hungry", gates.Request{})
	if verdict.Outcome != gates.Error || !strings.Contains(fmt.Sprint(verdict.Findings), "out of memory") {
		t.Errorf("%+v", verdict)
	}
}

func home(t *testing.T) string {
	t.Helper()
	dir, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// skipUnlessCI leaves out what this kernel cannot do, and says what. In CI, whose machines can, it is a failure: a sandbox
// that nobody tried must not count as one that holds.
func skipUnlessCI(t *testing.T, lacking string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(lacking)
	}
	t.Skip(lacking)
}
