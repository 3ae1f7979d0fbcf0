package promotion

// Phase is where a promotion stands, in the order of DESIGN section 5.
type Phase string

// The phases. The last seven are ends.
const (
	Planned          Phase = "planned"
	Gating           Phase = "gating"
	AwaitingApproval Phase = "awaiting-approval"
	Approved         Phase = "approved" // by all who must; it goes on when somebody promotes it
	Leased           Phase = "leased"
	BackedUp         Phase = "backed-up"
	Migrated         Phase = "migrated"
	Uploaded         Phase = "uploaded"
	Smoked           Phase = "smoked"
	Shifting         Phase = "shifting"
	Baking           Phase = "baking"

	Completed  Phase = "completed"
	RolledBack Phase = "rolled-back"
	Failed     Phase = "failed"
	Rejected   Phase = "rejected"
	Superseded Phase = "superseded"
	Expired    Phase = "expired"
	Cancelled  Phase = "cancelled"
)

// Waits reports whether a promotion in this phase waits without a process and without the lease.
func (p Phase) Waits() bool { return p == Gating || p == AwaitingApproval || p == Approved }

// Ended reports whether nothing more will happen to a promotion in this phase.
func (p Phase) Ended() bool {
	switch p {
	case Completed, RolledBack, Failed, Rejected, Superseded, Expired, Cancelled:
		return true
	default:
		return false
	}
}
