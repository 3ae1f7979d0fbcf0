package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/probe"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// commandSmoke is how the record calls a smoke on demand.
const commandSmoke = "smoke"

func newSmoke(shared *common) *cobra.Command {
	flags := runFlags{command: commandSmoke}
	var version string
	command := &cobra.Command{
		Use:   "smoke",
		Short: "Smoke what is live in an environment now, and change nothing",
		Long: "Sends the environment's probes, runs the app's smoke stages and asks the gates that judge a running version, as a deployment\n" +
			"does after its switch; of several versions that take traffic each is asked by itself. With --version it is one version of\n" +
			"the current deployment, also one without traffic. The smoke tests are those of this folder; when what is live was made from\n" +
			"another source, it says so. Nothing is deployed, migrated or put back, and no lease is taken.",
		Example: "  penstock smoke --env production\n  penstock smoke --env production --version 1a2b3c4d --json",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, err := begin(ctx, shared, flags, false)
			if err != nil {
				return err
			}
			result, err := r.smokeLive(ctx, version)
			return r.finish(ctx, result, smokeFailure(err))
		},
	}
	flags.addTo(command, "to smoke")
	command.Flags().StringVar(&version, "version", "", "only this `version` of the current deployment: its id, the beginning of it, or its number")
	return command
}

// smokeFailure gives the failure of a smoke on demand its exit code.
func smokeFailure(err error) error {
	var blocked *promotion.BlockedError
	if errors.As(err, &blocked) {
		return fail(ExitBlocked, "do what each gate says above; what is live was not changed", err)
	}
	return operationFailure(err)
}

// gateOfSmoke leaves the gates that judge a version by what it answers: that can be asked of any version at any time. What
// judges by analytics, or compares with the version before, is asked where a change is watched.
func gateOfSmoke(ref pipelines.GateRef, asks gates.Description) (pipelines.GateRef, bool) {
	atVersion := ref.Phase == gates.PhasePromote || ref.Phase == gates.PhaseBake
	return ref, atVersion && (asksVersion(asks) || reads(asks, gates.ReportSmoke))
}

// asksVersion reports whether a gate asks a version that runs.
func asksVersion(asks gates.Description) bool {
	return asks.Needs.Version || slices.Contains(asks.Needs.Hosts, gates.PublicHost)
}

// reads reports whether a gate asks for evidence of one of the kinds.
func reads(asks gates.Description, kinds ...gates.ReportKind) bool {
	return slices.ContainsFunc(asks.Reports, func(report gates.Report) bool { return slices.Contains(kinds, report.Kind) })
}

// neededBySmoke are the build stages that smoke stages need. It is never nil: that would be all of them.
func neededBySmoke(p *pipelines.Pipeline) []string {
	needed := []string{}
	for _, stage := range p.StagesAt(pipelines.WhenSmoke) {
		for _, name := range stage.Needs {
			if other := p.Stage(name); other != nil && other.When != pipelines.WhenSmoke && !slices.Contains(needed, name) {
				needed = append(needed, name)
			}
		}
	}
	return needed
}

// smoked is a version that is smoked on demand.
type smoked struct {
	promotion.Version
	share float64 // percent of the traffic
	// alone says that everybody gets it, so that it is asked the way that everybody asks.
	alone bool
}

func (s smoked) title() string {
	switch {
	case s.alone:
		return "smoke version " + brief8(s.ID) + ", which everybody gets"
	case s.share == 0:
		return "smoke version " + brief8(s.ID) + ", which takes no traffic"
	default:
		return fmt.Sprintf("smoke version %s, which takes %g %% of the traffic", brief8(s.ID), s.share)
	}
}

// smokeLive smokes what is live, or one version of the deployment.
func (r *run) smokeLive(ctx context.Context, named string) (event.Result, error) {
	if len(r.flags.only) > 0 {
		if err := r.runBuild(ctx, r.flags.only); err != nil {
			return event.Result{}, err
		}
		if !r.stages.Passed() {
			return event.Result{}, stageFailure(r.stages)
		}
	}
	if err := r.openEvidence(ctx); err != nil {
		return event.Result{}, err
	}
	target, err := r.openTarget(ctx)
	if err != nil {
		return event.Result{}, err
	}
	if r.evidence != nil {
		r.evidence.planned.Store(&planned{target: target})
	}
	var versions []smoked
	result := event.Result{}
	err = r.doStep("look", "find what is live", func() (detail string, err error) {
		state, err := target.Inspect(ctx)
		if err != nil {
			return "", err
		}
		result.URL = state.URL
		if versions, err = chooseSmoked(state, r.environment.Name, named); err != nil {
			return "", err
		}
		if named == "" {
			result.Version = state.Live()
		}
		return liveText(state), nil
	})
	if err != nil {
		return event.Result{}, err
	}
	for _, version := range versions {
		if err := r.noteSource(ctx, version.Version); err != nil {
			return result, err
		}
		if err := r.smokeOne(ctx, target, version); err != nil {
			return result, err
		}
	}
	result.Reason = smokedText(versions)
	return result, nil
}

// chooseSmoked finds the versions to ask: each that takes traffic, or the one that is named, which must be of the current
// deployment: nothing leads to any other.
func chooseSmoked(state promotion.State, environment, named string) ([]smoked, error) {
	if !state.Exists || len(state.Shares) == 0 {
		return nil, fail(ExitStageFailed, "`penstock deploy --env "+environment+"` makes the first version live", fmt.Errorf("nothing is live: Worker %s has no deployment", state.Worker))
	}
	if state.Suspended {
		return nil, &promotion.MaintenanceError{Environment: environment}
	}
	var found []smoked
	for _, share := range state.Shares {
		one := smoked{Version: promotion.Version{ID: share.Version}, share: share.Percentage, alone: named == "" && share.Percentage == 100}
		for _, version := range state.Versions {
			if version.ID == share.Version {
				one.Version = version
			}
		}
		number := strconv.Itoa(one.Number)
		switch {
		case named == "" && share.Percentage > 0,
			named == one.ID, len(named) >= 6 && strings.HasPrefix(one.ID, named), one.Number > 0 && (named == number || named == "v"+number):
			found = append(found, one)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fail(ExitUsage, "name one of those; a version gets there by a deployment, be it with 0 % of the traffic",
			fmt.Errorf("version %q is not of the current deployment (%s), so that nothing leads to it", named, liveText(state)))
	case named != "" && len(found) > 1:
		return nil, fail(ExitUsage, "give more of its id", fmt.Errorf("%q begins the ids of %d versions", named, len(found)))
	}
	for _, one := range found {
		if promotion.IsPlaceholder(one.Version) {
			return nil, fail(ExitStageFailed, "`penstock deploy --env "+environment+"` makes the first version live", errors.New("only the placeholder is live, which answers 503 until a first version is"))
		}
	}
	return found, nil
}

func liveText(state promotion.State) string {
	parts := make([]string, len(state.Shares))
	for i, share := range state.Shares {
		parts[i] = fmt.Sprintf("%s at %g %%", share.Version, share.Percentage)
	}
	return strings.Join(parts, ", ")
}

func smokedText(versions []smoked) string {
	if len(versions) == 1 && versions[0].alone {
		return "what everybody gets is sound"
	}
	names := make([]string, len(versions))
	for i, version := range versions {
		names[i] = brief8(version.ID)
	}
	return "sound: version " + strings.Join(names, ", version ")
}

// smokeOne probes one version, runs the smoke stages against it and asks the gates. What it takes no traffic for is not asked of
// a version without traffic.
func (r *run) smokeOne(ctx context.Context, target *cloudflare.Target, version smoked) error {
	override := version.ID
	if version.alone {
		override = ""
	}
	address, err := target.Address(ctx, override)
	if err != nil {
		return err
	}
	options := promotion.Options{Prober: probe.HTTP{}}
	r.smokeWith(&options)
	r.recordSmoke(&options)
	name := "smoke-" + brief8(version.ID)
	err = r.doStep(name, version.title(), func() (string, error) {
		return promotion.Smoke(ctx, options, address, version.ID, r.environment.Smoke, func(line string) {
			r.bus.Observe(event.Event{Type: event.StepProgress, Step: &event.Step{Name: name, Title: version.title()}, Text: line})
		})
	})
	if err != nil {
		return err
	}
	phases := []gates.Phase{gates.PhasePromote}
	if version.share > 0 {
		phases = append(phases, gates.PhaseBake)
	}
	for _, phase := range phases {
		if err := r.judgeRunning(ctx, phase, address, version.Version); err != nil {
			return err
		}
	}
	return nil
}

// judgeRunning asks the gates of a phase about a version that runs. A waiver that was given for its bundle holds.
func (r *run) judgeRunning(ctx context.Context, phase gates.Phase, address promotion.Address, version promotion.Version) error {
	if !r.hasGates(phase) {
		return nil
	}
	judging := r.judgeOptions(built{}, phase)
	judging.Request.Run.BundleDigest = version.Bundle
	if version.Bundle != "" {
		judging.Waiver = r.waiver(version.Bundle)
	}
	ruling, err := proxiedJudge{judge: engine.PromotionJudge{Options: judging}, smoke: r.environment.Smoke}.Judge(ctx, phase, address, version.ID)
	if err != nil {
		return fmt.Errorf("ask the %s gates: %w", phase, err)
	}
	if !ruling.Allowed {
		return &promotion.BlockedError{Phase: string(phase), Blocking: ruling.Blocking, Summary: ruling.Summary}
	}
	return nil
}

// noteSource says when the smoke tests are not of the source from which the version was made.
func (r *run) noteSource(ctx context.Context, version promotion.Version) error {
	past, err := r.ledger.Past(ctx, r.pipeline.Name, r.environment.Name)
	if err != nil {
		return err
	}
	here := sourceText(r.source.Commit, r.source.Dirty)
	made := slices.IndexFunc(past, func(one promotion.Checkpoint) bool { return one.Promotion == version.Tag && one.Version == version.ID })
	if made < 0 {
		r.note("warning", fmt.Sprintf("the smoke tests are those of %s; which source version %s was made from is not known to this ledger", here, brief8(version.ID)))
		return nil
	}
	run, err := r.ledger.Run(ctx, past[made].Run)
	if err != nil {
		return err
	}
	if run.Info.SourceDigest != r.source.Digest {
		r.note("warning", fmt.Sprintf("the smoke tests are those of %s; version %s was made from %s (run %s)",
			here, brief8(version.ID), sourceText(run.Info.Commit, run.Info.Dirty), run.ID))
	}
	return nil
}

// sourceText is a source for people.
func sourceText(commit string, dirty bool) string {
	switch {
	case commit == "":
		return "a folder that is in no commit"
	case dirty:
		return fmt.Sprintf("commit %.12s with changes", commit)
	default:
		return fmt.Sprintf("commit %.12s", commit)
	}
}

// brief8 is how people read a version's id.
func brief8(version string) string { return version[:min(len(version), 8)] }
