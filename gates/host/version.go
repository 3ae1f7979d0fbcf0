package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// versionHost returns the "host:port" at which the running version is asked, and whether the host is a name: then finding
// it takes DNS, and trusting it takes the system's certificates, as for any other network host.
func versionHost(address string) (host string, isName bool, err error) {
	if address == "" {
		return "", false, fmt.Errorf("%w: it asks the running version, and the run told no address of one", ErrNoVersion)
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return "", false, fmt.Errorf("%w: %q is not the address of one", ErrNoVersion, line(address, maxName))
	}
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	_, err = netip.ParseAddr(parsed.Hostname())
	return net.JoinHostPort(parsed.Hostname(), port), err != nil, nil
}

// publicHosts are the "host:port" at which an environment may be asked where everybody finds it; none without an address.
func publicHosts(address string) []string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return nil
	}
	hosts := []string{net.JoinHostPort(parsed.Hostname(), "80"), net.JoinHostPort(parsed.Hostname(), "443")}
	if parsed.Port() != "" {
		hosts = append(hosts, net.JoinHostPort(parsed.Hostname(), parsed.Port()))
	}
	return hosts
}

// Where the running version could be, the discard port of this machine, and where everybody could find it: nowhere
// (RFC 2606).
const (
	versionStandIn = "127.0.0.1:9"
	publicStandIn  = "public-address.invalid"
)

// Confinement says how a gate is confined on this machine once it is asked: as its set is in any case ([SetInfo]), or less
// when it asks for the network. It starts the set as for a question, and asks nothing.
func (h *Host) Confinement(ctx context.Context, gate string) (SandboxReport, error) {
	setName, gateName, _ := strings.Cut(gate, "/")
	set, err := h.find(setName)
	if err != nil {
		return SandboxReport{}, err
	}
	info, err := set.describe(ctx)
	if err != nil {
		return SandboxReport{}, err
	}
	description, err := info.gate(gateName)
	if err != nil {
		return SandboxReport{}, err
	}
	var granted grant
	if granted.hosts, granted.version, err = h.network(description, gates.Run{URL: "http://" + versionStandIn, PublicURL: "https://" + publicStandIn}); err != nil {
		return SandboxReport{}, fmt.Errorf("see how %s is confined: %w", gate, err)
	}
	running, err := set.acquire(ctx, granted)
	if err != nil {
		return SandboxReport{}, fmt.Errorf("see how %s is confined: %w", gate, err)
	}
	defer set.release(running, false)
	report := SandboxReport{Enforced: slices.Clone(running.runner.sandbox.Enforced), Missing: slices.Clone(running.runner.sandbox.Missing)}
	for _, lines := range [][]string{report.Enforced, report.Missing} {
		for i := range lines {
			lines[i] = strings.NewReplacer(versionStandIn, "the running version", publicStandIn, "the public address").Replace(lines[i])
		}
	}
	return report, nil
}
