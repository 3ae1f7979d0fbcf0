package pipelines

import (
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Pipeline is the validated, read-only description of one app's delivery. Share it freely between goroutines; do not
// change it after [Validate] accepted it.
type Pipeline struct {
	Name         string        `json:"name"`
	Stages       []Stage       `json:"stages"`
	Gates        []GateRef     `json:"gates"`
	Environments []Environment `json:"environments"`
	// Ledger is what environments on Cloudflare share their record in that have none of their own.
	Ledger SharedLedger `json:"ledger,omitzero"`
	// Place is where the app lies in its source ("apps/api" in a workspace); "" when it is all of it. So far up may the paths of
	// stages lead; see [Within].
	Place string `json:"-"`
}

// Stage is one isolated unit of work. Its commands see the inputs, the outputs of the stages it needs, and nothing else.
type Stage struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	// Image is the container image for executors that use containers, pinned by digest or exact tag.
	Image string `json:"image,omitempty"`
	// Run holds shell commands, run in order as by `sh -euo pipefail`; the first that fails ends the stage.
	Run   []string `json:"run"`
	Needs []string `json:"needs,omitempty"`
	// Inputs are globs (doublestar, relative to the app's folder) over the snapshot; empty means all of it. A leading
	// "!" excludes.
	Inputs []string `json:"inputs,omitempty"`
	// Outputs are files or folders, relative to the app's folder, that later stages get.
	Outputs []string `json:"outputs,omitempty"`
	Reports []Report `json:"reports,omitempty"`
	// Caches are tool cache folders by name ("npm"), shared by runs, never part of the key.
	Caches []string          `json:"caches,omitempty"`
	Env    map[string]string `json:"env,omitempty"`
	// Secrets are names; their values reach only this stage's environment.
	Secrets []string `json:"secrets,omitempty"`
	Network Network  `json:"network,omitempty"`
	// Timeout bounds one attempt. Zero after validation is not possible: Default fills it in.
	Timeout time.Duration `json:"timeout"`
	// MaxAge is how long a result may be reused when no input changed, for stages that ask the world: what is known about
	// packages changes by itself. Zero is for ever.
	MaxAge time.Duration `json:"maxAge,omitempty"`
	// Retries is how many more attempts follow a failed one.
	Retries int `json:"retries,omitempty"`
	// When says at which moment the stage runs.
	When When `json:"when,omitempty"`
	// Tools are the programs that the commands need, with the version that the app demands where it states one.
	Tools []Tool `json:"tools,omitempty"`
	// PerEnvironment stages depend on where the result is to be deployed: [Pipeline.For] adds the environment to their
	// Env, and so to their cache key. The others are shared by all environments.
	PerEnvironment bool `json:"perEnvironment,omitempty"`
}

// When is the moment at which a stage runs.
type When string

// The moments.
const (
	// WhenBuild stages form the DAG that makes and checks the bundle. The zero value means this.
	WhenBuild When = "build"
	// WhenSmoke stages run against the new version: before it takes traffic, and once more after the switch. They get
	// its address in PENSTOCK_URL and BASE_URL. They are never cached.
	WhenSmoke When = "smoke"
	// WhenIntegration stages run against a slot once it serves the new version, before the environment that the slot is for
	// gets it. They get its address like smoke stages, and are never cached.
	WhenIntegration When = "integration"
)

// Network is what a stage may reach.
type Network string

// The network grants.
const (
	NetworkDefault Network = "default"
	NetworkNone    Network = "none"
)

// Report names a file in a standard format that the stage leaves.
type Report struct {
	Kind gates.ReportKind `json:"kind"`
	// Path is relative to the app's folder, or begins with $PENSTOCK_REPORTS/, the stage's own report folder outside it.
	Path string `json:"path"`
	// Optional reports may be missing without a word; of the others a missing one is said (and the gate that wants it
	// is inconclusive), but does not fail the stage.
	Optional bool `json:"optional,omitempty"`
}

// Tool is a program on which a stage depends. Version is an npm-style range; empty accepts any.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// GateRef puts one gate into the pipeline.
type GateRef struct {
	Gate        string      `json:"gate"` // "<set>/<gate>"
	Phase       gates.Phase `json:"phase,omitempty"`
	Enforcement Enforcement `json:"enforcement"`
	// EnforcementIn is what replaces Enforcement in single environments, by their names; [Pipeline.For] puts it in place.
	EnforcementIn map[string]Enforcement `json:"enforcementIn,omitempty"`
	Config        map[string]any         `json:"config,omitempty"`
	// Environments limits a plan, promote or bake gate to these; empty means all.
	Environments []string      `json:"environments,omitempty"`
	Timeout      time.Duration `json:"timeout"`
	// DryRun asks the gate and tells what it says, and never blocks: to try a gate before it counts.
	DryRun bool `json:"dryRun,omitempty"`
}

// Enforcement is how much a verdict weighs.
type Enforcement string

// The levels, from least to most restrictive.
const (
	Advisory    Enforcement = "advisory"    // recorded, never blocks
	Overridable Enforcement = "overridable" // blocks, can be waived
	Mandatory   Enforcement = "mandatory"   // blocks, cannot be waived
)

// SharedLedger names what machines keep one record in, in the Cloudflare account of the environment. The zero value is a record of this
// machine's own.
type SharedLedger struct {
	// D1 is the name of a database of its own, which holds the record.
	D1 string `json:"d1"`
	// R2 is the name of a bucket, which holds what runs that wait are made of.
	R2 string `json:"r2"`
}

// Environment is a named place to deploy to.
type Environment struct {
	Name   string `json:"name"`
	Target string `json:"target"` // "cloudflare" or "local": the same code, another address
	// WranglerEnv is the environment in the wrangler config that is deployed; "" is its top level.
	WranglerEnv string `json:"wranglerEnv"`
	// Secrets that must exist in the environment before a promotion, by name.
	Secrets []string `json:"secrets,omitempty"`
	// Vars override the wrangler config's.
	Vars map[string]string `json:"vars,omitempty"`
	// Provision lets a promotion create databases, namespaces, buckets and queues that are missing.
	Provision bool `json:"provision,omitempty"`
	// Seed is a SQL file that fills an empty database after its first migrations; "" for none.
	Seed string `json:"seed,omitempty"`
	// Strategy is how a new version comes in; "" is [StrategyVersions].
	Strategy Strategy `json:"strategy,omitempty"`
	// Slot is the environment that takes a new version first, with [StrategySlots].
	Slot string `json:"slot,omitempty"`
	// Backup is what is taken down of the databases before anything happens to them; "" is [BackupBookmark].
	Backup BackupKind `json:"backup,omitempty"`
	// KeepExports is how many of the newest exports by promotions stay; 0 means 10. KeepExportsFor is for how long those that are
	// older stay besides; 0 means 30 days.
	KeepExports    int           `json:"keepExports,omitempty"`
	KeepExportsFor time.Duration `json:"keepExportsFor,omitempty"`
	Smoke          Smoke         `json:"smoke"`
	// Steps are the percentages of traffic that the new version takes one after the other; the last is 100.
	Steps []float64 `json:"steps"`
	// StepBake is how long it is watched at each of the steps below 100 before more traffic follows.
	StepBake time.Duration `json:"stepBake,omitempty"`
	// Bake is how long the new version is watched at 100 % before the promotion completes.
	Bake time.Duration `json:"bake,omitempty"`
	// Approvers are who may approve a promotion, by email address or account; none means that nobody has to.
	Approvers []string `json:"approvers,omitempty"`
	// Approvals is how many of them must; 0 means 1.
	Approvals int `json:"approvals,omitempty"`
	// SelfApproval lets who began a run be one of them.
	SelfApproval bool `json:"selfApproval,omitempty"`
	// Signers is a file in the form of ssh-keygen's allowed_signers: with it only decisions that are signed by these keys count.
	Signers string `json:"signers,omitempty"`
	// Waiting is how long a run may wait for people or a gate; 0 means 7 days.
	Waiting time.Duration `json:"waiting,omitempty"`
	// After is the environment in which the same source must have been promoted before.
	After string `json:"after,omitempty"`
	// Ledger is shared by the machines that deploy here; one on this machine has a record of its own unless it says so itself.
	Ledger SharedLedger `json:"ledger,omitzero"`
}

// Strategy is how a new version comes into an environment.
type Strategy string

// The strategies.
const (
	// StrategyVersions uploads the version beside the old one and shifts traffic to it.
	StrategyVersions Strategy = "versions"
	// StrategySlots deploys to another environment first, the slot, runs the stages of the moment integration against it,
	// and then goes on as with versions.
	StrategySlots Strategy = "slots"
)

// IsSlot reports whether the environment of that name is the slot of another one.
func (p *Pipeline) IsSlot(name string) bool {
	for _, environment := range p.Environments {
		if environment.Strategy == StrategySlots && environment.Slot == name {
			return true
		}
	}
	return false
}

// BackupKind is what a promotion leaves to go back to.
type BackupKind string

// The kinds of backup.
const (
	BackupNone     BackupKind = "none"     // nothing: for data that can be made anew
	BackupBookmark BackupKind = "bookmark" // the name of the state, for the target's own time travel
	BackupExport   BackupKind = "export"   // besides, a verified copy of it in Penstock's state folder
)

// Smoke is the probing that Penstock does itself, before and after the switch.
type Smoke struct {
	Probes []Probe `json:"probes"`
	// Version says whether an answer must prove which version gave it: by carrying that version's id anywhere in its
	// headers or body.
	Version VersionProof `json:"version"`
}

// VersionProof is how strictly the answering version must be known.
type VersionProof string

// The proofs.
const (
	ProofRequired VersionProof = "required" // no proof: the smoke fails
	ProofIfShown  VersionProof = "if-shown" // no proof: said, and the smoke goes on
)

// Probe is one request and what its answer must be.
type Probe struct {
	Path string `json:"path"`
	// Status is the one that the answer must have. 0 takes any below 500: the Worker answered and did not break, which is
	// all that can be asked of an app that is not known.
	Status int `json:"status,omitempty"`
}

// Stage returns the stage of that name, or nil.
func (p *Pipeline) Stage(name string) *Stage {
	for i := range p.Stages {
		if p.Stages[i].Name == name {
			return &p.Stages[i]
		}
	}
	return nil
}

// StagesAt returns the stages that run at that moment, in order.
func (p *Pipeline) StagesAt(when When) []Stage {
	var found []Stage
	for _, stage := range p.Stages {
		if stage.When == when || (stage.When == "" && when == WhenBuild) {
			found = append(found, stage)
		}
	}
	return found
}

// AskedIn reports whether the gate judges runs to that environment; "" stands for all of them. A build gate always does:
// it judges the bundle, wherever that goes.
func (g GateRef) AskedIn(environment string) bool {
	switch g.Phase {
	case gates.PhasePlan, gates.PhasePromote, gates.PhaseBake:
	default:
		return true
	}
	return environment == "" || len(g.Environments) == 0 || slices.Contains(g.Environments, environment)
}

// Environment returns the environment of that name, or nil.
func (p *Pipeline) Environment(name string) *Environment {
	for i := range p.Environments {
		if p.Environments[i].Name == name {
			return &p.Environments[i]
		}
	}
	return nil
}
