package promotion

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// Basis is everything of ours that a plan rests on; the rest is what the target says.
type Basis struct {
	App         string
	Environment pipelines.Environment
	Bundle      *bundle.Bundle
	// Gates are all gates that judge this promotion: those that were asked, with their outcome, and those that will be.
	Gates []GateFact
	// Kind is "" for a promotion and [KindMigration] for its data half; then the bundle is what was judged together with the
	// migrations, and nothing of it is uploaded.
	Kind Kind
	// Seed is what a [KindMigration] executes behind its migrations; nil for nothing.
	Seed *Seed
}

// GateFact is what a plan says of one gate. Measured values are left out on purpose: they differ from run to run, the
// answer does not.
type GateFact struct {
	Gate        string                `json:"gate"`
	Phase       gates.Phase           `json:"phase"`
	Enforcement pipelines.Enforcement `json:"enforcement"`
	DryRun      bool                  `json:"dryRun,omitempty"` // it was asked to be tried, and could not block
	Config      map[string]any        `json:"config,omitempty"`
	Outcome     gates.Outcome         `json:"outcome,omitempty"` // "" while it was not asked
	SetDigest   string                `json:"setDigest"`         // of the plugin binary
	// Waiver is the id of the waiver by which the gate's answer was passed over; "" when none was needed.
	Waiver string `json:"waiver,omitempty"`
}

// Plan is what a promotion would do, and what that was judged by, under one digest. It is immutable.
type Plan struct {
	Digest string // "sha256:…"
	Basis  Basis
	Live   State
	Diff   Diff
}

// MakePlan asks the target what is live and what would change, and names the answer by one digest: over the bundle, the
// environment, what is live, every change, the pending migrations with their files' digests, and each gate with its
// config, its outcome and its binary. The same inputs give the same digest, in whatever order gates and changes come; any
// difference gives another. It changes nothing.
func MakePlan(ctx context.Context, target Target, basis Basis) (Plan, error) {
	if basis.Bundle == nil || basis.Bundle.Digest == "" {
		return Plan{}, fmt.Errorf("make a plan for %s: the bundle has no digest", basis.Environment.Name)
	}
	live, err := target.Inspect(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("inspect what is live in %s: %w", basis.Environment.Name, err)
	}
	diff, err := target.Diff(ctx, live, basis.Bundle)
	if err != nil {
		return Plan{}, fmt.Errorf("compare the bundle with what is live in %s: %w", basis.Environment.Name, err)
	}
	if basis.Kind == KindMigration {
		diff = diff.dataAlone()
		if err := seedOf(ctx, target, basis, &diff); err != nil {
			return Plan{}, err
		}
	}
	digest, err := planDigest(basis, live, diff)
	if err != nil {
		return Plan{}, fmt.Errorf("digest the plan for %s: %w", basis.Environment.Name, err)
	}
	return Plan{Digest: digest, Basis: basis, Live: live, Diff: diff}, nil
}

// Event is the plan as observers and the ledger get it.
func (p Plan) Event() event.Plan {
	return event.Plan{Digest: p.Digest, Changes: append([]event.Change{}, p.Diff.Changes...), UpToDate: p.Diff.UpToDate}
}

// judgedAt reports whether any gate of the phase belongs to the plan.
func (p Plan) judgedAt(phase gates.Phase) bool {
	return slices.ContainsFunc(p.Basis.Gates, func(gate GateFact) bool { return gate.Phase == phase })
}

// digested is what the digest covers. Its field names are part of the digest: renaming one voids every approval.
type digested struct {
	Kind           Kind                  `json:"kind,omitempty"`
	App            string                `json:"app"`
	Environment    pipelines.Environment `json:"environment"`
	Bundle         string                `json:"bundle"`
	Live           []Share               `json:"live,omitempty"`
	Suspended      bool                  `json:"suspended,omitempty"`
	Changes        []event.Change        `json:"changes,omitempty"`
	Missing        []event.Change        `json:"missing,omitempty"`
	Migrations     []Migration           `json:"migrations,omitempty"`
	Seed           *Seed                 `json:"seed,omitempty"` // with its digest among the changes
	MissingSecrets []string              `json:"missingSecrets,omitempty"`
	UpToDate       bool                  `json:"upToDate"`
	Gates          []digestedGate        `json:"gates,omitempty"`
}

type digestedGate struct {
	GateFact
	Config json.RawMessage `json:"config,omitempty"`
}

func planDigest(basis Basis, live State, diff Diff) (string, error) {
	data, err := planned(basis, live, diff)
	if err != nil {
		return "", err
	}
	return DigestOf(data), nil
}

// DigestOf is the digest of the plan that covers exactly this: [Plan.Covers].
func DigestOf(covers json.RawMessage) string {
	sum := sha256.Sum256(covers)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// planned is the canonical form of what a plan rests on and would do.
func planned(basis Basis, live State, diff Diff) (json.RawMessage, error) {
	facts := make([]digestedGate, 0, len(basis.Gates))
	for _, gate := range basis.Gates {
		// encoding/json sorts the keys of maps, at every depth, which makes the config canonical.
		config, err := json.Marshal(gate.Config)
		if err != nil {
			return nil, fmt.Errorf("config of gate %s: %w", gate.Gate, err)
		}
		if len(gate.Config) == 0 {
			config = nil
		}
		facts = append(facts, digestedGate{GateFact: gate, Config: config})
	}
	slices.SortFunc(facts, func(a, b digestedGate) int {
		return cmp.Or(cmp.Compare(a.Gate, b.Gate), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.SetDigest, b.SetDigest),
			cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(string(a.Config), string(b.Config)), cmp.Compare(a.Enforcement, b.Enforcement))
	})
	return json.Marshal(digested{
		Kind:        basis.Kind,
		App:         basis.App,
		Environment: normal(basis.Environment),
		Bundle:      basis.Bundle.Digest,
		Live:        sortedShares(live.Shares),
		Suspended:   live.Suspended,
		Changes:     sortedChanges(diff.Changes),
		Missing:     sortedChanges(diff.Missing),
		// The order of migrations is the order in which they are applied, so it counts.
		Migrations:     diff.Migrations,
		Seed:           basis.Seed,
		MissingSecrets: slices.Sorted(slices.Values(diff.MissingSecrets)),
		UpToDate:       diff.UpToDate,
		Gates:          facts,
	})
}

// normal makes environments that mean the same look the same: JSON tells nil from empty, and a list of names has no order.
func normal(environment pipelines.Environment) pipelines.Environment {
	environment.Secrets = slices.Sorted(slices.Values(environment.Secrets))
	environment.Approvers = slices.Sorted(slices.Values(environment.Approvers))
	environment.Steps = append([]float64{}, environment.Steps...)
	environment.Smoke.Probes = append([]pipelines.Probe{}, environment.Smoke.Probes...)
	environment.Vars = maps.Clone(environment.Vars)
	return environment
}

// sortedShares leaves out versions that take no traffic: they are what an unfinished promotion leaves behind, and nobody
// is served by them.
func sortedShares(shares []Share) []Share {
	var taking []Share
	for _, share := range shares {
		if share.Percentage > 0 {
			taking = append(taking, share)
		}
	}
	slices.SortFunc(taking, func(a, b Share) int { return cmp.Compare(a.Version, b.Version) })
	return taking
}

func sortedChanges(changes []event.Change) []event.Change {
	return slices.SortedFunc(slices.Values(changes), func(a, b event.Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Action, b.Action),
			cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
}
