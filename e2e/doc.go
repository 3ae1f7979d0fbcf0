// Package e2e plays Penstock's story against the built binaries, as a person would: real npm, real wrangler, real workerd,
// real signals. It runs in the slow tier: `make test-slow`.
package e2e
