package promotion

import (
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// The names of a promotion's steps, in order. A shift step's name ends with its percentage: shift-10.
const (
	StepLease     = "lease"
	StepRecover   = "recover" // only when an earlier promotion died
	StepCheck     = "check"
	StepProvision = "provision"
	StepPrepare   = "prepare"
	StepBookmark  = "bookmark"
	StepMigrate   = "migrate"
	StepUpload    = "upload"
	StepPlace     = "place"
	StepSmoke     = "smoke"
	StepGates     = "gates"
	StepShift     = "shift-"
	StepVerify    = "verify"
	StepBake      = "bake"
	StepConfirm   = "confirm"  // only where the data changes alone
	StepPutBack   = "put-back" // only when something failed
)

// The moments at which a version is smoked.
const (
	BeforeTraffic = "before-traffic"
	AfterSwitch   = "after-switch"
	BeforeData    = "before-migration"
	AfterData     = "after-migration"
	OnDemand      = "on-demand" // of no promotion: somebody asked
	whileShifting = "while-shifting"
	whileBaking   = "while-baking"
)

// Steps lists the steps that a promotion to the environment takes when all goes well, so that they can be shown before they
// begin. promoteGates and bakeGates say whether there are gates of that phase.
func Steps(environment pipelines.Environment, promoteGates, bakeGates bool) []event.Step {
	steps := []event.Step{
		{Name: StepLease, Title: "take the environment's lease"},
		{Name: StepCheck, Title: "check that the plan still holds"},
	}
	if environment.Provision {
		steps = append(steps, event.Step{Name: StepProvision, Title: "create what is missing"})
	}
	steps = append(steps,
		event.Step{Name: StepPrepare, Title: "prepare the Worker"},
		event.Step{Name: StepBookmark, Title: "back the database up"},
		event.Step{Name: StepMigrate, Title: "apply migrations"},
		event.Step{Name: StepUpload, Title: "upload the new version"},
		event.Step{Name: StepPlace, Title: "place it beside the old one, without traffic"},
		event.Step{Name: StepSmoke, Title: "smoke the new version"},
	)
	if promoteGates {
		steps = append(steps, event.Step{Name: StepGates, Title: "ask the promotion's gates"})
	}
	for _, share := range trafficSteps(environment) {
		steps = append(steps, event.Step{Name: shiftName(share), Title: fmt.Sprintf("shift %g %% of the traffic", share)})
	}
	steps = append(steps, event.Step{Name: StepVerify, Title: "smoke what everybody gets"})
	if environment.Bake > 0 || bakeGates {
		title := "watch the new version"
		if environment.Bake > 0 {
			title += " for " + gates.Span(environment.Bake.Round(time.Second))
		}
		steps = append(steps, event.Step{Name: StepBake, Title: title})
	}
	return steps
}

func shiftName(share float64) string { return fmt.Sprintf("%s%g", StepShift, share) }

// trafficSteps is the environment's shares; all at once when it names none.
func trafficSteps(environment pipelines.Environment) []float64 {
	if len(environment.Steps) == 0 {
		return []float64{100}
	}
	return environment.Steps
}

// checkTrafficSteps refuses shares that do not rise to 100: a promotion along them would never end, or take traffic back.
func checkTrafficSteps(environment pipelines.Environment) error {
	before := 0.0
	for _, share := range trafficSteps(environment) {
		if !(share > before && share <= 100) {
			return fmt.Errorf("steps %v of environment %s do not rise from above 0 to 100; correct them in penstock.yaml", environment.Steps, environment.Name)
		}
		before = share
	}
	if before != 100 {
		return fmt.Errorf("steps %v of environment %s end at %g, not at 100; add 100 in penstock.yaml", environment.Steps, environment.Name, before)
	}
	return nil
}
