package cli

import (
	"regexp"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/ledger"
)

// symptom is one row of the production guide's table of common issues, with what is known of its cause.
type symptom struct {
	Issue    string `json:"issue"`
	Seen     string `json:"seen"` // the words by which it was recognised
	Cause    string `json:"cause"`
	Solution string `json:"solution"`
}

// troubles is that table. Each row is recognised by what gates, steps and the run itself said.
var troubles = []struct {
	issue, cause, solution string
	sign                   *regexp.Regexp
}{
	{
		"high latency", "slow queries, cold paths, or a database far from the Worker",
		"check database queries, optimize hot paths; smart placement and read replicas shorten the way",
		regexp.MustCompile(`(?i)high latency|p95[^.;]{0,40}(?:above|over|exceed|more than)|response times? (?:>|above|over)|took longer than`),
	},
	{
		"memory errors", "the Worker holds more than its 128 MB; Cloudflare answers 1102 (the guide names 1015, which is also rate limiting)",
		"reduce memory usage: stream bodies, keep no large values in globals, optimize data structures",
		regexp.MustCompile(`(?i)\berror (?:code:? )?(?:1015|1102)\b|exceeded (?:its )?memory|memory (?:limit|usage high)|out of memory`),
	},
	{
		"rate limiting", "more requests in a time than Cloudflare, the app or a service behind it allows",
		"implement client-side retry with growing pauses; honour Retry-After; raise the limit where it is yours",
		regexp.MustCompile(`(?i)\b429\b|too many requests|rate.?limit(?:ed|s)? (?:exceeded|by|reached)`),
	},
	{
		"database locks", "a transaction that writes for long; D1 writes one at a time",
		"optimize transaction scope: fewer statements in a batch, no reads of whole tables between writes",
		regexp.MustCompile(`(?i)database is locked|SQLITE_BUSY|D1[^.;]{0,60}(?:timed? ?out|overloaded|long.running)|timeouts? on writes?`),
	},
	{
		"queue backlog", "messages come faster than the consumer takes them, or it fails and they come again",
		"scale queue consumers: larger batches, more concurrency; look into the dead letter queue",
		regexp.MustCompile(`(?i)queue[ _]?backlog|delayed processing|backlog of queue`),
	},
}

// symptomsOf recognises what is known in what a run said where it did not go well.
func symptomsOf(run ledger.Run) []symptom {
	var said []string
	for _, judged := range run.Gates {
		if judged.Verdict == nil || judged.Verdict.Outcome.Allows() || judged.Verdict.Outcome == gates.Inconclusive { // what nobody knows is no sign
			continue
		}
		said = append(said, judged.Verdict.Summary)
		for _, finding := range judged.Verdict.Findings {
			said = append(said, finding.Message, finding.Detail)
		}
	}
	for _, step := range run.Steps {
		said = append(said, step.Error)
	}
	if run.Result != nil && run.Result.ExitCode != int(ExitDone) {
		said = append(said, run.Result.Reason)
	}
	text := strings.Join(said, "\n")
	var known []symptom
	for _, trouble := range troubles {
		if seen := trouble.sign.FindString(text); seen != "" {
			known = append(known, symptom{trouble.issue, seen, trouble.cause, trouble.solution})
		}
	}
	return known
}
