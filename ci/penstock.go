package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
)

// goImage builds Penstock and is what it runs in: it has git, and the C library that Cloudflare's workerd wants.
const goImage = "golang:1.26.8-bookworm"

// Where things lie in the container.
const (
	sourceDir = "/source"
	stateDir  = "/state"
	binDir    = "/opt/penstock/bin"
	leftDir   = "/left"
)

// build makes penstock and its gate sets from this module's own repository: a layer that only Penstock's source changes.
func build(source *dagger.Directory) *dagger.Directory {
	return dag.Container().From(goImage).
		WithMountedCache("/go/pkg/mod", dag.CacheVolume("penstock-go-mod")).
		WithMountedCache("/root/.cache/go-build", dag.CacheVolume("penstock-go-build")).
		WithEnvVariable("CGO_ENABLED", "0").
		WithDirectory("/src", source).WithWorkdir("/src").
		WithExec([]string{"make", "build"}).
		Directory("/src/bin")
}

// container is a machine with Penstock, the app, and the state of earlier calls.
func (p *Penstock) container() *dagger.Container {
	c := dag.Container().From(goImage).
		WithDirectory(binDir, p.Programs).
		WithEnvVariable("PATH", binDir+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").
		WithEnvVariable("PENSTOCK_STATE_DIR", stateDir).
		WithEnvVariable("NO_COLOR", "1").
		// One call at a time has it: in it lie a ledger and a Cloudflare with its databases.
		WithMountedCache(stateDir, dag.CacheVolume("penstock-state-"+p.Ledger), dagger.ContainerWithMountedCacheOpts{Sharing: dagger.CacheSharingModeLocked}).
		WithDirectory(sourceDir, p.Source).
		WithWorkdir(path.Join(sourceDir, p.App))
	if p.DevVars != nil {
		c = c.WithMountedSecret(path.Join(sourceDir, p.App, ".dev.vars"), p.DevVars)
	}
	if p.CloudflareToken != nil {
		c = c.WithSecretVariable("CLOUDFLARE_API_TOKEN", p.CloudflareToken)
	}
	if p.CloudflareAccount != "" {
		c = c.WithEnvVariable("CLOUDFLARE_ACCOUNT_ID", p.CloudflareAccount)
	}
	if p.GithubToken != nil {
		c = c.WithSecretVariable("PENSTOCK_GITHUB_TOKEN", p.GithubToken)
	}
	return c
}

// run runs one command line in the container. It runs each time, since what it asks is the world; what its stages do comes
// from the engine's cache. It is in the same session as this module, so its stages are containers beside it.
func run(c *dagger.Container, args ...string) *dagger.Container {
	return c.
		WithEnvVariable("PENSTOCK_CALL", time.Now().UTC().Format(time.RFC3339Nano)).
		WithExec(append([]string{"penstock"}, args...), dagger.ContainerWithExecOpts{
			ExperimentalPrivilegedNesting: true, Expect: dagger.ReturnTypeAny,
		})
}

// said is what penstock answers to a command line.
func (p *Penstock) said(ctx context.Context, args ...string) (string, error) {
	return answer(ctx, p.container(), args...)
}

// answer is what penstock answers to a command line in a container of its own; an error when it did not end with done.
func answer(ctx context.Context, c *dagger.Container, args ...string) (string, error) {
	ran := run(c, args...)
	// The answer is the standard output: how the run went came on the other one, while it went.
	told, err := ran.Stdout(ctx)
	if err != nil {
		return "", err
	}
	return inWords(told), failure(ctx, ran, args, told)
}

// failure is nil when the command ended with done, else what it answered and complained of.
func failure(ctx context.Context, ran *dagger.Container, args []string, told string) error {
	code, err := ran.ExitCode(ctx)
	if err != nil || code == 0 {
		return err
	}
	complained, err := ran.Stderr(ctx)
	if err != nil {
		return err
	}
	why := told
	if at := strings.LastIndex("\n"+complained, "\npenstock: "); at >= 0 {
		why = strings.TrimRight(told, "\n") + "\n" + complained[at:]
	}
	return fmt.Errorf("penstock %s: exit code %d\n%s", strings.Join(args, " "), code, inWords(strings.Trim(why, "\n")))
}

// staged runs single stages and returns what they left.
func (p *Penstock) staged(ctx context.Context, stages ...string) (*dagger.Directory, error) {
	args := append([]string{"run", "--executor", "dagger", "--env", p.Env, "--into", leftDir}, stages...)
	ran := run(p.container(), args...)
	told, err := ran.Stdout(ctx)
	if err == nil {
		err = failure(ctx, ran, args, told)
	}
	if err != nil {
		return nil, err
	}
	return ran.Directory(leftDir), nil
}
