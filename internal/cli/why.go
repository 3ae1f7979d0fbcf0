package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/report/terminal"
	"github.com/penstock-ci/penstock/pipelines"
)

// unmet is one condition that keeps a run from going on.
type unmet struct {
	What   string `json:"what"`   // approval, gate quality/coverage, stage test, …
	Detail string `json:"detail"` // what is wrong with it
	Who    string `json:"who"`    // can clear it
	// Earliest is when it can clear by itself; zero when only somebody can clear it.
	Earliest time.Time `json:"earliest,omitzero"`
	Do       string    `json:"do"` // what to do
}

// explanation is why a run is where it is.
type explanation struct {
	Run         string             `json:"run"`
	App         string             `json:"app"`
	Environment string             `json:"environment"`
	State       string             `json:"state"`
	Reason      string             `json:"reason,omitempty"`
	Plan        string             `json:"plan,omitempty"`
	Expires     time.Time          `json:"expires,omitzero"`  // of the waiting
	Changes     []event.Change     `json:"changes,omitempty"` // that it would make, while it waits
	Scripts     []event.Script     `json:"scripts,omitempty"` // SQL that is among them
	Unmet       []unmet            `json:"unmet"`
	Decisions   []decisionLine     `json:"decisions,omitempty"`
	Waived      []string           `json:"waived,omitempty"`
	Symptoms    []symptom          `json:"symptoms,omitempty"`
	Waivers     []promotion.Waiver `json:"waivers,omitempty"`
}

// decisionLine is a decision and whether it counts for the plan as it is now.
type decisionLine struct {
	promotion.Decision
	Counts bool `json:"counts"`
}

func newWhy(shared *common) *cobra.Command {
	var environment string
	command := &cobra.Command{
		Use:   "why [RUN]",
		Short: "Show every condition that keeps a run from going on, who can clear it, and what to do",
		Long: "Lists what a run waits for or was stopped by: approvals, gates, windows, a stage, somebody at work in the environment; who or\n" +
			"what can clear each, the earliest time at which it can clear by itself, and what to do. Without RUN it is the newest run of\n" +
			"the app in this folder, or with --env the newest one to that environment; backups, rollbacks and the like that went well are\n" +
			"passed over.",
		Example: "  penstock why\n  penstock why 01JD2QK7 --json\n  penstock why --env production",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			return shared.withShown(ctx, func(all []*record) error {
				record, run, err := shared.whichRun(ctx, all, args, environment)
				if err != nil {
					return err
				}
				told, err := explain(ctx, record.Ledger, run)
				if err != nil {
					return err
				}
				if shared.json {
					return printJSON(shared.streams.Out, told)
				}
				showWhy(shared.streams, told)
				return nil
			})
		},
	}
	command.Flags().StringVarP(&environment, "env", "e", "", "the newest run to this `environment`")
	return command
}

// whichRun is the run that is named, or the newest: of this folder, if one is, or of its app in a ledger that machines share.
func (c *common) whichRun(ctx context.Context, all []*record, args []string, environment string) (*record, ledger.Run, error) {
	if len(args) > 0 || len(all) == 0 {
		record, run, err := findAmong(ctx, all, strings.Join(args, ""))
		if err == nil && environment != "" && environment != run.Info.Environment {
			err = fail(ExitUsage, "leave --env out", fmt.Errorf("run %s is to %s", run.ID, run.Info.Environment))
		}
		return record, run, err
	}
	folder, err := c.appFolder()
	if err != nil {
		return nil, ledger.Run{}, err
	}
	runs, err := runsOf(ctx, all, ledger.Filter{Environment: environment, Limit: 200})
	if err != nil {
		return nil, ledger.Run{}, err
	}
	if len(runs) == 0 {
		return nil, ledger.Run{}, fail(ExitUsage, "`penstock history` lists the runs there are", errors.New("there is no such run"))
	}
	// A backup or a look that went well is nothing to ask about, and must not stand before a run that waits.
	if open := slices.DeleteFunc(slices.Clone(runs), finishedOperation); len(open) > 0 {
		runs = open
	}
	app := all[len(all)-1].app
	here := slices.IndexFunc(runs, func(run ledger.RunSummary) bool {
		return run.Info.Folder == folder || (app != "" && run.Info.App == app)
	})
	return findAmong(ctx, all, runs[max(here, 0)].ID)
}

// finishedOperation reports whether a run was a backup, a rollback or the like, or deployed nothing, and went well.
func finishedOperation(run ledger.RunSummary) bool {
	return run.Info.Command+run.Info.Purpose != "" && run.State == ExitDone.Outcome()
}

func explain(ctx context.Context, record *ledger.Ledger, run ledger.Run) (explanation, error) {
	told := explanation{
		Run: run.ID, App: run.Info.App, Environment: run.Info.Environment, State: run.State, Plan: run.Plan, Unmet: []unmet{},
		Symptoms: symptomsOf(run),
	}
	if run.Result != nil {
		told.Reason = run.Result.Reason
	}
	for _, judged := range run.Gates {
		if judged.Waived != "" {
			told.Waived = append(told.Waived, judged.Name+" "+judged.Waived)
		}
	}
	state, err := record.Environment(ctx, run.Info.App, run.Info.Environment)
	if err != nil {
		return told, err
	}
	told.Waivers = state.Waivers
	held, err := record.Held(ctx, run.ID)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		err = nil
	case err == nil && run.State == string(held.StateAt(time.Now())):
		told.Reason, told.Plan, told.Expires = held.Reason, held.Plan, held.Expires
		if !held.StateAt(time.Now()).Waits() {
			told.Expires = time.Time{}
		}
		told.Unmet, told.Decisions = waitingFor(held)
		if held.StateAt(time.Now()).Waits() {
			// Who decides must not be shown other changes than those that the plan's digest names.
			if err := verifyLedger(ctx, record, "what it says about run "+run.ID); err != nil {
				if code, do := classify(err); code == ExitBlocked {
					told.Unmet = append(told.Unmet, unmet{What: "ledger", Detail: err.Error(), Who: "whoever keeps the ledger", Do: do})
					return told, nil
				}
				return told, err
			}
		}
		if held.Plan != "" && held.StateAt(time.Now()).Waits() {
			if told.Changes, err = promotion.PlannedChanges(held.Planned); err != nil {
				return told, err
			}
			if told.Scripts, err = scriptsOf(ctx, record, run.ID, held.Plan); err != nil {
				return told, err
			}
		}
		if !held.StateAt(time.Now()).Waits() {
			told.Unmet = append(told.Unmet, over(run, string(held.StateAt(time.Now())), held.Reason))
			return told, nil
		}
	}
	if err != nil {
		return told, err
	}
	switch run.State {
	case ExitDone.Outcome():
		return told, nil
	case ledger.Running, ledger.Unknown:
		told.Unmet = append(told.Unmet, unmet{What: "the run itself", Detail: fmt.Sprintf("process %d is at work on it", run.Process.PID), Who: "that process", Do: "wait for it, or stop it with Ctrl-C where it runs"})
	default:
		told.Unmet = append(told.Unmet, stoppedBy(run)...)
	}
	if state.Holder != nil {
		told.Unmet = append(told.Unmet, unmet{
			What: "environment " + run.Info.Environment, Detail: fmt.Sprintf("promotion %s is changing it since %s", state.Holder.Promotion, state.Holder.Since.Local().Format(time.DateTime)),
			Who: fmt.Sprintf("process %d", state.Holder.Process.PID), Do: "wait for it; `penstock status` shows when it is over",
		})
	}
	if len(told.Unmet) == 0 {
		told.Unmet = append(told.Unmet, rest(run))
	}
	return told, nil
}

// waitingFor lists the approvals that are missing, and what was decided.
func waitingFor(held promotion.Held) ([]unmet, []decisionLine) {
	missing, lines := []unmet{}, []decisionLine{}
	standing := held.Standing(held.Plan)
	for _, decision := range held.Decisions {
		counts := slices.ContainsFunc(standing.Given, func(given promotion.Decision) bool { return given.ID == decision.ID }) ||
			(standing.Rejected != nil && standing.Rejected.ID == decision.ID)
		lines = append(lines, decisionLine{decision, counts})
	}
	if !held.StateAt(time.Now()).Waits() || held.Plan == "" {
		return missing, lines
	}
	if standing.Missing() == 0 {
		return missing, lines
	}
	ask := slices.DeleteFunc(slices.Clone(held.Policy.Approvers), func(name string) bool {
		given := slices.ContainsFunc(standing.Given, func(given promotion.Decision) bool { return given.By.Is(name) })
		return given || (!held.Policy.SelfApproval && held.Author != nil && held.Author.Is(name))
	})
	detail := fmt.Sprintf("%d of %d given for plan %s%s", len(standing.Given), standing.Needed, brief(held.Plan), oneMore(standing))
	if held.Voided != "" {
		detail += "; what was decided before is void: " + held.Voided
	}
	one := unmet{What: "approval", Detail: detail, Who: strings.Join(ask, ", "), Do: "`penstock approve " + held.Run + " --reason …`"}
	if held.Policy.Signers != "" {
		one.Do = "`penstock approve " + held.Run + " --reason … --sign KEY`"
	}
	if len(ask) < standing.Missing() {
		one.Who = "nobody: too few of the approvers may approve this run"
		one.Do = "add approvers to the environment in penstock.yaml, or set selfApproval, then `penstock deploy --env " + held.Environment + "`"
	}
	return append(missing, one), lines
}

// stoppedBy lists the stages, gates and steps that stopped a run.
func stoppedBy(run ledger.Run) []unmet {
	var found []unmet
	for _, stage := range run.Stages {
		if stage.Outcome == event.Failed || stage.Outcome == event.Errored {
			detail := stage.Why
			if detail == "" {
				detail = fmt.Sprintf("exit code %d", stage.ExitCode)
			}
			do := "mend it, then `penstock deploy --env " + run.Info.Environment + "`"
			if stage.Log != "" {
				do = "read " + stage.Log + ", " + do
			}
			found = append(found, unmet{What: "stage " + stage.Name, Detail: detail, Who: "whoever changes the source", Do: do})
		}
	}
	for _, judged := range run.Gates {
		if judged.Blocks && judged.Verdict != nil {
			found = append(found, blockedByGate(run, judged))
		}
	}
	for _, step := range run.Steps {
		if step.Error != "" {
			one := unmet{What: "step " + step.Name, Detail: step.Error, Who: "whoever runs the next deploy", Do: "`penstock deploy --env " + run.Info.Environment + "`"}
			if run.Result != nil && run.Result.NextStep != "" {
				one.Do = run.Result.NextStep
			}
			found = append(found, one)
		}
	}
	return found
}

func blockedByGate(run ledger.Run, judged event.Gate) unmet {
	verdict := judged.Verdict
	one := unmet{What: "gate " + judged.Name, Detail: string(verdict.Outcome) + ": " + verdict.Summary, Who: "whoever changes what it objects to", Do: verdict.NextStep}
	if verdict.Outcome == gates.Pending && verdict.Pending != nil {
		one.Who = verdict.Pending.By
		if !run.Finished.IsZero() && verdict.Pending.AskAgain > 0 {
			one.Earliest = run.Finished.Add(verdict.Pending.AskAgain) // it was asked shortly before the run's end
		}
		one.Do = joinSteps(verdict.NextStep, "`penstock promote "+run.ID+"` asks it again")
	}
	if judged.Enforcement == string(pipelines.Overridable) && run.Bundle != "" { // a waiver holds for one bundle
		one.Do = joinSteps(one.Do, "or `penstock waive "+run.ID+" "+judged.Name+" --reason …`, then `penstock promote "+run.ID+"`")
		if len(run.Info.Approvers) > 0 {
			one.Who += "; to waive it, " + strings.Join(run.Info.Approvers, " or ")
		}
	}
	return one
}

func joinSteps(steps ...string) string {
	return strings.Join(slices.DeleteFunc(steps, func(step string) bool { return step == "" }), "; ")
}

// over is a run that does not wait any more.
func over(run ledger.Run, state, reason string) unmet {
	return unmet{What: "the run itself", Detail: "it is " + state + because(reason), Who: "nobody", Do: "`penstock deploy --env " + run.Info.Environment + "` begins anew"}
}

// rest is what is left to say of a run that nothing in particular holds up.
func rest(run ledger.Run) unmet {
	if promotion.Phase(run.State).Waits() {
		return unmet{What: "somebody who goes on", Detail: "everything that was asked for is there", Who: "anybody", Do: "`penstock promote " + run.ID + "`"}
	}
	one := unmet{What: "the run itself", Detail: "it is " + run.State, Who: "whoever runs it again", Do: "`penstock deploy --env " + run.Info.Environment + "`"}
	if run.Result != nil {
		one.Detail += because(run.Result.Reason)
		if run.Result.NextStep != "" {
			one.Do = run.Result.NextStep
		}
	}
	return one
}

// scriptsOf are the texts of the SQL that belongs to a plan of the run, as they were when it was made.
func scriptsOf(ctx context.Context, record *ledger.Ledger, run, plan string) ([]event.Script, error) {
	told, err := record.Told(ctx, run)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(told) {
		if e.Type == event.PlanMade && e.Plan != nil && e.Plan.Digest == plan {
			return e.Plan.Scripts, nil
		}
	}
	return nil, nil
}

func showWhy(streams *Streams, told explanation) {
	out := streams.Out
	fmt.Fprintf(out, "run %s · %s → %s · %s\n", told.Run, told.App, told.Environment, told.State)
	if told.Reason != "" {
		fmt.Fprintf(out, "%s\n", brief(told.Reason))
	}
	if len(told.Changes) > 0 {
		fmt.Fprintf(out, "\nit would change, by plan %s:\n", told.Plan)
		_ = streams.tabulate(changeRows(told.Changes)) // to a person's terminal; a closed pipe has nobody to tell
		terminal.ShowScripts(out, streams.colour(false), told.Scripts)
	}
	if len(told.Unmet) == 0 {
		fmt.Fprintln(out, "nothing is in its way")
	}
	for _, one := range told.Unmet {
		fmt.Fprintf(out, "\n  ○ %s: %s\n", one.What, brief(one.Detail))
		if one.Who != "" {
			fmt.Fprintf(out, "    who:  %s\n", one.Who)
		}
		if !one.Earliest.IsZero() {
			fmt.Fprintf(out, "    when: not before %s\n", one.Earliest.Local().Format(time.DateTime))
		}
		fmt.Fprintf(out, "    do:   %s\n", one.Do)
	}
	for _, decision := range told.Decisions {
		word, sign := "rejected", "✗"
		if decision.Approve {
			word, sign = "approved", "✓"
		}
		if !decision.Counts {
			word, sign = word+", which does not count for this plan,", "–"
		}
		fmt.Fprintf(out, "\n  %s %s by %s at %s: %s\n", sign, word, decision.By, decision.Time.Local().Format(time.DateTime), decision.Reason)
	}
	for _, line := range told.Waived {
		fmt.Fprintf(out, "\n  ~ %s\n", line)
	}
	if !told.Expires.IsZero() {
		fmt.Fprintf(out, "\nit waits until %s\n", told.Expires.Local().Format(time.DateTime))
	}
	for _, known := range told.Symptoms {
		fmt.Fprintf(out, "\nthis looks like: %s (%s)\n  cause: %s\n  try:   %s\n", known.Issue, known.Seen, known.Cause, known.Solution)
	}
}
