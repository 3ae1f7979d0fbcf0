package promotion

import (
	"fmt"
	"strings"
)

// Result is how a promotion ended and what is live after it.
type Result struct {
	Promotion string
	// Phase is Completed, RolledBack (traffic had been touched and was put back), Failed (stopped before traffic was
	// touched, or could not be put back: then Promote returns an error too), Superseded or Cancelled.
	Phase    Phase
	Version  string // that takes the traffic now; "" when that is not known
	Previous string // that took it before
	URL      string
	// UpToDate says that there was nothing to do.
	UpToDate bool
	// Cause is what stopped it, nil when Completed. Ask it with errors.Is and errors.As: [ErrUnreachable],
	// context.Canceled, [*MigrationError], [*SmokeError], [*BlockedError], [*MissingError], [*StaleError], [*BusyError].
	Cause error
	// Undone and NotUndone say in sentences what was put back and what was not.
	Undone    []string
	NotUndone []string
	Bookmark  string // the database before the migrations, "" when there was none
	NextStep  string
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
		return what + "; put each secret with `penstock secrets put NAME --env " + e.Environment + "`"
	}
	return what + "; create them, or set provision: true for this environment"
}

// StaleError says that the world changed since the plan was made.
type StaleError struct {
	Environment   string
	Planned, Live string // digests
	Why           string
}

// Error says what changed.
func (e *StaleError) Error() string {
	return fmt.Sprintf("the plan for %s no longer holds: %s; make a new plan (penstock plan, or deploy again)", e.Environment, e.Why)
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
