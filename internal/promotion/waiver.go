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
	Verdict string         `json:"verdict"`
	Outcome gates.Outcome  `json:"outcome"`
	Summary string         `json:"summary"`
	Reason  string         `json:"reason"`
	By      event.Identity `json:"by"`
	Time    time.Time      `json:"time"`
	Expires time.Time      `json:"expires"`
	// Signature is the place of a signature, as in [Decision].
	Signature string `json:"signature,omitempty"`
}

// Covers reports whether the waiver lets this verdict pass now.
func (w Waiver) Covers(environment, gate string, phase gates.Phase, enforcement pipelines.Enforcement, bundle string, verdict gates.Verdict, now time.Time) bool {
	return enforcement == pipelines.Overridable && bundle != "" && w.Bundle == bundle && w.Environment == environment &&
		w.Gate == gate && w.Phase == phase && w.Verdict == Fingerprint(verdict) && now.Before(w.Expires)
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

// numbers differ from one asking to the next (milliseconds, times); what is objected to does not.
var numbers = regexp.MustCompile(`[0-9]+(?:[.,:][0-9]+)*`)

// Fingerprint names what a verdict objects to: its outcome and its findings, without where exactly in a file they stand, and
// its summary where it has none, both without their numbers. A gate that finds something new has another fingerprint.
func Fingerprint(verdict gates.Verdict) string {
	var objections []string
	for _, finding := range verdict.Findings {
		if finding.Level == gates.LevelNote {
			continue
		}
		objections = append(objections, strings.Join([]string{string(finding.Level), finding.Rule, finding.File, numbers.ReplaceAllString(finding.Message, "#")}, "\x00"))
	}
	slices.Sort(objections)
	if len(objections) == 0 {
		objections = []string{numbers.ReplaceAllString(verdict.Summary, "#")}
	}
	data, err := json.Marshal([]any{verdict.Outcome, objections})
	if err != nil {
		panic("promotion: strings do not encode: " + err.Error()) // json.Marshal cannot fail on them
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
