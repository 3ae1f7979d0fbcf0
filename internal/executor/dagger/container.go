package dagger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/toolcache"
	"github.com/penstock-ci/penstock/pipelines"
)

// leftOutput is what a stage left in the engine.
type leftOutput struct {
	Path string `json:"path"` // relative to the app's folder
	Dir  bool   `json:"dir"`
	ID   string `json:"id"` // of the engine's directory or file; good for the session
}

// container builds what runs the stage. What changes seldom comes first. mark is the first line of its
// output; another mark makes it another container for the engine.
func (s *Session) container(ctx context.Context, job engine.Job, set *inputs.Set, mark string) (*dagger.Container, error) {
	stage := job.Stage
	c := s.client.Container().From(stage.Image).WithUser("0:0")
	c = c.WithEnvVariable("HOME", base+"/home").WithEnvVariable("TMPDIR", base+"/tmp").
		WithEnvVariable("CI", "true").WithEnvVariable("NO_COLOR", "1").WithEnvVariable("PENSTOCK_REPORTS", reportsDir).
		WithEnvVariable("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0")
	for _, name := range sortedSet(append(slices.Clone(stage.Caches), "corepack")) {
		folder := cachesDir + "/" + name
		c = c.WithMountedCache(folder, s.client.CacheVolume("penstock-"+name))
		for _, variable := range toolcache.Variables(name) {
			c = c.WithEnvVariable(variable, folder)
		}
	}
	for _, name := range sortedKeys(stage.Env) {
		c = c.WithEnvVariable(name, stage.Env[name])
	}
	scripts, err := s.scripts(stage, mark)
	if err != nil {
		return nil, err
	}
	c = c.WithDirectory(scriptsDir, scripts).WithWorkdir(appDir)
	source, err := s.source(ctx, set)
	if err != nil {
		return nil, err
	}
	left, err := leftBy(job.Needs)
	if err != nil {
		return nil, err
	}
	for _, o := range left {
		if o.Dir && !mountable(o, left, set, stage) {
			c = c.WithDirectory(appDir+"/"+o.Path, s.client.LoadDirectoryFromID(dagger.DirectoryID(o.ID)))
		}
	}
	c = c.WithDirectory(appDir, source)
	for _, o := range left {
		switch {
		case !o.Dir:
			c = c.WithFile(appDir+"/"+o.Path, s.client.LoadFileFromID(dagger.FileID(o.ID)))
		case mountable(o, left, set, stage):
			c = c.WithMountedDirectory(appDir+"/"+o.Path, s.client.LoadDirectoryFromID(dagger.DirectoryID(o.ID)))
		}
	}
	for _, name := range stage.Secrets {
		if value, ok := job.Secrets[name]; ok {
			// The engine knows a secret by its name, so a new value is no reason to run a stage again.
			c = c.WithSecretVariable(name, s.client.SetSecret("penstock/"+s.pipeline.Name+"/"+name, value))
		}
	}
	if c, err = s.withEnv(c, job.Env); err != nil {
		return nil, err
	}
	return c.WithSecretVariable(wordVariable, s.client.SetSecret("penstock/session-word", s.word)).
		WithExec([]string{"sh", runFile, stage.Name}), nil
}

// hostAlias is the name by which a stage reaches services of the machine on which Penstock runs.
const hostAlias = "penstock-host"

// withEnv adds the variables of this run. An address of this machine in them, as the one by which smoke stages reach the
// version, would be the container's own: it becomes that of a tunnel to here.
func (s *Session) withEnv(c *dagger.Container, env map[string]string) (*dagger.Container, error) {
	ports := map[int]bool{}
	values := map[string]string{}
	for _, name := range sortedKeys(env) {
		values[name] = env[name]
		address, err := url.Parse(env[name])
		if err != nil || address.Port() == "" || !loopback(address.Hostname()) {
			continue
		}
		port, err := strconv.Atoi(address.Port())
		if err != nil {
			return nil, fmt.Errorf("the address in %s: %w", name, err)
		}
		ports[port] = true
		address.Host = net.JoinHostPort(hostAlias, address.Port())
		values[name] = address.String()
	}
	if len(ports) > 0 {
		var forwards []dagger.PortForward
		for _, port := range slices.Sorted(maps.Keys(ports)) {
			forwards = append(forwards, dagger.PortForward{Backend: port, Frontend: port, Protocol: dagger.NetworkProtocolTcp})
		}
		c = c.WithServiceBinding(hostAlias, s.client.Host().Service(forwards, dagger.HostServiceOpts{Host: "127.0.0.1"}))
	}
	for _, name := range sortedKeys(values) {
		c = c.WithEnvVariable(name, values[name])
	}
	return c, nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// leftBy lists the outputs of all that a stage needs.
func leftBy(needs []*engine.Result) ([]leftOutput, error) {
	var all []leftOutput
	for _, need := range needs {
		outputs, err := outputsOf(*need)
		if err != nil {
			return nil, err
		}
		all = append(all, outputs...)
	}
	return all, nil
}

func outputsOf(result engine.Result) ([]leftOutput, error) {
	if result.Handle == "" {
		return nil, nil
	}
	var outputs []leftOutput
	if err := json.Unmarshal([]byte(result.Handle), &outputs); err != nil {
		return nil, fmt.Errorf("the outputs of stage %s: %w", result.Stage, err)
	}
	return outputs, nil
}

// mountable reports whether an output can be mounted, which costs nothing, where a copy of thousands of packages would. It
// cannot where other files belong into the same folder, or where the stage's own outputs hold it.
func mountable(o leftOutput, left []leftOutput, set *inputs.Set, stage *pipelines.Stage) bool {
	for _, other := range left {
		if other.ID != o.ID && (below(other.Path, o.Path) || below(o.Path, other.Path)) {
			return false
		}
	}
	for _, file := range set.Files {
		if below(file.Path, o.Path) {
			return false
		}
	}
	for _, own := range stage.Outputs {
		if clean := path.Clean(own); clean != o.Path && below(o.Path, clean) {
			return false
		}
	}
	return true
}

// below reports whether a path is a folder, or lies in it.
func below(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

func sortedKeys(all map[string]string) []string { return slices.Sorted(maps.Keys(all)) }

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
