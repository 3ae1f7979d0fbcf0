// Package wrangler reads an app's wrangler configuration as wrangler itself would: the same file, the same inheritance
// between the top level and the environments, and nothing dropped in silence.
//
// The rules are those of wrangler 4.86.0 (normalizeAndValidateConfig in its source). Keys that it knows and that this
// package does not type, and keys that nobody knows, are listed in [Worker.Other], so that whoever deploys can refuse
// what it cannot honour.
package wrangler
