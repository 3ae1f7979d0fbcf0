package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

func newRunStages(shared *common) *cobra.Command {
	flags := runFlags{purpose: "run"}
	var into string
	command := &cobra.Command{
		Use:   "run STAGE...",
		Short: "Run single stages and what they need, and ask no gates",
		Long: "Runs the named build stages with all that they need. No gate is asked, so a stage that passes has been judged by nobody.\n" +
			"With --into, what the named stages left is copied there: reports/STAGE/ and outputs/STAGE/.",
		Example: "  penstock run test\n  penstock run test lint --into results",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			flags.only, flags.alone = args, true
			r, err := begin(ctx, shared, flags, false)
			if err != nil {
				return err
			}
			return r.finish(ctx, event.Result{}, r.only(ctx, args, into))
		},
	}
	flags.addTo(command, "whose stages they are")
	command.Flags().StringVar(&into, "into", "", "copy reports and outputs into this `folder`, which must be empty or not there")
	return command
}

// only runs the named stages and copies what they left, also of those that failed.
func (r *run) only(ctx context.Context, names []string, into string) error {
	if into != "" {
		if entries, err := os.ReadDir(into); err == nil && len(entries) > 0 {
			return fail(ExitUsage, "name another folder with --into", fmt.Errorf("%s is not empty", into))
		}
		if err := os.MkdirAll(into, 0o755); err != nil { // it is there also when nothing is left
			return fail(ExitUsage, "name another folder with --into", err)
		}
	}
	if err := r.runBuild(ctx, names); err != nil {
		return err
	}
	if into != "" {
		for _, name := range names {
			if err := r.hand(ctx, r.stages.Result(name), into); err != nil {
				return fmt.Errorf("copy what stage %s left: %w", name, err)
			}
		}
	}
	if !r.stages.Passed() {
		return stageFailure(r.stages)
	}
	return nil
}

// asked reports whether a stage will run: all do, unless only some were named, and what those need.
func (f *runFlags) asked(p *pipelines.Pipeline, stage string) bool {
	if f.only == nil || slices.Contains(f.only, stage) {
		return true
	}
	return slices.ContainsFunc(p.StagesAt(pipelines.WhenBuild), func(other pipelines.Stage) bool {
		return slices.Contains(other.Needs, stage) && f.asked(p, other.Name)
	})
}

// namedStages refuses names of stages that a pipeline does not build with.
func namedStages(p *pipelines.Pipeline, names []string) error {
	for _, name := range names {
		if stage := p.Stage(name); stage == nil || stage.When == pipelines.WhenSmoke {
			return fail(ExitUsage, "the stages are "+list(stageNames(p)), fmt.Errorf("there is no build stage %q", name))
		}
	}
	return nil
}

func stageNames(p *pipelines.Pipeline) []string {
	var names []string
	for _, stage := range p.StagesAt(pipelines.WhenBuild) {
		names = append(names, stage.Name)
	}
	return names
}

// hand copies a stage's reports and outputs for people.
func (r *run) hand(ctx context.Context, result *engine.Result, into string) error {
	if result == nil {
		return nil
	}
	for _, report := range result.Reports {
		if err := copyTree(report.Path, filepath.Join(into, "reports", result.Stage, filepath.Base(report.Path))); err != nil {
			return err
		}
	}
	if result.Handle == "" {
		return nil
	}
	reader, ok := r.session.(engine.OutputReader)
	if !ok {
		return errors.New("this executor cannot hand out outputs")
	}
	for _, output := range r.pipeline.Stage(result.Stage).Outputs {
		path, err := reader.OutputPath(ctx, *result, output)
		if err != nil {
			return err
		}
		if err := copyTree(path, filepath.Join(into, "outputs", result.Stage, filepath.FromSlash(output))); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a file or a folder. Links stay links.
func copyTree(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm()|fs.FileMode(0o200))
}
