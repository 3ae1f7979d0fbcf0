package host_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// version is a running version to ask.
func version(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(writer, "version 7 at %s", request.URL.Path)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestARunningVersionIsReachable shows that a gate which asks the running version reaches it, and nothing else that this
// machine can keep from it.
func TestARunningVersionIsReachable(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	confined := len(missing(t, h)) == 0

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
	attempts := []string{"tcp " + tcp.Addr().String(), "udp " + udp.LocalAddr().String(), "listen 127.0.0.1:0", "read /etc/resolv.conf"}

	for _, phase := range []gates.Phase{gates.PhasePromote, gates.PhaseBake} {
		verdict := ask(t, h, "good/prober", gates.Request{Phase: phase, Run: gates.Run{
			App: strings.Join(attempts, "\n"), URL: version(t).URL, PublicURL: "https://shop.example",
		}})
		if verdict.Outcome != gates.Pass || verdict.Summary != "version 7 at /who, public at https://shop.example" {
			t.Fatalf("in the phase %s: %+v", phase, verdict)
		}
		for i, attempt := range attempts {
			if finding := verdict.Findings[i]; confined && finding.Detail != "refused" {
				t.Errorf("in the phase %s, %s: %s", phase, attempt, finding.Detail)
			}
		}
	}
}

// TestOnlyWhoAsksSeesTheVersion shows that a gate without the need gets neither the address nor the network.
func TestOnlyWhoAsksSeesTheVersion(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	address := strings.TrimPrefix(version(t).URL, "http://")
	run := gates.Run{App: "tcp " + address, URL: "http://" + address, PublicURL: "https://shop.example"}
	if verdict := ask(t, h, "good/prober", gates.Request{Phase: gates.PhasePromote, Run: run}); verdict.Outcome != gates.Pass {
		t.Fatalf("%+v", verdict)
	}
	verdict := ask(t, h, "good/blind", gates.Request{Phase: gates.PhasePromote, Run: run})
	if len(verdict.Findings) != 1 || (verdict.Findings[0].Detail != "refused" && len(missing(t, h)) == 0) {
		t.Errorf("a gate that did not ask for it reaches the version: %+v", verdict)
	}
	echoed := ask(t, h, "good/echo", gates.Request{Run: run})
	if text := fmt.Sprint(echoed.Findings); strings.Contains(text, address+" VersionID") || !strings.Contains(text, "PublicURL:https://shop.example") {
		t.Errorf("what a gate is told that did not ask for the version: %s", text)
	}
}

func TestWithoutARunningVersion(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	for _, one := range []struct {
		phase     gates.Phase
		url, says string
	}{
		{gates.PhaseBuild, "", "there is none in the phase build"},
		{gates.PhaseBuild, "http://127.0.0.1:9", "there is none in the phase build"},
		{gates.PhasePlan, "http://127.0.0.1:9", "there is none in the phase plan"},
		{gates.PhasePromote, "", "the run told no address"},
		{gates.PhasePromote, "127.0.0.1:9", "is not the address of one"},
		{gates.PhasePromote, "file:///etc/passwd", "is not the address of one"},
		{gates.PhaseBake, "http://", "is not the address of one"},
	} {
		verdict := ask(t, h, "good/prober", gates.Request{Phase: one.phase, Run: gates.Run{URL: one.url}})
		if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, one.says) || !strings.Contains(verdict.NextStep, "promote") {
			t.Errorf("phase %s, address %q: %+v", one.phase, one.url, verdict)
		}
	}
	// Where nothing answers it is the gate's own word that counts, and it is no pass.
	verdict := ask(t, h, "good/prober", gates.Request{Phase: gates.PhasePromote, Run: gates.Run{URL: "http://127.0.0.1:9"}})
	if verdict.Outcome != gates.Error || !strings.Contains(verdict.Summary, "refused") {
		t.Errorf("nothing answers there: %+v", verdict)
	}
}

// TestConfinementSaysWhatItCannotBound shows that a person can learn how far a gate with the network is trusted.
func TestConfinementSaysWhatItCannotBound(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Options{Sets: []host.PluginRef{refTo(t, "good")}})
	if lacking := missing(t, h); len(lacking) > 0 {
		t.Skipf("this machine cannot confine: %s", strings.Join(lacking, "; "))
	}
	plain, err := h.Confinement(t.Context(), "good/pass")
	if err != nil || !slices.Contains(plain.Enforced, "network: none") || len(plain.Missing) > 0 {
		t.Errorf("a gate without the network: %+v, %v", plain, err)
	}
	prober, err := h.Confinement(t.Context(), "good/prober")
	if err != nil || slices.Contains(prober.Enforced, "network: none") || !slices.Contains(prober.Enforced, "network: no protocol but TCP") {
		t.Errorf("a gate that asks the running version: %+v, %v", prober, err)
	}
	for _, says := range []string{"the same ports of other hosts", "granted the running version may"} {
		if !strings.Contains(strings.Join(prober.Missing, "\n"), says) {
			t.Errorf("it is not told that it may reach %s: %q", says, prober.Missing)
		}
	}
	if _, err := h.Confinement(t.Context(), "good/nobody"); err == nil {
		t.Error("a gate that does not exist is confined")
	}
}
