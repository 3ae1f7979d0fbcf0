package promotion

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// MaxWaiver is the longest that a waiver can last: what should be so for ever belongs into the gate's config.
const MaxWaiver = 90 * 24 * time.Hour

// Waiver is a person's permission to pass one overridable gate that blocks, for one bundle in one environment, until it
// expires, as long as the gate objects to the same things. The verdict stays what it is.
type Waiver struct {
	ID          string      `json:"id"`
	App         string      `json:"app"`
	Environment string      `json:"environment"`
	Run         string      `json:"run"` // whose verdict it is about
	Gate        string      `json:"gate"`
	Phase       gates.Phase `json:"phase"`
	Bundle      string      `json:"bundle"`
	// Verdict is the fingerprint of what is waived.
	Verdict string `json:"verdict"`
	// Measured is what the gate measured: what is worse than that is not waived.
	Measured []gates.Measurement `json:"measured,omitempty"`
	Outcome  gates.Outcome       `json:"outcome"`
	Summary  string              `json:"summary"`
	Reason   string              `json:"reason"`
	By       event.Identity      `json:"by"`
	Time     time.Time           `json:"time"`
	Expires  time.Time           `json:"expires"`
	// Signature is an armored SSH signature over [Waiver.Signed]; "" when it is not signed.
	Signature string `json:"signature,omitempty"`
}

// Signed is the text that a signature covers: all of the waiver. Its form is part of every signature.
func (w Waiver) Signed() []byte {
	w.Signature, w.By = "", event.Identity{Name: w.By.Name}
	w.Time, w.Expires = w.Time.UTC(), w.Expires.UTC()
	text, err := json.Marshal(w)
	if err != nil {
		panic("promotion: a waiver does not encode: " + err.Error()) // its numbers came out of JSON
	}
	return append([]byte("penstock waiver 1\n"), text...)
}

// Counts says why the waiver does not count for a run under a policy ([*RefusedError]): the rules of the run that it is used
// in are others than those of the run whose verdict it was about, its signature is not that of whom it names, or, where only
// what is signed counts, it is not proven that somebody else began the run.
func (w Waiver) Counts(policy Policy, begun Beginning) error {
	if w.Expires.Sub(w.Time) > MaxWaiver {
		return &RefusedError{fmt.Sprintf("it lasts longer than %d days", int(MaxWaiver.Hours()/24)), "give another with --expires, such as 7d"}
	}
	if _, err := policy.clears(w.By, begun, w.Signed(), w.Signature); err != nil {
		return err
	}
	return policy.Proven(begun)
}

// Covers reports whether the waiver lets this verdict pass now.
func (w Waiver) Covers(environment, gate string, phase gates.Phase, enforcement pipelines.Enforcement, bundle string, verdict gates.Verdict, now time.Time) bool {
	return enforcement == pipelines.Overridable && bundle != "" && w.Bundle == bundle && w.Environment == environment &&
		w.Gate == gate && w.Phase == phase && w.Verdict == Fingerprint(verdict) && noWorse(w.Measured, verdict.Measurements) && now.Before(w.Expires)
}

// slack is by what share a time may be longer than the waived one and still count as the same: no two measured times are equal.
const slack = 0.1

// noWorse reports whether nothing that the gate judges by is worse than when it was waived. What keeps its limit was not
// objected to; what was not measured then was not waived.
func noWorse(waived, now []gates.Measurement) bool {
	for _, one := range now {
		if !judged(one) || keepsLimit(one) {
			continue
		}
		if !slices.ContainsFunc(waived, func(was gates.Measurement) bool {
			return was.Name == one.Name && was.Unit == one.Unit && asGood(was.Value, one)
		}) {
			return false
		}
	}
	return true
}

func judged(one gates.Measurement) bool { return one.Limit != nil || one.Better != "" }

func keepsLimit(one gates.Measurement) bool {
	return one.Limit != nil && (one.Better == "higher" && one.Value >= *one.Limit || one.Better == "lower" && one.Value <= *one.Limit)
}

// asGood is false for what cannot be compared.
func asGood(was float64, one gates.Measurement) bool {
	switch one.Better {
	case "higher":
		return one.Value >= was
	case "lower":
		if slices.Contains([]string{"ns", "us", "µs", "ms", "s"}, one.Unit) {
			was += slack * max(was, 0)
		}
		return one.Value <= was
	default:
		return one.Value == was
	}
}

// Check says why the waiver cannot be given ([*RefusedError]).
func (w Waiver) Check(enforcement pipelines.Enforcement, policy Policy, author *event.Identity) error {
	switch {
	case enforcement == pipelines.Mandatory:
		return &RefusedError{w.Gate + " is mandatory here, and cannot be waived", "mend what it found, or change its enforcement in penstock.yaml where everybody sees it"}
	case enforcement != pipelines.Overridable:
		return &RefusedError{w.Gate + " is " + string(enforcement) + ": it does not block", "nothing needs to be waived"}
	case w.Outcome.Allows():
		return &RefusedError{w.Gate + " let the run through", "nothing needs to be waived"}
	case w.Bundle == "":
		return &RefusedError{"run " + w.Run + " made no bundle, and a waiver holds for one bundle", "mend the stages first"}
	case strings.TrimSpace(w.Reason) == "":
		return &RefusedError{"a waiver needs a reason: it is what others will read", "give one with --reason"}
	case !w.Expires.After(w.Time) || w.Expires.Sub(w.Time) > MaxWaiver:
		return &RefusedError{fmt.Sprintf("a waiver lasts more than nothing and at most %d days", int(MaxWaiver.Hours()/24)), "give --expires, such as 7d"}
	}
	if why := policy.MayClear(w.By, author); why != "" {
		next := "set user.email in git, or say who you are with --as"
		if len(policy.Approvers) > 0 {
			next = "ask " + strings.Join(policy.others(author), " or ")
		}
		return &RefusedError{why, next}
	}
	return nil
}

// spanPart is one part of how long something takes, as gates write it: 12 ms, or each of 1 h 02 m, 1h2m.
const spanPart = `(?:[0-9]+(?:[.,][0-9]+)* ?(?:ns|us|µs|ms|s|m|min|h|d|(?:second|minute|hour|day)s?))`

// numbers are those of a verdict that measurements say better; times differ from one asking to the next, whatever is objected to.
var (
	numbers = regexp.MustCompile(`[0-9]+(?:[.,:][0-9]+)*`)
	times   = regexp.MustCompile(`\b(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?|` +
		spanPart + `(?: ?` + spanPart + `)*)\b`)
)

// Fingerprint names what a verdict objects to: its outcome and its findings, without where exactly in a file they stand and
// how long something took, and its summary where it has none. Numbers that the verdict's measurements give are left out too:
// those of the summary, and of a finding whose rule a measurement is named by. A gate that finds something new has another
// fingerprint.
func Fingerprint(verdict gates.Verdict) string {
	var objections []string
	for _, finding := range verdict.Findings {
		if finding.Level == gates.LevelNote {
			continue
		}
		counted := finding.Rule != "" && slices.ContainsFunc(verdict.Measurements, func(one gates.Measurement) bool {
			return judged(one) && (one.Name == finding.Rule || strings.HasPrefix(one.Name, finding.Rule+": ") || strings.HasPrefix(one.Name, finding.Rule+" of "))
		})
		objections = append(objections, strings.Join([]string{string(finding.Level), finding.Rule, finding.File, withoutNumbers(finding.Message, counted)}, "\x00"))
	}
	slices.Sort(objections)
	if len(objections) == 0 {
		objections = []string{withoutNumbers(verdict.Summary, slices.ContainsFunc(verdict.Measurements, judged))}
	}
	data, err := json.Marshal([]any{verdict.Outcome, objections})
	if err != nil {
		panic("promotion: strings do not encode: " + err.Error()) // json.Marshal cannot fail on them
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func withoutNumbers(text string, counted bool) string {
	text = times.ReplaceAllString(text, "#")
	if counted {
		text = numbers.ReplaceAllString(text, "#")
	}
	return text
}
