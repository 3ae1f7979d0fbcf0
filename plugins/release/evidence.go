package main

import (
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// planOf reads the plan. A verdict means that there is none to judge.
func planOf(request *gates.Request) (evidence.Plan, *gates.Verdict, error) {
	reports := request.ReportsOf(gates.ReportPlan)
	if len(reports) == 0 {
		return evidence.Plan{}, gates.Undecided("give the gate the phase plan, and run it with `penstock deploy`", "there is no plan to judge"), nil
	}
	plan, err := evidence.ReadPlan(reports[0].Path)
	return plan, nil, err
}

// promotionsOf reads what happened before. A verdict means that nothing is known of it.
func promotionsOf(request *gates.Request) (evidence.Promotions, *gates.Verdict, error) {
	reports := request.ReportsOf(gates.ReportPromotions)
	if len(reports) == 0 {
		return evidence.Promotions{}, gates.Undecided("run it where the ledger is", "it is not known what was promoted before"), nil
	}
	promotions, err := evidence.ReadPromotions(reports[0].Path)
	return promotions, nil, err
}

// present is the time by which a gate judges: the clock's, or that of the record when the clock was set back behind it. Whoever may set
// a clock could otherwise deploy before a freeze that has begun.
func present(clock time.Time, promotions evidence.Promotions) time.Time {
	if promotions.TakenAt.After(clock) {
		return promotions.TakenAt
	}
	return clock
}

// asked are the phases in which what is planned can be judged.
func asked() []gates.Phase { return []gates.Phase{gates.PhasePlan, gates.PhasePromote} }
