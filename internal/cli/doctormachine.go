package cli

import (
	"cmp"
	"context"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/pipelines"
)

// leastNode is the oldest Node that wrangler runs on.
const leastNode = 20

// versionTime bounds asking a tool for its version.
const versionTime = 20 * time.Second

// machine looks at what this machine needs for runs of the app in folder; contained says that stages have their tools in their
// images.
func machine(ctx context.Context, folder string, pipeline pipelines.Pipeline, contained, local bool, host *gatehost.Host, missing []engine.MissingTool) []doctorLine {
	lines := []doctorLine{tool(ctx, "git", 0, "install git: the source is what git tracks")}
	for _, name := range toolsOf(pipeline) {
		lacks := slices.IndexFunc(missing, func(one engine.MissingTool) bool { return one.Tool.Name == name })
		switch {
		case lacks >= 0:
			lines = append(lines, lackedTool(missing[lacks]))
		case contained:
			lines = append(lines, doctorLine{Line: name, State: lineAbsent, Detail: "stages run in containers, and it is in their images"})
		case name == "node":
			lines = append(lines, tool(ctx, name, leastNode, "install Node "+strconv.Itoa(leastNode)+" or later"))
		case name == "pnpm", name == "yarn":
			lines = append(lines, tool(ctx, name, 0, "run `corepack enable "+name+"`, or install it: the app's lock file is "+name+"'s"))
		default:
			lines = append(lines, tool(ctx, name, 0, "install it: stages of the pipeline call it"))
		}
	}
	workerd := doctorLine{Line: "workerd for --env local"}
	switch path, err := runtime.FindWorkerd(folder); {
	case err == nil:
		workerd.State, workerd.Detail = linePass, path
	case pipeline.Stage(pipelines.StageInstall) != nil:
		workerd.State, workerd.Detail = linePass, "it comes with wrangler, which the stage install brings"
	case local:
		workerd.State, workerd.Detail, workerd.Do = lineFail, err.Error(), "run `npm install` in the app's folder: wrangler brings it"
	default:
		workerd.State, workerd.Detail = lineAbsent, "only `--env local` needs it"
	}
	return append(lines, workerd, sandbox(ctx, host))
}

// lackedTool is a program that is not there, or in a version that the app does not take.
func lackedTool(missing engine.MissingTool) doctorLine {
	line := doctorLine{Line: missing.Tool.Name, State: lineFail, Detail: "it is not on the PATH", Do: missing.NextStep}
	if missing.Found != "" {
		line.Detail = "it is " + missing.Found + ", and the app wants " + cmp.Or(missing.Tool.Version, "any that says its version")
	}
	return line
}

// toolsOf are the programs that the stages call, each once.
func toolsOf(pipeline pipelines.Pipeline) []string {
	var names []string
	for _, stage := range pipeline.Stages {
		for _, tool := range stage.Tools {
			if !slices.Contains(names, tool.Name) {
				names = append(names, tool.Name)
			}
		}
	}
	return names
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
