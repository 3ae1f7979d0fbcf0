package main

import "context"

// Check runs all stages and asks the gates of the build. It deploys nothing.
//
// +check
func (p *Penstock) Check(ctx context.Context) (string, error) {
	return p.said(ctx, "check", "--executor", "dagger", "--env", p.Env)
}

// Plan shows exactly what a deployment would change: code, bindings, variables, routes, pending migrations.
func (p *Penstock) Plan(ctx context.Context) (string, error) {
	return p.said(ctx, "plan", "--executor", "dagger", "--env", p.Env)
}

// Deploy takes the app through stages, gates and plan to the environment: migrations, upload without traffic, smoke, switch,
// smoke again. When a step fails after traffic was touched, the old version gets it back.
func (p *Penstock) Deploy(ctx context.Context) (string, error) {
	return p.said(ctx, "deploy", "--executor", "dagger", "--env", p.Env)
}

// Promote goes on with a run that waited for people, or takes a run to a further environment.
func (p *Penstock) Promote(
	ctx context.Context,
	// The run, by its id or the beginning of it
	run string,
	// A further environment; the run's own when it is left out
	// +optional
	to string,
) (string, error) {
	args := []string{"promote", run, "--executor", "dagger"}
	if to != "" {
		args = append(args, "--env", to)
	}
	return p.said(ctx, args...)
}

// Rollback gives all traffic of the environment back to an earlier version.
func (p *Penstock) Rollback(
	ctx context.Context,
	// The version to go back to, or the run that made it; what was live before when it is left out
	// +optional
	version string,
	// Go back with the data as it is, also when the old code may not work with it
	// +optional
	codeOnly bool,
) (string, error) {
	args := []string{"rollback", "--env", p.Env}
	if version != "" {
		args = append(args, "--to", version)
	}
	if codeOnly {
		args = append(args, "--code-only")
	}
	return p.said(ctx, args...)
}
