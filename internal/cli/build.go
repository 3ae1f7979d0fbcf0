package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// built is what the stages and the build gates came to.
type built struct {
	bundle    *bundle.Bundle // nil when the stages did not get that far
	judgement engine.Judgement
}

// build runs the stages, reads the bundle and asks the build gates. Gates are asked even when a stage failed: they say
// where. The error carries the exit code of what stopped it.
func (r *run) build(ctx context.Context) (built, error) {
	var made built
	if err := r.runBuild(ctx, nil); err != nil {
		return made, err
	}
	stages := r.stages
	var bundleProblem error
	if stages.Passed() {
		made.bundle, bundleProblem = r.readBundle(ctx)
		if made.bundle != nil {
			r.builtDigest = made.bundle.Digest
		}
		if bundleProblem == nil && r.resumes != nil {
			if r.resumes.elsewhere {
				bundleProblem = r.sameCode(made)
			} else {
				made.bundle = r.resumes.bundle // what was judged and decided on, also when the stages made another one now
			}
		}
		if bundleProblem == nil && made.bundle != nil {
			r.bus.Observe(event.Event{Type: event.BundleBuilt, Bundle: &event.Bundle{
				Digest: made.bundle.Digest, Code: made.bundle.Code(), Size: made.bundle.Size(), Modules: len(made.bundle.Modules),
			}})
		}
	}
	if err := r.openEvidence(ctx); err != nil {
		return made, err
	}
	var err error
	made.judgement, err = engine.Judge(ctx, r.judgeOptions(made, gates.PhaseBuild))
	switch {
	case ctx.Err() != nil:
		return made, context.Cause(ctx)
	case err != nil:
		return made, err
	case !stages.Passed():
		return made, stageFailure(stages)
	case bundleProblem != nil:
		return made, bundleProblem
	default:
		return made, refused(made.judgement)
	}
}

// runBuild runs the named build stages and what they need, or all of them.
func (r *run) runBuild(ctx context.Context, only []string) error {
	session := r.session
	if r.flags.explainCache {
		session = withExplanations(session, func(text string) { r.note("info", text) })
	}
	stages, err := engine.Run(ctx, engine.Options{
		Run: r.id, Pipeline: r.pipeline, Session: session, Observer: r.bus, Parallelism: r.flags.parallelism,
		NoCache: r.flags.noCache, Secrets: r.secrets.stages, KeepGoing: true, Only: only,
	})
	if err != nil {
		return err
	}
	r.stages = stages
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// readBundle parses what the bundle stage wrote; nil when the pipeline has no such stage.
func (r *run) readBundle(ctx context.Context) (*bundle.Bundle, error) {
	result := r.stages.Result(pipelines.StageBundle)
	if result == nil {
		return nil, nil
	}
	reader, ok := r.session.(engine.OutputReader)
	if !ok {
		return nil, errors.New("this executor cannot hand out the bundle")
	}
	form, err := reader.OutputPath(ctx, *result, path.Join(r.place, pipelines.BundleFile))
	if err != nil {
		return nil, fmt.Errorf("find the bundle: %w", err)
	}
	file, err := os.Open(form)
	if err != nil {
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	defer file.Close()
	made, err := bundle.Parse(file, result.Root)
	if err != nil {
		return nil, fail(ExitStageFailed, "look at the stage's output: `penstock check --json`", fmt.Errorf("read what the stage %s wrote: %w", pipelines.StageBundle, err))
	}
	if made, err = r.withAssets(ctx, reader, *result, made); err != nil {
		return nil, err
	}
	return made, nil
}

// withAssets adds the static files that the stage left, when the environment has some, and keeps their list, so that the next
// plan can name what changes.
func (r *run) withAssets(ctx context.Context, reader engine.OutputReader, result engine.Result, made *bundle.Bundle) (*bundle.Bundle, error) {
	config, err := wrangler.Load(r.root)
	if err != nil {
		return nil, err
	}
	worker, err := config.For(r.environment.WranglerEnv)
	if err != nil {
		return nil, err
	}
	leaves := slices.Contains(r.pipeline.Stage(result.Stage).Outputs, path.Join(r.place, pipelines.AssetsFolder))
	switch {
	case !leaves && worker.Assets == nil:
		return made, nil
	case !leaves:
		return nil, fail(ExitStageFailed, "let the stage copy assets.directory to "+pipelines.AssetsFolder+" and list that among its outputs",
			fmt.Errorf("%s has assets, and the stage %s leaves no static files", config.File, result.Stage))
	}
	if worker.Assets != nil && worker.Assets.Directory != "" {
		if link, target := r.source.LeadingOut(path.Join(r.place, filepath.ToSlash(worker.Assets.Directory))); link != "" {
			return nil, fail(ExitStageFailed, "put what is to be served into the folder itself",
				fmt.Errorf("%q is a link out of the app's folder, to %q, and would be served to everybody with %s", link, target, worker.Assets.Directory))
		}
	}
	folder, err := reader.OutputPath(ctx, result, path.Join(r.place, pipelines.AssetsFolder))
	if err != nil {
		return nil, fmt.Errorf("find the static files: %w", err)
	}
	var served bundle.AssetConfig
	if worker.Assets != nil {
		served = bundle.AssetConfig{
			HTMLHandling: worker.Assets.HTMLHandling, NotFoundHandling: worker.Assets.NotFoundHandling, RunWorkerFirst: worker.Assets.RunWorkerFirst,
		}
	}
	assets, err := bundle.ReadAssets(folder, served)
	if err != nil {
		return nil, fail(ExitStageFailed, "look at assets.directory in "+config.File, err)
	}
	if worker.Assets == nil && len(assets.Files) == 0 {
		return made, nil // a build may add static files, and did not
	}
	made = made.WithAssets(assets)
	kept := r.kept.vault()
	if err := errors.Join(kept.KeepAssetList(made), kept.PruneAssetLists(time.Now().Add(-keptFor))); err != nil {
		r.note("warning", "the next plan cannot name the static files that change: "+err.Error())
	}
	return made, nil
}

func stageFailure(stages engine.Outcome) error {
	var failed, errored []string
	for _, result := range stages.Results {
		switch result.Outcome {
		case event.Failed:
			failed = append(failed, result.Stage)
		case event.Errored:
			errored = append(errored, result.Stage+": "+result.Why)
		default:
		}
	}
	if len(errored) > 0 {
		return fail(ExitStageFailed, "mend what keeps it from running, then run the same command again", fmt.Errorf("could not run %s", list(errored)))
	}
	return fail(ExitStageFailed, "mend what is shown above, then run the same command again", fmt.Errorf("failed: %s", list(failed)))
}

func blockedBy(judgement engine.Judgement) string {
	var names []string
	for _, judged := range judgement.Blocking() {
		names = append(names, judged.Ref.Gate)
	}
	return "blocked by " + list(names)
}
