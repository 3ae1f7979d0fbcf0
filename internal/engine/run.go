package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// Options say what to run. Pipeline and Session must be set.
type Options struct {
	// Run is the run's id, put into every event.
	Run      string
	Pipeline *pipelines.Pipeline
	Session  Session
	// Observer is told of the stages' events. A slow one loses lines of output, a panicking one everything after its
	// panic; neither changes the run. When it is a [*Bus], events stay in one order with those of the rest of the run and
	// the caller closes it; otherwise it has been told of everything when Run returns.
	Observer event.Observer
	// Parallelism bounds how many stages run at once; the number of processors when 0.
	Parallelism int
	// NoCache runs stages whose results are known.
	NoCache bool
	// Secrets are the values that stages may name. Each stage gets those that it names, and no other.
	Secrets map[string]string
	// Only limits the run to these stages and those that they need, directly or through others.
	Only []string
	// KeepGoing starts stages even after another one failed, as long as nothing that they need did. Without it a failure
	// lets running stages end and starts no new ones.
	KeepGoing bool
	// Earlier are results of stages of another moment, on which stages may depend.
	Earlier []Result
	// Env is added to every stage's environment. Stages with it are never cached.
	Env map[string]string

	output func(stage, line string) // told of every line besides the observer; nil for nobody
}

// Outcome is how the stages went.
type Outcome struct {
	// Outcome is Passed only when every stage passed; else the gravest, in the order Errored, Failed, Cancelled, Skipped.
	Outcome event.Outcome
	// Results are those of all stages that were asked for, in the pipeline's order.
	Results []Result
}

// Result returns the result of that stage, or nil.
func (o Outcome) Result(stage string) *Result {
	for i := range o.Results {
		if o.Results[i].Stage == stage {
			return &o.Results[i]
		}
	}
	return nil
}

// Passed reports whether every stage passed.
func (o Outcome) Passed() bool { return o.Outcome == event.Passed }

// Run runs the pipeline's build stages. A stage that fails or errs is in the Outcome; err means that nothing was run,
// because what was asked for makes no sense. When ctx ends, running stages are stopped and the rest is Cancelled.
func Run(ctx context.Context, options Options) (Outcome, error) {
	return RunStages(ctx, pipelines.WhenBuild, options)
}

// RunStages is [Run] for the stages of any moment.
func RunStages(ctx context.Context, when pipelines.When, options Options) (Outcome, error) {
	if options.Pipeline == nil || options.Session == nil {
		return Outcome{}, errors.New("the engine needs a pipeline and an executor's session")
	}
	g, err := newGraph(options.Pipeline, when, options.Only, options.Earlier)
	if err != nil {
		return Outcome{}, fmt.Errorf("order the stages: %w", err)
	}
	if options.Parallelism <= 0 {
		options.Parallelism = runtime.GOMAXPROCS(0)
	}
	bus, closeBus := ownBus(options.Run, options.Observer)
	return ensure[Outcome]{
		step: stepFunc[Outcome](func(ctx context.Context) (Outcome, error) {
			results := newSchedule(g, options, bus).run(ctx)
			return Outcome{Outcome: worst(results), Results: results}, nil
		}),
		cleanUp: closeBus,
		grace:   drain,
	}.run(ctx)
}

// worst sums results up. What is not known to be harmless is an error.
func worst(results []Result) event.Outcome {
	gravity := func(o event.Outcome) int {
		switch o {
		case event.Passed:
			return 0
		case event.Skipped:
			return 1
		case event.Cancelled:
			return 2
		case event.Failed:
			return 3
		default:
			return 4
		}
	}
	sum := event.Passed
	for _, result := range results {
		if gravity(result.Outcome) > gravity(sum) {
			sum = result.Outcome
		}
	}
	return sum
}
