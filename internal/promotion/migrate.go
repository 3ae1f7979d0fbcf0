package promotion

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// MigrationSteps lists the steps of a promotion's data half. Gates of the phase promote are asked before the data is touched,
// those of the phase bake afterwards.
func MigrationSteps(environment pipelines.Environment, promoteGates, bakeGates, seed bool) []event.Step {
	steps := []event.Step{
		{Name: StepLease, Title: "take the environment's lease"},
		{Name: StepCheck, Title: "check that the plan still holds"},
		{Name: StepSmoke, Title: "smoke what is live"},
	}
	if environment.Provision {
		steps = append(steps, event.Step{Name: StepProvision, Title: "create databases that are missing"})
	}
	steps = append(steps, event.Step{Name: StepBookmark, Title: "back the database up"})
	if promoteGates {
		steps = append(steps, event.Step{Name: StepGates, Title: "ask the gates before the data is touched"})
	}
	steps = append(steps, event.Step{Name: StepMigrate, Title: "apply migrations"})
	if seed {
		steps = append(steps, event.Step{Name: StepSeed, Title: "execute the seed"})
	}
	steps = append(steps, event.Step{Name: StepVerify, Title: "smoke what is live, on the new schema"})
	if bakeGates {
		steps = append(steps, event.Step{Name: StepConfirm, Title: "ask the gates about the new schema"})
	}
	return steps
}

// forwardData changes the data and nothing else, beside the version that runs. That version is smoked before as well: one that
// does not work then could not show afterwards that the migrations did it no harm. What goes wrong after a migration leaves it
// applied, as in every promotion: only a person goes back to the bookmark.
func (a *attempt) forwardData(ctx context.Context) error {
	recovered, err := a.recover(ctx)
	if err != nil {
		return err
	}
	err = a.step(ctx, StepCheck, Leased, func(ctx context.Context) (done, error) {
		did, err := a.check(ctx, recovered)
		if err == nil {
			err = a.plan.RefusesSeed()
		}
		return did, err
	})
	if err != nil || a.upToDate {
		return err
	}
	steps := []struct {
		name  string
		phase Phase
		taken bool
		do    func(context.Context) (done, error)
	}{
		{StepSmoke, Leased, true, func(ctx context.Context) (done, error) { return a.smokeLive(ctx, StepSmoke, BeforeData) }},
		{StepProvision, Leased, a.environment().Provision, a.provision},
		{StepBookmark, BackedUp, true, a.bookmark},
		{StepGates, BackedUp, a.plan.judgedAt(gates.PhasePromote), a.promoteGates},
		{StepMigrate, Migrated, true, a.migrate},
		{StepSeed, Migrated, a.plan.Basis.Seed != nil, a.seed},
		{StepVerify, Smoked, true, func(ctx context.Context) (done, error) { return a.smokeLive(ctx, StepVerify, AfterData) }},
		{StepConfirm, Smoked, a.plan.judgedAt(gates.PhaseBake), func(ctx context.Context) (done, error) {
			return a.judge(ctx, StepConfirm, gates.PhaseBake, "")
		}},
	}
	for _, step := range steps {
		if !step.taken {
			continue
		}
		if err := a.step(ctx, step.name, step.phase, step.do); err != nil {
			return err
		}
	}
	return nil
}

// smokeLive asks every version that takes traffic. Several are each asked by override: which one answers everybody is left to
// chance.
func (a *attempt) smokeLive(ctx context.Context, step, moment string) (done, error) {
	live := a.plan.Live.serving()
	if len(live) == 0 {
		return done{detail: "nothing is live that could break", skipped: true}, nil
	}
	if len(a.environment().Smoke.Probes) == 0 && a.SmokeStages == nil {
		return done{}, errNothingToAsk
	}
	var said []string
	for _, version := range live {
		override := version
		if len(a.plan.Live.Shares) == 1 {
			override = ""
		}
		asked, err := a.smoke(ctx, step, moment, override, version)
		if err != nil {
			return asked, err
		}
		if len(live) > 1 {
			asked.detail = fmt.Sprintf("version %s: %s", short(version), asked.detail)
		}
		said = append(said, asked.detail)
	}
	return done{detail: strings.Join(said, "; ")}, nil
}
