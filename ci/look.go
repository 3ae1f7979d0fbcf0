package main

import (
	"context"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
)

// Lists the gates that there are, with what each looks at.
//
// +cache="never"
func (p *Penstock) Gates(ctx context.Context) (string, error) { return p.said(ctx, "gates", "list") }

// Lists the runs in the ledger, newest first, or shows one in full.
//
// +cache="never"
func (p *Penstock) History(
	ctx context.Context,
	// Only this run, in full: its id or the beginning of it
	// +optional
	run string,
) (string, error) {
	return p.about(ctx, run, "history")
}

// Says what a run waits for or was stopped by, who or what can clear it, and what to do.
//
// +cache="never"
func (p *Penstock) Why(
	ctx context.Context,
	// The run, by its id or the beginning of it; the newest when it is left out
	// +optional
	run string,
) (string, error) {
	return p.about(ctx, run, "why")
}

// about asks about one run, when one is named.
func (p *Penstock) about(ctx context.Context, run string, args ...string) (string, error) {
	if run != "" {
		args = append(args, run)
	}
	return p.said(ctx, args...)
}

// Goes through the production guide's checklists: each line with its state and what to do.
//
// Runs the stages, asks the gates that judge the build, the plan, the environment and the version that is live, and
// deploys nothing. An error when a line fails or is not known.
//
// +cache="never"
func (p *Penstock) Doctor(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, "doctor", "--executor", "dagger", "--env", p.in(env))
}

// Opens penstock where all functions run it, with the app, the ledger and the secrets, for every other command.
//
// "dagger call console terminal" is a shell there; "console with-exec --args penstock,status stdout" is one command.
//
// +cache="never"
func (p *Penstock) Console() *dagger.Container { return p.container().WithEnvVariable(anew()) }
