package main

import "context"

// Approves exactly what a run that waits would change now; void when anything in that changes.
//
// Say who approves with --as, and prove it with --key where the environment asks for proof.
//
// +cache="never"
func (p *Penstock) Approve(
	ctx context.Context,
	// The run, by its id or the beginning of it
	run string,
	// Why, for whoever looks back
	reason string,
) (string, error) {
	return p.said(ctx, p.by("approve", run, "--reason", reason)...)
}

// Rejects a run that waits: it is over.
//
// Say who rejects with --as, and prove it with --key where the environment asks for proof.
//
// +cache="never"
func (p *Penstock) Reject(
	ctx context.Context,
	// The run, by its id or the beginning of it
	run string,
	// Why, for whoever looks back
	reason string,
) (string, error) {
	return p.said(ctx, p.by("reject", run, "--reason", reason)...)
}

// Lets a run pass one gate that blocked it, for a reason and a time; promote goes on with it.
//
// Say who waives with --as, and prove it with --key where the environment asks for proof.
//
// +cache="never"
func (p *Penstock) Waive(
	ctx context.Context,
	// The run, by its id or the beginning of it
	run string,
	// The gate, as in quality/coverage
	gate string,
	// Why, for whoever looks back
	reason string,
	// How long it lasts, at most 90d
	// +default="7d"
	expires string,
) (string, error) {
	return p.said(ctx, p.by("waive", run, gate, "--reason", reason, "--expires", expires)...)
}

// by adds who acts to a command that records it.
func (p *Penstock) by(args ...string) []string {
	if p.As != "" {
		args = append(args, "--as", p.As)
	}
	if p.Key != nil {
		args = append(args, "--sign", keyFile)
	}
	return args
}
