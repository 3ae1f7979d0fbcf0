// Package ledger is the record of runs, verdicts and promotions: append-only events, each chained to the one before by its
// hash, and tables projected from them in the same transaction. It is one SQLite file with a small file beside it that
// holds the chain's head.
//
// Several processes may write to one ledger at the same time; the chain stays one line. A call that returned nil is on
// disk, except for what [Ledger.Observer] takes, which is on disk after its Close or after the next durable call. Output of
// stages is not recorded, and neither are secrets: no event has a field for one.
//
// What [Ledger.Verify] can tell without a network: a changed, removed or inserted event, tables that say other than the
// events do, and events cut off at the end, for the head beside the file names an event that is gone. What it cannot tell:
// that somebody who can write both files rewrote them from some event on, consistently. For that a head must be kept where
// they cannot write (a commit status, a release note): hand it to Verify.
package ledger
