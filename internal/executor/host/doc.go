// Package host runs stages as processes on this machine.
//
// Every stage gets a fresh folder that holds its declared inputs from the source snapshot and the outputs of the stages
// that it needs, and nothing else: a file that was not declared is simply not there. That keeps stages apart and makes
// the cache honest; it is no sandbox against a program that means harm, which can still reach whatever its user can.
//
// What lies where, below the state folder:
//
//	work/<run>/<stage>/  workspaces and homes; gone when the run ends, swept by a later run when it died
//	runs/<run>/          logs and reports; kept for people
//	cache/stages/        results by key
//	cache/blobs/         their logs and reports
//	cache/trees/         outputs by digest
//	cache/inputs/        listings of inputs by digest, to explain what changed
//	cache/last/          what each app's stages ran with last
//	caches/<name>/       the package managers' own caches
//
// Commands are interpreted in this process by a POSIX shell (mvdan.cc/sh) with -e -u -o pipefail, so that they mean the
// same on every platform and a builtin costs no process. Programs run in process groups of their own and are interrupted,
// killed and searched for by a mark in their environment; a minder process does the same when this process is killed.
package host
