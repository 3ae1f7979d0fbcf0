package cli

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"

	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// leastNode is the oldest Node that wrangler runs on.
const leastNode = 20

// versionTime bounds asking a tool for its version.
const versionTime = 20 * time.Second

// machine looks at what this machine needs for runs of the app in folder; installs says that a stage brings wrangler,
// contained that stages have their tools in their images.
func machine(ctx context.Context, folder string, installs, contained, local bool, host *gatehost.Host) []doctorLine {
	lines := []doctorLine{tool(ctx, "git", 0, "install git: the source is what git tracks")}
	if contained {
		const why = "stages run in containers, and it is in their images"
		lines = append(lines, doctorLine{Line: "node", State: lineAbsent, Detail: why}, doctorLine{Line: "npm", State: lineAbsent, Detail: why})
	} else {
		lines = append(lines,
			tool(ctx, "node", leastNode, "install Node "+strconv.Itoa(leastNode)+" or later"),
			tool(ctx, "npm", 0, "install npm, which comes with Node"))
	}
	workerd := doctorLine{Line: "workerd for --env local"}
	switch path, err := runtime.FindWorkerd(folder); {
	case err == nil:
		workerd.State, workerd.Detail = linePass, path
	case installs:
		workerd.State, workerd.Detail = linePass, "it comes with wrangler, which the stage install brings"
	case local:
		workerd.State, workerd.Detail, workerd.Do = lineFail, err.Error(), "run `npm install` in the app's folder: wrangler brings it"
	default:
		workerd.State, workerd.Detail = lineAbsent, "only `--env local` needs it"
	}
	return append(lines, workerd, sandbox(ctx, host))
}

func tool(ctx context.Context, name string, least int, next string) doctorLine {
	line := doctorLine{Line: name, Do: next}
	path, err := exec.LookPath(name)
	if err != nil {
		line.State, line.Detail = lineFail, "it is not on the PATH"
		return line
	}
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "--version").Output()
	version, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	if err != nil || version == "" {
		line.State, line.Detail = lineUnknown, "it does not say its version"
		return line
	}
	line.State, line.Detail = linePass, strings.TrimPrefix(version, name+" version ")
	if major, ok := majorOf(line.Detail); least > 0 && (!ok || major < least) {
		line.State = lineFail
		return line
	}
	line.Do = ""
	return line
}

// majorOf reads 20 from v20.11.1.
func majorOf(version string) (int, bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	major, err := strconv.Atoi(first)
	return major, err == nil
}

// sandbox says how well gates are confined on this machine.
func sandbox(ctx context.Context, host *gatehost.Host) doctorLine {
	line := doctorLine{Line: "sandbox of gates", State: lineUnknown, Do: "`penstock gates list` says what is wrong with the sets"}
	sets := host.Sets()
	if len(sets) == 0 {
		line.Detail = "there is no gate set to try"
		return line
	}
	info, err := host.DescribeSet(ctx, sets[0])
	switch {
	case err != nil:
		line.Detail = err.Error()
	case len(info.Sandbox.Missing) > 0:
		line.State, line.Detail = lineWarn, strings.Join(info.Sandbox.Missing, "; ")
		line.Do = "lock only gate sets of others that you trust, or use a newer Linux"
	default:
		line.State, line.Detail, line.Do = linePass, strings.Join(info.Sandbox.Enforced, "; "), ""
	}
	return line
}
