package main

import "context"

// Runs all stages and asks the gates of the build. Deploys nothing.
//
// +check
// +cache="never"
func (p *Penstock) Check(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, "check", "--executor", "dagger", "--env", p.in(env))
}

// Shows exactly what a deployment would change.
//
// +cache="never"
func (p *Penstock) Plan(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, "plan", "--executor", "dagger", "--env", p.in(env))
}

// Applies the pending migrations, with everything around them, and leaves the code as it is.
//
// The data half of a deployment: stages, gates, approval of exactly these migrations, backup, migrations, smoke of what is
// live before and after. No version is uploaded and no traffic moves.
//
// +cache="never"
func (p *Penstock) Migrate(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
	// A SQL file in the app's folder to execute behind the migrations
	// +optional
	seed string,
	// Show the SQL and what the gates of the plan say, and change nothing
	// +optional
	dryRun bool,
) (string, error) {
	args := p.by("migrate", "--executor", "dagger", "--env", p.in(env))
	if seed != "" {
		args = append(args, "--seed", seed)
	}
	if dryRun {
		args = append(args, "--dry-run")
	}
	return p.said(ctx, args...)
}

// Smokes what is live: the environment's probes, the app's smoke stages, the gates that judge a running version.
//
// Nothing is deployed, migrated or put back.
//
// +cache="never"
func (p *Penstock) Smoke(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
	// Only this version of the current deployment, also one without traffic: its id, the beginning of it, or its number
	// +optional
	version string,
) (string, error) {
	args := p.by("smoke", "--executor", "dagger", "--env", p.in(env))
	if version != "" {
		args = append(args, "--version", version)
	}
	return p.said(ctx, args...)
}

// Takes the app through stages, gates and plan to the environment.
//
// Migrations, upload without traffic, smoke, switch, smoke again: when a step fails after traffic was touched, the old
// version gets it back.
//
// +cache="never"
func (p *Penstock) Deploy(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
) (string, error) {
	return p.said(ctx, p.by("deploy", "--executor", "dagger", "--env", p.in(env))...)
}

// Goes on with a run that waited for people, or takes a run to a further environment.
//
// +cache="never"
func (p *Penstock) Promote(
	ctx context.Context,
	// The run, by its id or the beginning of it
	run string,
	// A further environment; the run's own when it is left out
	// +optional
	env string,
) (string, error) {
	args := p.by("promote", run, "--executor", "dagger")
	if env != "" {
		args = append(args, "--env", env)
	}
	return p.said(ctx, args...)
}

// Gives all traffic of the environment back to an earlier version.
//
// +cache="never"
func (p *Penstock) Rollback(
	ctx context.Context,
	// The environment, when it is another than the one said before the function's name
	// +optional
	env string,
	// The version to go back to, or the run that made it; what was live before when it is left out
	// +optional
	version string,
	// Go back with the data as it is, also when the old code may not work with it
	// +optional
	codeOnly bool,
) (string, error) {
	args := []string{"rollback", "--env", p.in(env)}
	if version != "" {
		args = append(args, "--to", version)
	}
	if codeOnly {
		args = append(args, "--code-only")
	}
	return p.said(ctx, args...)
}
