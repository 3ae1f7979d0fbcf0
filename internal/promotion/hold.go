package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/penstock-ci/penstock/internal/event"
)

// ErrRefused is wrapped when a decision or a waiver does not count.
var ErrRefused = errors.New("refused")

// RefusedError says why a decision or a waiver does not count, and what would.
type RefusedError struct {
	What     string
	NextStep string
}

// Error says why.
func (e *RefusedError) Error() string { return e.What }

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// OvertakenError says that a run must not go on, because a newer one has passed it.
type OvertakenError struct {
	Run, Environment, Newer string
	How                     string // "was promoted" or "waits"
}

// Error names the newer run.
func (e *OvertakenError) Error() string {
	return fmt.Sprintf("run %s is superseded: run %s to %s is newer and %s", e.Run, e.Newer, e.Environment, e.How)
}

// Hold is a run that waits for people, a window or a gate: everything that is needed to go on with it, on any later day and
// without the process that began it. Bundle and source are kept by their digests, beside the ledger.
type Hold struct {
	Run         string `json:"run"`
	Promotion   string `json:"promotion"` // the id under which it will be promoted
	App         string `json:"app"`
	Environment string `json:"environment"`
	// Plan is the digest that decisions are bound to; "" while gates of the build wait, and there is no plan yet. Planned is
	// what it covers.
	Plan    string          `json:"plan,omitempty"`
	Planned json.RawMessage `json:"planned,omitempty"`
	Bundle  string          `json:"bundle"`
	Source  string          `json:"source"`
	Policy  Policy          `json:"policy"`
	// Author began the run; nil when that is not known.
	Author *event.Identity `json:"author,omitempty"`
	// Beginning is the author's signature over [Beginning.Signed]; "" when they did not sign.
	Beginning string    `json:"beginning,omitempty"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires"`
	// Voided says what made an earlier approval of this run void; "" when nothing did.
	Voided string `json:"voided,omitempty"`
}

// Begun is how the run began.
func (h Hold) Begun() Beginning {
	return Beginning{Run: h.Run, App: h.App, Environment: h.Environment, Source: h.Source, By: h.Author, Signature: h.Beginning}
}

// Decision is one person's yes or no to one plan of one run. It counts for no other plan, and for no other run with the same
// plan.
type Decision struct {
	ID      string         `json:"id"`
	Run     string         `json:"run"`
	Plan    string         `json:"plan"`
	Approve bool           `json:"approve"`
	By      event.Identity `json:"by"`
	Reason  string         `json:"reason"`
	Time    time.Time      `json:"time"`
	// Signature is an armored SSH signature over [Decision.Signed]; "" when it is not signed.
	Signature string `json:"signature,omitempty"`
}

// Signed is the text that a signature covers. Its form is part of every signature: a change voids them.
func (d Decision) Signed() []byte {
	word := "reject"
	if d.Approve {
		word = "approve"
	}
	return fmt.Appendf(nil, "penstock decision 1\n%s\nrun %s\nplan %s\nby %s\nreason %q\n", word, d.Run, d.Plan, d.By.Name, d.Reason)
}

// Held is a hold, where it stands, and what was decided about it.
type Held struct {
	Hold
	// State is Gating, AwaitingApproval or Approved while it waits, and else how that ended.
	State     Phase      `json:"state"`
	Reason    string     `json:"reason,omitempty"` // why it does not wait any more
	Decisions []Decision `json:"decisions,omitempty"`
}

// StateAt is the state at a time: a run that waited too long has expired, whether or not anybody wrote that down.
func (h Held) StateAt(now time.Time) Phase {
	if h.State.Waits() && !now.Before(h.Expires) {
		return Expired
	}
	return h.State
}

// Standing is what the decisions come to.
type Standing struct {
	Approved bool
	Given    []Decision // the approvals that count, one for each person
	Needed   int
	// Unproven says that one more is needed, because it is not proven who began the run.
	Unproven bool
	Rejected *Decision
}

// Missing is how many approvals there must still be.
func (s Standing) Missing() int { return max(s.Needed-len(s.Given), 0) }

// Standing counts the decisions that hold for the plan. Each is judged again here, whatever the ledger took: one that is
// about another plan or run, not by an approver, by the author, or the second of a person does not count. With signers a
// person is a key: two names that share one are the same.
func (h Held) Standing(plan string) Standing {
	var standing Standing
	var keys []ssh.PublicKey
	standing.Needed, standing.Unproven = h.Policy.need(h.Begun())
	for _, decision := range h.Decisions {
		if decision.Run != h.Run || decision.Plan != plan || plan == "" {
			continue
		}
		if !decision.Approve {
			standing.Rejected = &decision
			continue
		}
		key, err := h.Policy.clears(decision.By, h.Begun(), decision.Signed(), decision.Signature)
		again := slices.ContainsFunc(standing.Given, func(given Decision) bool { return given.By.Is(decision.By.Name) }) ||
			slices.ContainsFunc(keys, func(other ssh.PublicKey) bool { return sameKey(other, key) })
		if err == nil && !again {
			standing.Given, keys = append(standing.Given, decision), append(keys, key)
		}
	}
	standing.Approved = standing.Rejected == nil && standing.Missing() == 0
	return standing
}

// Take says why a decision cannot be taken now ([*RefusedError]), and gives the state after it.
func (h Held) Take(decision Decision, now time.Time) (Phase, error) {
	if state := h.StateAt(now); !state.Waits() {
		return state, &RefusedError{fmt.Sprintf("run %s does not wait any more: it is %s", h.Run, state), "`penstock history` shows what came after it"}
	}
	if h.Plan == "" {
		return h.State, &RefusedError{fmt.Sprintf("run %s waits for a gate of its build, and has no plan yet that could be decided on", h.Run),
			"`penstock why " + h.Run + "` shows which gate, and who can clear it"}
	}
	if decision.Run != h.Run || decision.Plan != h.Plan {
		return h.State, &RefusedError{fmt.Sprintf("the decision is about plan %s of run %s, and what waits is plan %s of run %s", decision.Plan, decision.Run, h.Plan, h.Run),
			"look at what waits now: `penstock why " + h.Run + "`"}
	}
	if strings.TrimSpace(decision.Reason) == "" {
		return h.State, &RefusedError{"a decision needs a reason: it is what others will read", "give one with --reason"}
	}
	if h.Policy.Signers != "" {
		if _, err := signedBy(h.Policy.Signers, SignatureNamespace, decision.By.Name, decision.Signed(), decision.Signature); err != nil {
			return h.State, err
		}
	}
	if !decision.Approve {
		// Whoever began a run may take it back.
		if why := (Policy{Approvers: h.Policy.Approvers, SelfApproval: true}).MayClear(decision.By, nil); why != "" && (h.Author == nil || !decision.By.Is(h.Author.Name)) {
			return h.State, &RefusedError{why, "ask one of them, or who began it"}
		}
		return Rejected, nil
	}
	if h.Policy.Needed == 0 {
		return h.State, &RefusedError{fmt.Sprintf("environment %s asks nobody for approval", h.Environment), "`penstock why " + h.Run + "` shows what the run waits for"}
	}
	if _, err := h.Policy.clears(decision.By, h.Begun(), decision.Signed(), decision.Signature); err != nil {
		return h.State, err
	}
	before := h.Standing(h.Plan)
	h.Decisions = append(slices.Clone(h.Decisions), decision)
	after := h.Standing(h.Plan)
	if len(after.Given) == len(before.Given) {
		return h.State, &RefusedError{decision.By.Name + " has approved this plan already, by this name or with this key", "`penstock why " + h.Run + "` shows what is still missing"}
	}
	if after.Approved {
		return Approved, nil
	}
	return h.State, nil
}

// others are the approvers whom the author may ask.
func (p Policy) others(author *event.Identity) []string {
	return slices.DeleteFunc(slices.Clone(p.Approvers), func(name string) bool {
		return !p.SelfApproval && author != nil && author.Is(name)
	})
}
