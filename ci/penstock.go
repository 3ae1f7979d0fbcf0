package main

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
	"github.com/penstock-ci/penstock/ci/words"
)

// goImage builds Penstock and is what it runs in: it has git, and the C library that Cloudflare's workerd wants.
const goImage = "golang:1.26.8-bookworm"

// Where things lie in the container.
const (
	sourceDir = "/source"
	stateDir  = "/state"
	binDir    = "/opt/penstock/bin"
	leftDir   = "/left"
	keyFile   = "/run/penstock-key"
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

var pinned = regexp.MustCompile(`^(https?://[^#]+)#(sha256:[0-9a-f]{64})$`)

// unpacked are the programs of a release's archive, "URL#sha256:HEX". What deploys is taken by its content or not at all.
func unpacked(release string) (*dagger.Directory, error) {
	parts := pinned.FindStringSubmatch(release)
	if parts == nil {
		return nil, fmt.Errorf("--release %q is no address with a checksum: say https://…/penstock_linux_amd64.tar.gz#sha256:HEX, with the HEX of the .sha256 file beside the archive", release)
	}
	archive := dag.HTTP(parts[1], dagger.HTTPOpts{Checksum: parts[2]})
	return dag.Container().From(goImage).
		WithMountedFile("/release.tar.gz", archive).WithWorkdir(binDir).
		WithExec([]string{"tar", "-xzf", "/release.tar.gz"}).
		Directory(binDir), nil
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
	if p.Key != nil {
		c = c.WithMountedSecret(keyFile, p.Key)
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

// in is the environment of one call: the function's own, else the one for all of them.
func (p *Penstock) in(env string) string {
	if env != "" {
		return env
	}
	return p.Env
}

// run runs one command line in the container. It runs each time, since what it asks is the world; what its stages do comes
// from the engine's cache. It is in the same session as this module, so its stages are containers beside it.
func run(c *dagger.Container, args ...string) *dagger.Container {
	return c.
		WithEnvVariable(anew()).
		WithExec(append([]string{"penstock"}, args...), dagger.ContainerWithExecOpts{
			ExperimentalPrivilegedNesting: true, Expect: dagger.ReturnTypeAny,
		})
}

// anew is a variable that makes what comes behind it happen now: the engine has not seen it before.
func anew() (name, value string) { return "PENSTOCK_CALL", time.Now().UTC().Format(time.RFC3339Nano) }

// said is what penstock answers to a command line; an error when it did not end with done.
func (p *Penstock) said(ctx context.Context, args ...string) (string, error) {
	ran := run(p.container(), args...)
	// The answer is the standard output: how the run went came on the other one, while it went.
	told, err := ran.Stdout(ctx)
	if err != nil {
		return "", err
	}
	return words.Here(told), failure(ctx, ran, args, told)
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
	return fmt.Errorf("penstock %s: exit code %d\n%s", strings.Join(args, " "), code, words.Here(strings.Trim(why, "\n")))
}

// staged runs single stages and returns what they left.
func (p *Penstock) staged(ctx context.Context, env string, stages ...string) (*dagger.Directory, error) {
	args := append([]string{"run", "--executor", "dagger", "--env", p.in(env), "--into", leftDir}, stages...)
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
