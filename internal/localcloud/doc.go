// Package localcloud is a Cloudflare on this machine: the part of Cloudflare's v4 API that Penstock's target, its gates
// and Cloudflare's own wrangler call, and the edge that answers for the Workers uploaded through it.
//
// It is an independent reading of Cloudflare's API: it shares no code with the client under test (internal/target/cloudflare).
// Only package daemon and the tests of the Cloudflare target import it; everybody else talks HTTP to it.
//
// Every upload becomes a version in package store; every deployment is run by package runtime in real workerd processes.
// The API is strict: what it does not know is refused with Cloudflare's error for an unknown route, never answered with
// an empty success.
//
// What it does not show: propagation between data centres, CPU and memory limits, billing limits, WAF.
package localcloud
