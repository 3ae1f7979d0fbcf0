// Package promotion makes a plan real in an environment: plan, lease, steps, and everything back when a step fails.
//
// It knows targets only through [Target] and the record only through [Journal]; it never imports an adapter.
package promotion
