package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/pipelines"
)

func newInit(shared *common) *cobra.Command {
	var force, github bool
	var environment string
	command := &cobra.Command{
		Use:   "init",
		Short: "Write the pipeline that fits this app into penstock.yaml, commented",
		Long: "Derives the pipeline from package.json and the wrangler config, as every command does, and writes it out to be\n" +
			"adjusted. Nothing changes by having the file: what is written is what was derived.",
		Example: "  penstock init\n  penstock init --json   # prints the pipeline and writes nothing\n  penstock init --github # workflows for GitHub Actions",
		RunE: func(command *cobra.Command, _ []string) error {
			if github {
				return initGitHub(command.Context(), shared, environment, force)
			}
			folder, err := shared.appFolder()
			if err != nil {
				return err
			}
			path := filepath.Join(folder, pipelines.FileName)
			if _, err := os.Lstat(path); err == nil && !force && !shared.json {
				return fail(ExitUsage, "adjust that file, or write it anew with --force", fmt.Errorf("%s is there already", pipelines.FileName))
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			pipeline, notes, err := derive(folder)
			if err != nil {
				return err
			}
			if shared.json {
				return printJSON(shared.streams.Out, derived{pipeline, append(pipelines.Problems{}, notes...)})
			}
			text, err := pipelines.WriteYAML(pipeline)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(shared.streams.Out, "wrote %s: %d stages, %d gates, %d environments\n", pipelines.FileName, len(pipeline.Stages),
				len(pipeline.Gates), len(pipeline.Environments))
			for _, note := range notes {
				fmt.Fprintf(shared.streams.Out, "! %s\n", note)
			}
			fmt.Fprintln(shared.streams.Out, "next: read it, then `penstock check`")
			return nil
		},
	}
	command.Flags().BoolVar(&force, "force", false, "replace the file that is there")
	command.Flags().BoolVar(&github, "github", false, "write workflows for GitHub Actions instead")
	command.Flags().StringVarP(&environment, "env", "e", "production", "the `environment` that --github deploys to")
	return command
}

// derived is the pipeline that fits an app, as init --json prints it.
type derived struct {
	Pipeline pipelines.Pipeline `json:"pipeline"`
	Notes    pipelines.Problems `json:"notes"`
}

// derive fits the shipped pipeline to the app, as if there were no penstock.yaml.
func derive(folder string) (pipelines.Pipeline, pipelines.Problems, error) {
	app, problems, err := appfacts.Read(folder)
	if err != nil {
		return pipelines.Pipeline{}, nil, unfit(folder, err)
	}
	problems = append(problems, pipelines.Notes(app)...)
	if err := problems.Err(); err != nil {
		return pipelines.Pipeline{}, nil, unfit(folder, err)
	}
	pipeline, wrong := pipelines.Build(pipelines.Worker(app), nil)
	if err := wrong.Err(); err != nil {
		return pipelines.Pipeline{}, nil, fmt.Errorf("the shipped pipeline does not fit: %w", err)
	}
	return pipeline, append(problems, wrong...), nil
}
