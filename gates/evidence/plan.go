package evidence

import "time"

// Plan is what the promotion would do, and what that rests on. There is none in the phase build.
type Plan struct {
	Header
	Digest      string `json:"digest"` // "sha256:…" over all of it; what people approve
	App         string `json:"app"`
	Environment string `json:"environment"`
	Bundle      string `json:"bundle"` // digest of what would be live
	// Built is the digest of what the stages of this run made; the same as Bundle, unless a run goes on whose results are gone.
	Built string `json:"built,omitempty"`
	// From is the run that took the same source to another environment before.
	From         string   `json:"from,omitempty"`
	SourceDigest string   `json:"sourceDigest"` // of the snapshot that it was made of
	Commit       string   `json:"commit,omitempty"`
	Dirty        bool     `json:"dirty,omitempty"` // the source differs from the commit
	UpToDate     bool     `json:"upToDate,omitempty"`
	FirstTime    bool     `json:"firstTime,omitempty"` // nothing is live yet
	Changes      []Change `json:"changes"`
	// Databases have their migrations: those that are applied and those that the promotion will apply.
	Databases []DatabasePlan `json:"databases"`
	Stages    []Stage        `json:"stages"` // of this run
	Gates     []GatePlan     `json:"gates"`  // that judge this promotion
	Source    SourceChange   `json:"source"`
	People    People         `json:"people"`
	Gaps      []Gap          `json:"gaps"`
}

// Change is one line of the plan.
type Change struct {
	Action string `json:"action"` // create, update, remove, keep
	Kind   string `json:"kind"`   // version, binding, var, secret, setting, route, crons, queue-consumer, migration, database, …
	Name   string `json:"name"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

// DatabasePlan is one database's migrations.
type DatabasePlan struct {
	Binding string `json:"binding"`
	Name    string `json:"name"`
	ID      string `json:"id,omitempty"` // empty when it does not exist yet
	Folder  string `json:"folder"`       // of the migration files, relative to the app's, with forward slashes
	// Pending are in the order in which they will be applied, Applied in that in which they were.
	Pending []Migration `json:"pending"`
	Applied []Migration `json:"applied"`
}

// Migration is one migration file, or the record of one.
type Migration struct {
	Name   string `json:"name"`
	File   string `json:"file,omitempty"`   // relative to the app's folder, with forward slashes; empty when it is gone
	Digest string `json:"digest,omitempty"` // "sha256:…" of the file as it is; empty when it is gone
	SQL    string `json:"sql,omitempty"`    // the file's text
	// Recorded is the digest that the file had when penstock planned to apply it; empty where penstock does not know.
	Recorded string `json:"recorded,omitempty"`
}

// Stage is how one stage of the run went.
type Stage struct {
	Name         string `json:"name"`
	Outcome      string `json:"outcome"`                // passed, failed, skipped, cancelled, error
	Key          string `json:"key,omitempty"`          // cache key: what went in
	OutputDigest string `json:"outputDigest,omitempty"` // what came out
	Cached       bool   `json:"cached,omitempty"`
}

// GatePlan is a gate that judged the bundle, or will judge the promotion.
type GatePlan struct {
	Gate        string `json:"gate"`
	Phase       string `json:"phase"`
	Enforcement string `json:"enforcement"`
	Outcome     string `json:"outcome,omitempty"` // empty while it was not asked
	SetDigest   string `json:"setDigest"`
}

// SourceChange is how the source differs from that of what is live.
type SourceChange struct {
	State  State  `json:"state"` // Present when it could be compared, Missing when nothing is live that penstock made
	Reason string `json:"reason,omitempty"`
	From   string `json:"from,omitempty"` // commit that is live
	To     string `json:"to,omitempty"`
	Files  []File `json:"files"`
}

// File is one file that differs.
type File struct {
	Path    string `json:"path"` // relative to the app's folder, with forward slashes
	Added   int    `json:"added"`
	Deleted int    `json:"deleted"`
	Binary  bool   `json:"binary,omitempty"` // then lines were not counted
}

// Promotions is what the ledger tells of this app.
type Promotions struct {
	Header
	App string `json:"app"`
	// Promotions are newest first, of all environments, without the one under way.
	Promotions []Promotion `json:"promotions"`
	// Complete says that there are no older ones than those listed.
	Complete bool `json:"complete"`
}

// Promotion is one attempt to make a plan real.
type Promotion struct {
	ID          string    `json:"id"`
	Run         string    `json:"run,omitempty"`
	Environment string    `json:"environment"`
	State       string    `json:"state"` // completed, rolled-back, failed, …; anything else is not ended
	Plan        string    `json:"plan"`
	Bundle      string    `json:"bundle,omitempty"`
	Source      string    `json:"source,omitempty"` // digest of the snapshot
	Commit      string    `json:"commit,omitempty"`
	Version     string    `json:"version,omitempty"`
	Started     time.Time `json:"started,omitzero"` // of its run
	Ended       time.Time `json:"ended,omitzero"`   // when its state was reached
	Reason      string    `json:"reason,omitempty"`
	// Approvals are the decisions of people on its plan.
	Approvals []Approval `json:"approvals,omitempty"`
}

// People is what the environment asks of people for this plan, and what they decided.
type People struct {
	Approvers    []string `json:"approvers,omitempty"`
	Needed       int      `json:"needed,omitempty"` // how many of them must approve; 0 when nobody has to
	SelfApproval bool     `json:"selfApproval,omitempty"`
	Author       string   `json:"author,omitempty"` // who began the run; empty when that is not known
	// Decisions are those that count for this plan: of approvers, and proven where the environment asks for that.
	Decisions []Approval `json:"decisions,omitempty"`
}

// Approval is one person's decision.
type Approval struct {
	By       string    `json:"by"`
	Decision string    `json:"decision"` // approved or rejected
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	Plan     string    `json:"plan"` // digest that it is bound to
}
