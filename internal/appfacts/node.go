package appfacts

import (
	"fmt"
	"strings"

	"deps.dev/util/semver"

	"github.com/penstock-ci/penstock/pipelines"
)

// pinnedNodes are the Node versions of container images, from the oldest: an app is tested with the oldest that it says it
// supports, which is also what most machines have.
var pinnedNodes = []string{"20.20.2", "22.23.3", "24.21.0"}

// chooseNode picks the image's Node by what the app and its locked wrangler demand. Without a demand the default stands.
func (r *reading) chooseNode() error {
	wanted := r.developersNode()
	var demands []string
	for _, demand := range []string{r.app.NodeRange, r.app.WranglerNodeRange} {
		if demand != "" {
			demands = append(demands, demand)
		}
	}
	if wanted == "" && len(demands) == 0 {
		return nil
	}
	best := ""
	for _, version := range pinnedNodes {
		ok, err := satisfies(version, demands)
		if err != nil {
			line, column := r.manifest.place("/engines/node")
			r.problem(pipelines.SeverityError, manifestName, line, column, fmt.Sprintf("engines.node: %v", err), "write an npm range, such as >=20.3")
			return nil
		}
		if !ok {
			continue
		}
		if strings.HasPrefix(version, wanted+".") {
			best = version
			break
		}
		if best == "" {
			best = version
		}
	}
	if best == "" {
		line, column := r.manifest.place("/engines/node")
		r.problem(pipelines.SeverityWarning, manifestName, line, column,
			fmt.Sprintf("none of the Node images (%s) satisfies %s", strings.Join(pinnedNodes, ", "), strings.Join(demands, " and ")),
			"stages on this machine are not concerned; for containers name an image in "+pipelines.FileName)
	}
	r.app.NodeVersion = best
	return nil
}

// developersNode is the major version in .nvmrc or .node-version, "" when there is none that is a number.
func (r *reading) developersNode() string {
	for _, name := range []string{".nvmrc", ".node-version"} {
		text, ok, err := r.text(name)
		if err != nil || !ok {
			continue
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(text)), "v"), ".")
		if major != "" && strings.Trim(major, "0123456789") == "" {
			return major
		}
	}
	return ""
}

func satisfies(version string, demands []string) (bool, error) {
	for _, demand := range demands {
		constraint, err := semver.NPM.ParseConstraint(demand)
		if err != nil {
			return false, err
		}
		if !constraint.Match(version) {
			return false, nil
		}
	}
	return true, nil
}
