package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// lineState is how one line of a checklist stands.
type lineState string

// The states of a line, from the one that weighs most. Only pass, warn and "does not apply" are no reason to stop.
const (
	lineFail    lineState = "fail"
	lineUnknown lineState = "unknown"
	lineWarn    lineState = "warn"
	linePass    lineState = "pass"
	lineAbsent  lineState = "not applicable"
)

var lineWeight = map[lineState]int{lineFail: 4, lineUnknown: 3, lineWarn: 2, linePass: 1, lineAbsent: 0}

// doctorLine is one line as it stands.
type doctorLine struct {
	Line   string     `json:"line"`
	State  lineState  `json:"state"`
	Detail string     `json:"detail"`       // what was seen, or why it does not apply
	Do     string     `json:"do,omitempty"` // what a person can do
	Gates  []doctored `json:"gates,omitempty"`
}

// doctored is one gate's word on a line.
type doctored struct {
	Gate    string        `json:"gate"`
	Outcome gates.Outcome `json:"outcome,omitempty"` // absent when it was not asked
	Run     string        `json:"run,omitempty"`     // in which it was asked
	At      time.Time     `json:"at,omitzero"`
}

// diagnosis is what doctor prints.
type diagnosis struct {
	App         string            `json:"app"`
	Environment string            `json:"environment"`
	Healthy     bool              `json:"healthy"`
	Counts      map[lineState]int `json:"counts"`
	Lists       []diagnosedList   `json:"lists"`
	Symptoms    []symptom         `json:"symptoms,omitempty"` // of the guide's troubleshooting table, as seen in the newest run
}

type diagnosedList struct {
	Title string       `json:"title"`
	Lines []doctorLine `json:"lines"`
}

func newDoctor(shared *common) *cobra.Command {
	flags := runFlags{purpose: "doctor"}
	var recorded, troubleshooting bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Show the production guide's checklists, each line with its state and what to do",
		Long: "Runs the stages, asks the gates that judge the build, the plan, the environment and the version that is live, and shows the\n" +
			"guide's three checklists: code quality, security, infrastructure; then what this machine needs. Nothing is deployed.\n" +
			"Exits with 4 when a line fails or is not known.",
		Example: "  penstock doctor --env production\n  penstock doctor --env production --recorded --json\n  penstock doctor --troubleshooting",
		RunE: func(command *cobra.Command, _ []string) error {
			if troubleshooting {
				return shared.showTroubles()
			}
			told, err := shared.diagnose(command.Context(), flags, recorded)
			if err != nil {
				return err
			}
			var refusal error
			if !told.Healthy {
				refusal = fail(ExitBlocked, "do what each line says, then run the same command again",
					fmt.Errorf("%s: %s", told.Environment, told.wrong()))
			}
			if shared.json {
				return alreadyTold(refusal, printJSON(shared.streams.Out, told))
			}
			return errors.Join(showDiagnosis(shared.streams, told), refusal)
		},
	}
	flags.addTo(command, "to look at")
	command.Flags().BoolVar(&recorded, "recorded", false, "run nothing: tell only what earlier runs to the environment found")
	command.Flags().BoolVar(&troubleshooting, "troubleshooting", false, "print the guide's table of common issues, with cause and solution")
	return command
}

// answers are what gates said, by name, and why others were not asked.
type answers struct {
	said  map[string]answered
	asked map[string]pipelines.GateRef // gates of the pipeline in this environment
	known func(gate string) error      // nil when some set serves the gate
	// elsewhere are the gates that the pipeline asks in other environments only, and in which.
	elsewhere map[string][]string
	// unasked is why gates of the pipeline were not asked now; "" when nothing kept them.
	unasked string
	missing []engine.MissingTool // what the stages need and this machine lacks
}

type answered struct {
	verdict gates.Verdict
	run     string
	at      time.Time
}

func (c *common) diagnose(ctx context.Context, flags runFlags, recorded bool) (diagnosis, error) {
	folder, err := c.appFolder()
	if err != nil {
		return diagnosis{}, err
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err = errors.Join(err, problems.Err()); err != nil {
		return diagnosis{}, unfit(folder, err)
	}
	pipeline, err := fitted.For(flags.environment)
	if err != nil {
		return diagnosis{}, fail(ExitUsage, "choose one with --env, or add it to penstock.yaml (`penstock init` writes one)", err)
	}
	environment := pipeline.Environment(flags.environment)
	config, err := wrangler.Load(folder)
	if err != nil {
		return diagnosis{}, unfit(folder, err)
	}
	worker, err := config.For(environment.WranglerEnv)
	if err != nil {
		return diagnosis{}, unfit(folder, err)
	}

	heard := answers{said: map[string]answered{}, asked: map[string]pipelines.GateRef{}, elsewhere: map[string][]string{}}
	for _, ref := range pipeline.Gates {
		if ref.AskedIn(environment.Name) {
			heard.asked[ref.Gate] = ref
		} else {
			heard.elsewhere[ref.Gate] = ref.Environments
		}
	}
	told := diagnosis{App: pipeline.Name, Environment: environment.Name, Counts: map[lineState]int{}}
	if recorded {
		heard.unasked = "it was not asked by any run on record"
	} else if err := c.askNow(ctx, flags, &heard); err != nil {
		return diagnosis{}, err
	}
	if err := c.withRecordOf(ctx, *environment, func(record *ledger.Ledger) error { return recall(ctx, record, &told, &heard, recorded) }); err != nil {
		return diagnosis{}, err
	}
	err = c.withGates(ctx, func(host *gatehost.Host) error {
		heard.known = func(gate string) error {
			_, err := host.Describe(ctx, gate)
			return err
		}
		for _, list := range guideLists {
			diagnosed := diagnosedList{Title: list.title}
			for _, line := range list.lines {
				diagnosed.Lines = append(diagnosed.Lines, heard.line(line, worker, environment.Name))
			}
			told.Lists = append(told.Lists, diagnosed)
		}
		told.Lists = append(told.Lists, diagnosedList{Title: "This machine", Lines: machine(ctx, folder, *pipeline, flags.executor == executorDagger, environment.Target == localTarget, host, heard.missing)})
		return nil
	})
	for _, list := range told.Lists {
		for _, line := range list.Lines {
			told.Counts[line.State]++
		}
	}
	told.Healthy = told.Counts[lineFail] == 0 && told.Counts[lineUnknown] == 0
	return told, errors.Join(err, ctx.Err())
}

// askNow runs the stages and asks the gates of the build and the plan. What keeps it from asking is in heard; err is only for
// what leaves nothing to tell.
func (c *common) askNow(ctx context.Context, flags runFlags, heard *answers) error {
	quiet, streams := *c, *c.streams
	streams.Out = io.Discard // the run's own summary: the checklists are this command's
	quiet.streams, quiet.json = &streams, false
	flags.alone = true
	r, err := begin(ctx, &quiet, flags, false)
	var tools *engine.MissingToolsError
	if errors.As(err, &tools) { // the lines about this machine say it
		heard.missing = tools.Missing
		var names []string
		for _, missing := range tools.Missing {
			names = append(names, missing.Tool.Name)
		}
		heard.unasked = "the stages cannot run without " + list(names)
		return nil
	}
	if err != nil {
		return err
	}
	made, problem := r.build(ctx)
	judgements := []engine.Judgement{made.judgement}
	if made.bundle != nil && ctx.Err() == nil {
		later, err := r.judgeEnvironment(ctx, made)
		if err != nil {
			problem = err
		}
		judgements = append(judgements, later...)
	}
	for _, judgement := range judgements {
		for _, judged := range judgement.Gates {
			heard.hear(judged.Ref.Gate, answered{judged.Verdict, r.id, time.Now()})
		}
	}
	if problem != nil {
		heard.unasked = problem.Error()
	}
	// What the gates say is the answer here and no failure of the run.
	ended := r.finish(ctx, event.Result{}, nil)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ended
}

// judgeEnvironment plans, and asks the gates that judge the plan and what is live. What keeps a promotion from being planned, such
// as a domain that leads to another Worker, is what the gates of the environment are there to tell: they are asked all the same.
func (r *run) judgeEnvironment(ctx context.Context, made built) ([]engine.Judgement, error) {
	target, plan, refusal := r.plan(ctx, made)
	if refusal != nil {
		var err error
		if target, err = r.openTarget(ctx); err != nil {
			return nil, refusal
		}
		if plan.Live, err = target.Inspect(ctx); err != nil {
			return nil, refusal
		}
		r.evidence.planned.Store(&planned{target: target})
		judgements, err := r.judgeLive(ctx, made, target, plan.Live)
		return judgements, errors.Join(refusal, err)
	}
	var judgements []engine.Judgement
	if r.hasGates(gates.PhasePlan) {
		judgement, err := engine.Judge(ctx, r.judgeOptions(made, gates.PhasePlan))
		judgements = append(judgements, judgement)
		if err != nil {
			return judgements, err
		}
	}
	later, err := r.judgeLive(ctx, made, target, plan.Live)
	return append(judgements, later...), err
}

// hear takes in one answer; of several to one gate the one that weighs most counts.
func (a *answers) hear(gate string, one answered) {
	if before, heard := a.said[gate]; heard && lineWeight[stateOf(before.verdict)] >= lineWeight[stateOf(one.verdict)] {
		return
	}
	a.said[gate] = one
}

// recall adds what is on record: the symptoms of the newest run, and, where only the record was asked for, the gates' answers:
// those about a version from the run that made live what is live, the others from the newest run that asked. What could not
// be found out now is not known, whatever an earlier run found.
func recall(ctx context.Context, record *ledger.Ledger, told *diagnosis, heard *answers, recorded bool) error {
	if record == nil {
		return nil
	}
	runs, err := record.Runs(ctx, ledger.Filter{App: told.App, Environment: told.Environment, Limit: 50})
	if err != nil {
		return err
	}
	state, err := record.Environment(ctx, told.App, told.Environment)
	if err != nil {
		return err
	}
	for i, summary := range runs {
		run, err := record.Run(ctx, summary.ID)
		if err != nil {
			return err
		}
		if i == 0 {
			told.Symptoms = symptomsOf(run)
		}
		if !recorded {
			break
		}
		found := map[string]answered{}
		for _, judged := range run.Gates {
			if _, newer := heard.said[judged.Name]; newer || judged.Verdict == nil {
				continue
			}
			aboutVersion := judged.Phase == gates.PhasePromote || judged.Phase == gates.PhaseBake
			if !aboutVersion || run.ID == state.Run {
				one := answered{*judged.Verdict, run.ID, run.Started}
				if before, twice := found[judged.Name]; !twice || lineWeight[stateOf(one.verdict)] > lineWeight[stateOf(before.verdict)] {
					found[judged.Name] = one
				}
			}
		}
		for gate, one := range found {
			heard.said[gate] = one
		}
	}
	return nil
}

// stateOf is what a verdict means for a line. What neither passes nor fails is not known.
func stateOf(verdict gates.Verdict) lineState {
	switch verdict.Outcome {
	case gates.Pass:
		return linePass
	case gates.Warn:
		return lineWarn
	case gates.Fail:
		return lineFail
	default:
		return lineUnknown
	}
}

// line judges one line of a checklist by its gates: the one that weighs most counts.
func (a *answers) line(line guideLine, worker wrangler.Worker, environment string) doctorLine {
	told := doctorLine{Line: line.text, State: lineAbsent}
	if line.absent != nil {
		if told.Detail = line.absent(worker); told.Detail != "" {
			return told
		}
	}
	for _, gate := range line.gates {
		state, detail, do := a.about(gate, environment)
		one := doctored{Gate: gate}
		if said, heard := a.said[gate]; heard {
			one.Outcome, one.Run, one.At = said.verdict.Outcome, said.run, said.at
		}
		told.Gates = append(told.Gates, one)
		if told.Detail == "" || lineWeight[state] > lineWeight[told.State] {
			told.State, told.Detail, told.Do = state, detail, do
		}
	}
	return told
}

// about is how one gate stands.
func (a *answers) about(gate, environment string) (state lineState, detail, do string) {
	ref, inPipeline := a.asked[gate]
	said, heard := a.said[gate]
	switch {
	case heard:
		detail = said.verdict.Summary
		if said.verdict.Outcome != gates.Pass && said.verdict.Outcome != gates.Fail {
			detail = string(said.verdict.Outcome) + ": " + detail
		}
		return stateOf(said.verdict), detail, said.verdict.NextStep
	case a.known(gate) != nil:
		return lineUnknown, gate + " cannot be asked: " + a.known(gate).Error(), "mend that, or look at it by hand"
	case !inPipeline && a.elsewhere[gate] != nil:
		return lineAbsent, gate + " is asked in " + list(a.elsewhere[gate]) + " only", ""
	case !inPipeline:
		return lineUnknown, gate + " is not asked in " + environment, "give the app what it judges (a script, a config), or add it under gates: in penstock.yaml"
	case a.unasked != "":
		return lineUnknown, gate + " was not asked: " + a.unasked, "mend that, then `penstock doctor --env " + environment + "`"
	case ref.Phase == gates.PhasePromote || ref.Phase == gates.PhaseBake:
		return lineUnknown, gate + " judges what is live: nothing is live yet, as far as is known", "`penstock deploy --env " + environment + "` asks it"
	default:
		return lineUnknown, gate + " was not asked", "`penstock deploy --env " + environment + "` asks it"
	}
}

var lineSigns = map[lineState]string{lineFail: "✗", lineUnknown: "?", lineWarn: "!", linePass: "✓", lineAbsent: "–"}

func showDiagnosis(streams *Streams, told diagnosis) error {
	var rows [][]string
	for _, list := range told.Lists {
		rows = append(rows, nil, []string{list.Title})
		for _, line := range list.Lines {
			detail := line.Detail
			if line.State == lineAbsent {
				detail = "does not apply: " + detail
			}
			for _, gate := range line.Gates {
				if gate.Run != "" && time.Since(gate.At) > time.Hour {
					detail += " (" + age(time.Since(gate.At)) + " ago)"
					break
				}
			}
			rows = append(rows, []string{"  " + lineSigns[line.State] + " " + line.Line, strings.Join(strings.Fields(detail), " ")})
			if line.Do != "" && line.State != linePass && line.State != lineAbsent {
				rows = append(rows, []string{"", "→ " + strings.Join(strings.Fields(line.Do), " ")})
			}
		}
	}
	for _, symptom := range told.Symptoms {
		rows = append(rows, nil, []string{fmt.Sprintf("seen in the newest run: %s (%q)", symptom.Issue, symptom.Seen)}, []string{"  cause: " + symptom.Cause}, []string{"  solution: " + symptom.Solution})
	}
	rows = append(rows, nil, []string{fmt.Sprintf("%s in %s: %d pass, %d warn, %d fail, %d unknown, %d do not apply", told.App, told.Environment,
		told.Counts[linePass], told.Counts[lineWarn], told.Counts[lineFail], told.Counts[lineUnknown], told.Counts[lineAbsent])})
	return streams.tabulate(rows)
}

// wrong counts the lines for which doctor does not answer with 0.
func (d *diagnosis) wrong() string {
	var parts []string
	if n := d.Counts[lineFail]; n > 0 {
		parts = append(parts, gates.Counted(n, "line")+" failed")
	}
	if n := d.Counts[lineUnknown]; n > 0 {
		parts = append(parts, gates.Counted(n, "line")+" not known")
	}
	return strings.Join(parts, ", ")
}

// age writes a long time roughly: 3 h, 2 d.
func age(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d d", int(d.Hours())/24)
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

// showTroubles prints the guide's table of common issues.
func (c *common) showTroubles() error {
	table := make([]symptom, 0, len(troubles))
	for _, trouble := range troubles {
		table = append(table, symptom{Issue: trouble.issue, Cause: trouble.cause, Solution: trouble.solution})
	}
	if c.json {
		return printJSON(c.streams.Out, table)
	}
	for _, row := range table {
		if _, err := fmt.Fprintf(c.streams.Out, "%s\n  cause:    %s\n  solution: %s\n", row.Issue, row.Cause, row.Solution); err != nil {
			return err
		}
	}
	return nil
}
