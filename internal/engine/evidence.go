package engine

import (
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/pipelines"
)

// Evidence puts the results of stages into the words of a gate's request: how each stage went, and the reports that they
// left.
func Evidence(p *pipelines.Pipeline, results []Result) ([]gates.Stage, []gates.Report) {
	var stages []gates.Stage
	var reports []gates.Report
	for _, result := range results {
		stage := gates.Stage{
			Name: result.Stage, Outcome: string(result.Outcome), ExitCode: result.ExitCode,
			Log: result.Log, Root: result.Root, Cached: result.Cached,
		}
		if definition := p.Stage(result.Stage); definition != nil {
			stage.Command = strings.Join(definition.Run, "\n")
		}
		stages = append(stages, stage)
		reports = append(reports, result.Reports...)
	}
	return stages, reports
}
