// Takes a Cloudflare Worker from source to a gated production.
//
// The pipeline is fitted to the app by its package.json, wrangler config and penstock.yaml, and runs as `penstock` runs it:
// each stage in a container of its own image, gates that can say no, a plan, and a promotion that puts everything back
// when a step fails. What did not change comes from the engine's cache.
//
// Try it in an app's folder, without any account:
//
//	dagger call deploy --env local
//
// What all functions share comes before the function's name:
//
//	dagger call --cloudflare-token env:CLOUDFLARE_API_TOKEN deploy --env production
package main

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
)

// Penstock is the pipeline of one app.
type Penstock struct {
	// +private
	Source *dagger.Directory
	// +private
	App string
	// +private
	Programs *dagger.Directory
	// +private
	Env string
	// +private
	Ledger string
	// +private
	As string
	// +private
	Key *dagger.Secret
	// +private
	CloudflareAccount string
	// +private
	CloudflareToken *dagger.Secret
	// +private
	GithubToken *dagger.Secret
	// +private
	DevVars *dagger.Secret
}

// Takes a Cloudflare Worker from source to a gated production. What all functions have in common is said here.
func New(
	ctx context.Context,
	// The caller's folder.
	workspace *dagger.Workspace,
	// The app's repository, or its folder alone (then gates cannot look at the history); the caller's when it is left out
	// +optional
	// +ignore=["**/node_modules", "**/.wrangler"]
	source *dagger.Directory,
	// The app's folder within the source; the caller's current one when both are left out
	// +optional
	app string,
	// The environment, for functions that are given none; "local" is a Cloudflare in the engine and needs no account
	// +default="local"
	env string,
	// Cloudflare's API token, for environments there (env:CLOUDFLARE_API_TOKEN)
	// +optional
	cloudflareToken *dagger.Secret,
	// Cloudflare's account id, where the wrangler config does not say it
	// +optional
	cloudflareAccount string,
	// GitHub's token, to report to it (env:GITHUB_TOKEN)
	// +optional
	githubToken *dagger.Secret,
	// The app's secrets, as in wrangler's .dev.vars (file:.dev.vars)
	// +optional
	devVars *dagger.Secret,
	// The name of the ledger: the volume of the engine that keeps the record of runs, and the local Cloudflare's data
	// +default="default"
	ledger string,
	// Who acts, by the name that approvers go by, for the record and for approvals
	// +optional
	as string,
	// The SSH key that proves who acts (file:$HOME/.ssh/id_ed25519), where the environment asks for proof
	// +optional
	key *dagger.Secret,
	// Penstock's programs for Linux, as in a release's archive or in bin/ after make; built in the engine when they are left out
	// +optional
	programs *dagger.Directory,
	// The same from a release: its archive's address and checksum, as in https://…/penstock_linux_amd64.tar.gz#sha256:HEX
	// +optional
	release string,
	// Penstock's own source; always this module's
	// +defaultPath="/"
	// +ignore=["*", "!cmd", "!gates", "!internal", "!pipelines", "!plugins", "!tools", "!go.mod", "!go.sum", "!Makefile", "**/testdata", "**/*_test.go"]
	penstock *dagger.Directory,
) (*Penstock, error) {
	if source == nil {
		if app == "" {
			at, err := workspace.Path(ctx)
			if err != nil {
				return nil, err
			}
			app = strings.TrimPrefix(at, "/")
		}
		var err error
		if source, err = called(ctx, workspace, app); err != nil {
			return nil, err
		}
	}
	if programs == nil && release != "" {
		var err error
		if programs, err = unpacked(release); err != nil {
			return nil, err
		}
	}
	if programs == nil {
		// A toolchain is given the app's repository where it asks for its own.
		if own, err := penstock.Exists(ctx, "cmd/penstock"); err != nil {
			return nil, err
		} else if !own {
			return nil, errors.New("Dagger does not give a toolchain its own source: say --release or --programs, or --penstock with Penstock's repository, or use no toolchain and name the module with -m")
		}
		programs = build(penstock)
	}
	return &Penstock{
		Source: source, App: app, Programs: programs, Env: env, Ledger: ledger, As: as, Key: key,
		CloudflareAccount: cloudflareAccount, CloudflareToken: cloudflareToken, GithubToken: githubToken, DevVars: devVars,
	}, nil
}

// called is the repository from which the caller calls. Where there is no app it stays where it is: what needs one says so, and
// a folder without a repository may be somebody's whole home.
func called(ctx context.Context, workspace *dagger.Workspace, app string) (*dagger.Directory, error) {
	signs := []string{"package.json", "wrangler.json", "wrangler.jsonc", "wrangler.toml", "penstock.yaml"}
	for i, sign := range signs {
		signs[i] = path.Join(app, sign)
	}
	found, err := workspace.Directory("/", dagger.WorkspaceDirectoryOpts{Include: signs}).Entries(ctx)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return dag.Directory(), nil
	}
	// What git ignores stays where it is, secrets of this machine among it. What git tracks comes, whatever it is called: else
	// the commit looks changed, and a committed secret would be seen by no gate.
	return workspace.Directory("/", dagger.WorkspaceDirectoryOpts{Exclude: []string{"**/node_modules", "**/.wrangler"}, Gitignore: true}), nil
}
