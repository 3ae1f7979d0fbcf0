package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"deps.dev/util/semver"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/executor/wholefile"
	"github.com/penstock-ci/penstock/pipelines"
)

// versionTimeout bounds asking a tool for its version. Corepack's tools may fetch themselves first.
const versionTimeout = 30 * time.Second

// tool is a program found on this machine.
type tool struct {
	path    string
	version string // "" when it does not say
}

// findTools looks up every tool of every stage and compares versions. All that is missing is named in one
// [engine.MissingToolsError].
func findTools(ctx context.Context, stages []pipelines.Stage, env *environment, cacheRoot, appRoot string) (map[string]tool, error) {
	users := map[pipelines.Tool][]string{}
	var wanted []pipelines.Tool
	for _, stage := range stages {
		for _, t := range stage.Tools {
			if users[t] == nil {
				wanted = append(wanted, t)
			}
			users[t] = append(users[t], stage.Name)
		}
	}
	versions := openVersionCache(filepath.Join(cacheRoot, "tools.json"))
	found := map[string]tool{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	asked := map[string]bool{}
	for _, want := range wanted {
		if asked[want.Name] {
			continue
		}
		asked[want.Name] = true
		asking.Go(func() {
			if t, ok := findTool(ctx, want.Name, env, versions, appRoot); ok {
				mu.Lock()
				found[want.Name] = t
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("look for the tools that the pipeline needs: %w", context.Cause(ctx))
	}
	// Not being able to keep versions costs the next run some time.
	_ = versions.save()
	var missing []engine.MissingTool
	for _, want := range wanted {
		t, ok := found[want.Name]
		fits, err := satisfies(t.version, want.Version)
		if ok && err == nil && fits {
			continue
		}
		gap := engine.MissingTool{Tool: want, Found: t.version, Stages: users[want], NextStep: installHint(want)}
		switch {
		case err != nil:
			gap.NextStep = err.Error()
		case ok && t.version == "":
			gap.Found = "unknown"
			gap.NextStep = "`" + want.Name + " --version` names no version; check that " + t.path + " works"
		}
		missing = append(missing, gap)
	}
	if len(missing) > 0 {
		return nil, &engine.MissingToolsError{Missing: missing}
	}
	return found, nil
}

// satisfies compares by npm's rules. A tool that does not say its version satisfies only a demand for none.
func satisfies(version, demand string) (bool, error) {
	if strings.TrimSpace(demand) == "" {
		return true, nil
	}
	constraint, err := semver.NPM.ParseConstraint(demand)
	if err != nil {
		return false, fmt.Errorf("%q is no npm version range; correct it where the app or penstock.yaml states it", demand)
	}
	return version != "" && constraint.Match(version), nil
}

func installHint(t pipelines.Tool) string {
	version := ""
	if t.Version != "" {
		version = " " + t.Version
	}
	switch t.Name {
	case "node":
		return "install Node.js" + version + ", for example with fnm, nvm or volta, and run again"
	case "npm", "npx":
		return "npm comes with Node.js: install Node.js, or update npm with `npm install --global npm`, and run again"
	case "pnpm", "yarn":
		return "run `corepack enable " + t.Name + "`, or install " + t.Name + version + ", and run again"
	default:
		return "install " + t.Name + version + ", make sure that it is on PATH, and run again"
	}
}

func findTool(ctx context.Context, name string, env *environment, versions *versionCache, appRoot string) (tool, bool) {
	vars := []string{"PATH=" + env.path}
	if env.exts != "" {
		vars = append(vars, "PATHEXT="+env.exts)
	}
	path, err := interp.LookPathDir(appRoot, expand.ListEnviron(vars...), name)
	if err != nil {
		return tool{}, false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return tool{}, false
	}
	info, err := os.Stat(real)
	if err != nil {
		return tool{}, false
	}
	// A version manager's shim is one file that stands for many versions, by folder or by setting.
	shim := slices.ContainsFunc([]string{"/shims/", "/.volta/", "/.asdf/", "/mise/", "/.proto/", "/corepack/"}, func(part string) bool {
		return strings.Contains(filepath.ToSlash(path), part) || strings.Contains(filepath.ToSlash(real), part)
	})
	stamp := fmt.Sprintf("%s %d %d", real, info.Size(), info.ModTime().UnixNano())
	if !shim {
		if version, ok := versions.get(name, stamp); ok {
			return tool{path, version}, true
		}
	}
	version := askVersion(ctx, path, env, appRoot)
	if !shim && version != "" {
		versions.put(name, stamp, version)
	}
	return tool{path, version}, true
}

var versionPattern = regexp.MustCompile(`\d+\.\d+(\.\d+)?(-[0-9A-Za-z.-]+)?`)

// askVersion runs "<tool> --version". "" when that does not end well.
func askVersion(ctx context.Context, path string, env *environment, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	home, err := os.MkdirTemp("", "penstock-home-")
	if err != nil {
		return ""
	}
	defer runfolder.RemoveAll(home)
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + env.path, "HOME=" + home, "CI=true", "NO_COLOR=1", "COREPACK_ENABLE_DOWNLOAD_PROMPT=0"}
	for name, value := range env.vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return versionPattern.FindString(first)
}

// versionCache keeps versions by the file that was asked.
type versionCache struct {
	path    string
	mu      sync.Mutex
	known   map[string]knownVersion // by tool's name
	changed bool
}

type knownVersion struct {
	Stamp   string `json:"stamp"`
	Version string `json:"version"`
}

func openVersionCache(path string) *versionCache {
	c := &versionCache{path: path, known: map[string]knownVersion{}}
	if text, err := os.ReadFile(path); err == nil {
		if json.Unmarshal(text, &c.known) != nil {
			c.known = map[string]knownVersion{}
		}
	}
	return c
}

func (c *versionCache) get(name, stamp string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[name]
	return known.Version, ok && known.Stamp == stamp
}

func (c *versionCache) put(name, stamp, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[name], c.changed = knownVersion{stamp, version}, true
}

func (c *versionCache) save() error {
	if !c.changed {
		return nil
	}
	text, err := json.Marshal(c.known)
	if err != nil {
		return errors.Join(errors.New("keep tools' versions"), err)
	}
	return wholefile.Write(c.path, text)
}
