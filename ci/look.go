package main

import "context"

// Gates lists the gates that there are, with what each looks at.
//
// +cache="never"
func (p *Penstock) Gates(ctx context.Context) (string, error) { return p.said(ctx, "gates", "list") }

// History lists the runs in the ledger, newest first.
//
// +cache="never"
func (p *Penstock) History(ctx context.Context) (string, error) { return p.said(ctx, "history") }

// Doctor goes through the guide's list for the environment.
//
// What exists, what is configured, what works, and what to do about the rest.
//
// +cache="never"
func (p *Penstock) Doctor(ctx context.Context) (string, error) {
	return p.said(ctx, "doctor", "--env", p.Env)
}
