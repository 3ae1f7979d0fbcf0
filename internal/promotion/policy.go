package promotion

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// defaultWaiting is how long a run waits for people where the environment says nothing: over a weekend and a day off, and
// short enough that nobody finds a forgotten one in force.
const defaultWaiting = 7 * 24 * time.Hour

// Policy is what an environment asks of people before a promotion. It is kept with the run that waits, so that it is judged
// by the rules under which it was asked for.
type Policy struct {
	Approvers []string `json:"approvers,omitempty"`
	// Needed is how many different approvers must say yes; 0 when the environment names none.
	Needed       int  `json:"needed,omitempty"`
	SelfApproval bool `json:"selfApproval,omitempty"`
	// Signers is the text of the allowed_signers file, whose keys alone count; "" takes decisions that are not signed.
	Signers string `json:"signers,omitempty"`
}

// PolicyOf reads an environment. Its signers file is the caller's to read.
func PolicyOf(environment pipelines.Environment) Policy {
	policy := Policy{Approvers: slices.Clone(environment.Approvers), SelfApproval: environment.SelfApproval}
	if len(policy.Approvers) > 0 {
		policy.Needed = max(environment.Approvals, 1)
	}
	return policy
}

// WaitingOf is how long a run to the environment may wait.
func WaitingOf(environment pipelines.Environment) time.Duration {
	if environment.Waiting > 0 {
		return environment.Waiting
	}
	return defaultWaiting
}

// names reports whether the identity is one of the approvers.
func (p Policy) names(who event.Identity) bool {
	return slices.ContainsFunc(p.Approvers, func(name string) bool { return who.Is(name) })
}

// MayClear says why somebody may not approve a run of author's, or waive one of its gates; "" when they may. An environment
// without approvers lets everybody waive.
func (p Policy) MayClear(who event.Identity, author *event.Identity) string {
	switch {
	case strings.TrimSpace(who.Name) == "":
		return "it is not known who you are"
	case len(p.Approvers) > 0 && !p.names(who):
		return who.Name + " is none of the approvers (" + strings.Join(p.Approvers, ", ") + ")"
	case len(p.Approvers) > 0 && !p.SelfApproval && author != nil && who.Is(author.Name):
		return who.Name + " began this run, and the environment wants somebody else"
	default:
		return ""
	}
}
