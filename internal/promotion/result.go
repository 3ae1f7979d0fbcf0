package promotion

import (
	"fmt"
	"strings"
)

// Result is how a promotion ended and what is live after it.
type Result struct {
	Promotion string
	// Phase is Completed, RolledBack (traffic had been touched and was put back), Failed (stopped before traffic was
	// touched, or could not be put back: then Promote returns an error too), Superseded (also by what somebody else
	// deployed meanwhile) or Cancelled.
	Phase    Phase
	Version  string // that takes the traffic now; "" when that is not known, or only the placeholder takes it
	Previous string // that took it before; "" when that was nothing, or only the placeholder of a Worker without a version
	URL      string
	// UpToDate says that there was nothing to do.
	UpToDate bool
	// Cause is what stopped it, nil when Completed. Ask it with errors.Is and errors.As: [ErrUnreachable],
	// context.Canceled, [*MigrationError], [*SmokeError], [*BlockedError], [*MissingError], [*StaleError], [*OverriddenError], [*BusyError]; and
	// before all of them [*PutBackError] and [ErrLeaseLost].
	Cause error
	// Undone and NotUndone say in sentences what was put back and what was not.
	Undone    []string
	NotUndone []string
	Bookmark  string // the database before the migrations, "" when there was none
	// Migrations are those that this promotion is known to have applied, in order.
	Migrations []Migration
	// Seed is the seed file that it executed; "" when there was none.
	Seed     string
	NextStep string
}

// PutBackError says that traffic should have been put back and was not, or that this could not be made sure of: people may
// be served by a version that failed. Nothing inside it is unwrapped, because whoever asks for what stopped the promotion,
// or for [ErrUnreachable], would take it for an end that is harmless by comparison.
type PutBackError struct {
	Environment string
	Version     string  // that must not have the traffic
	Share       float64 // percent of the traffic that it probably has
	Previous    []Share // that should be live
	Cause       error   // why it was to be put back
	Err         error   // why it was not
}

// Error says what is probably live, why, and what to do.
func (e *PutBackError) Error() string {
	return fmt.Sprintf("traffic was not put back to %s: version %s probably has %g %% of it (put back because: %v; that failed: %v); %s",
		describeShares(e.Previous), short(e.Version), e.Share, e.Cause, e.Err, e.NextStep())
}

// NextStep says how traffic gets back.
func (e *PutBackError) NextStep() string {
	return fmt.Sprintf("run `penstock deploy --env %s` as soon as the target answers, it puts traffic back first; "+
		"if that is too late, make %s the deployment by hand", e.Environment, describeShares(e.Previous))
}

// SmokeError says that the version answered, and not as it must.
type SmokeError struct {
	Moment  string // before-traffic, after-switch, …
	Version string
	Summary string
	Lines   []string
}

// Error says at which moment which version failed, and how.
func (e *SmokeError) Error() string {
	return fmt.Sprintf("smoke %s of version %s failed: %s", e.Moment, short(e.Version), e.Summary)
}

// BlockedError says that gates of the promotion said no.
type BlockedError struct {
	Phase    string
	Blocking []string
	Summary  string
	// undecided: no gate said no, they have no answer.
	undecided bool
}

// Error names the gates.
func (e *BlockedError) Error() string {
	return fmt.Sprintf("blocked in the %s phase by %s: %s", e.Phase, strings.Join(e.Blocking, ", "), e.Summary)
}

// MissingError names what must exist before a promotion can begin.
type MissingError struct {
	Environment string
	Kind        string // "resource" or "secret"
	Names       []string
}

// Error names each missing thing and how to make it.
func (e *MissingError) Error() string {
	what := fmt.Sprintf("environment %s lacks %s", e.Environment, strings.Join(e.Names, ", "))
	if e.Kind == "secret" {
		return what + "; give each a value in a variable of this process's environment, and list it under secrets of " + e.Environment +
			" in penstock.yaml, or put it with `penstock secrets put " + e.Names[0] + " --env " + e.Environment + "`"
	}
	return what + "; create them with `penstock provision --env " + e.Environment + "`, or set provision: true for this environment"
}

// StaleError says that the world changed since the plan was made.
type StaleError struct {
	Environment   string
	Planned, Live string // digests
	Why           string
}

// Error says what changed.
func (e *StaleError) Error() string {
	return fmt.Sprintf("the plan for %s no longer holds: %s; make a new plan with `penstock plan`, or deploy again", e.Environment, e.Why)
}

// short is how people read a version's id.
func short(version string) string {
	if len(version) > 8 {
		return version[:8]
	}
	return version
}

func describeShares(shares []Share) string {
	if len(shares) == 0 {
		return "nothing"
	}
	parts := make([]string, len(shares))
	for i, share := range shares {
		parts[i] = fmt.Sprintf("%s at %g %%", short(share.Version), share.Percentage)
	}
	return strings.Join(parts, ", ")
}

// OverriddenError says that somebody deployed by other means while a promotion was at work. What they deployed stays.
type OverriddenError struct {
	Environment string
	Live        []Share // what they deployed
	Cause       error   // what the promotion had met itself; nil when nothing else
}

// Error says what is live.
func (e *OverriddenError) Error() string {
	text := fmt.Sprintf("somebody else deployed %s to %s in the middle of this promotion; that stays, and this promotion ends", describeShares(e.Live), e.Environment)
	if e.Cause != nil {
		text += fmt.Sprintf(" (it had met: %v)", e.Cause)
	}
	return text
}

// NextStep says how to go on.
func (e *OverriddenError) NextStep() string {
	return "ask who deployed it (`wrangler deployments list` names them), then deploy again: the plan starts from what is live by then"
}

// MaintenanceError says that the app is out of service, so that a deployment would either end that or show nobody anything.
type MaintenanceError struct {
	Environment string
}

// Error says that it is out of service; [MaintenanceError.NextStep] says how it comes back.
func (e *MaintenanceError) Error() string {
	return "environment " + e.Environment + " is in maintenance"
}

// NextStep ends the maintenance, and then does what was refused.
func (e *MaintenanceError) NextStep() string {
	return "`penstock maintenance off --env " + e.Environment + "` puts it back into service; then run the same command again"
}
