package gates

import (
	"fmt"

	"golang.org/x/mod/semver"
)

// SDKVersion is the version of this package and of the contract that it states. It crosses the wire in both directions:
// a set says which one it was built with, and a host says which one it knows. docs/gates.md lists the pairs that work.
const SDKVersion = "0.1.0"

// minHost is the oldest host that a set built with this package can answer.
const minHost = "0.1.0"

// checkHost refuses a host that is too old to understand what this package answers.
func checkHost(set Set, hostVersion string) error {
	if compareVersions(hostVersion, minHost) >= 0 {
		return nil
	}
	return fmt.Errorf("gate set %s %s was built with gate SDK %s, which needs a penstock that knows at least %s; this one knows %q: "+
		"update penstock, or use an older release of the set", set.Name, set.Version, SDKVersion, minHost, hostVersion)
}

// compareVersions orders two semantic versions without a leading v. One that cannot be read comes before all others.
func compareVersions(a, b string) int { return semver.Compare("v"+a, "v"+b) }
