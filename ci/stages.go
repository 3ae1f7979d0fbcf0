package main

import (
	"context"

	"github.com/penstock-ci/penstock/ci/internal/dagger"
)

// Runs the app's tests. Returns their reports: JUnit, and coverage where the app measures it.
//
// +cache="never"
func (p *Penstock) Test(ctx context.Context) (*dagger.Directory, error) {
	return p.reports(ctx, "test")
}

// Runs the app's benchmarks. Returns their report.
//
// +cache="never"
func (p *Penstock) Bench(ctx context.Context) (*dagger.Directory, error) {
	return p.reports(ctx, "bench")
}

// Asks the registry for known vulnerabilities in the locked packages. Returns its answer.
//
// The folder is empty when the registry gave none: then nothing is known, and no gate takes that for a pass.
//
// +cache="never"
func (p *Penstock) Audit(ctx context.Context) (*dagger.Directory, error) {
	return p.reports(ctx, "audit")
}

// Checks the app's types.
//
// +cache="never"
func (p *Penstock) Typecheck(ctx context.Context) (string, error) {
	return p.said(ctx, "run", "typecheck", "--executor", "dagger", "--env", p.Env)
}

// Runs the app's linter.
//
// +cache="never"
func (p *Penstock) Lint(ctx context.Context) (string, error) {
	return p.said(ctx, "run", "lint", "--executor", "dagger", "--env", p.Env)
}

// Makes the bundle. Returns the very upload that wrangler would send.
//
// Tests, types and lint must have passed. No gate has judged it; check does that.
//
// +cache="never"
func (p *Penstock) Build(ctx context.Context) (*dagger.File, error) {
	left, err := p.staged(ctx, "bundle")
	if err != nil {
		return nil, err
	}
	return left.File("outputs/bundle/.penstock-bundle/worker.form"), nil
}

func (p *Penstock) reports(ctx context.Context, stage string) (*dagger.Directory, error) {
	left, err := p.staged(ctx, stage)
	if err != nil {
		return nil, err
	}
	// A stage may leave none, as an audit that the registry refused.
	return dag.Directory().WithDirectory("/", left).WithNewDirectory("reports/" + stage).Directory("reports/" + stage), nil
}
