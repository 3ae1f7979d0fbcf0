package main

import (
	"context"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
)

// Runs the app's tests. Returns their reports: JUnit, and coverage where the app measures it.
//
// +cache="never"
func (p *Penstock) Test(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (*dagger.Directory, error) {
	return p.reports(ctx, env, "test")
}

// Runs the app's benchmarks. Returns their report.
//
// +cache="never"
func (p *Penstock) Bench(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (*dagger.Directory, error) {
	return p.reports(ctx, env, "bench")
}

// Asks the registry for known vulnerabilities in the locked packages. Returns its answer.
//
// The folder is empty when the registry gave none: then nothing is known, and no gate takes that for a pass.
//
// +cache="never"
func (p *Penstock) Audit(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (*dagger.Directory, error) {
	return p.reports(ctx, env, "audit")
}

// Checks the app's types.
//
// +cache="never"
func (p *Penstock) Typecheck(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, "run", "typecheck", "--executor", "dagger", "--env", p.in(env))
}

// Runs the app's linter.
//
// +cache="never"
func (p *Penstock) Lint(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, "run", "lint", "--executor", "dagger", "--env", p.in(env))
}

// Makes the bundle. Returns the very upload that wrangler would send.
//
// Tests, types and lint must have passed. No gate has judged it; check does that.
//
// +cache="never"
func (p *Penstock) Build(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (*dagger.File, error) {
	left, err := p.staged(ctx, env, "bundle")
	if err != nil {
		return nil, err
	}
	return left.File("outputs/bundle/.penstock-bundle/worker.form"), nil
}

func (p *Penstock) reports(ctx context.Context, env, stage string) (*dagger.Directory, error) {
	left, err := p.staged(ctx, env, stage)
	if err != nil {
		return nil, err
	}
	// A stage may leave none, as an audit that the registry refused.
	return dag.Directory().WithDirectory("/", left).WithNewDirectory("reports/" + stage).Directory("reports/" + stage), nil
}
