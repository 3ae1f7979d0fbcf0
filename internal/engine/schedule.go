package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/penstock-ci/penstock/internal/event"
)

// schedule runs the nodes of a graph, each once, after all that it needs, at most Parallelism at a time. It belongs to
// one goroutine; only the stages themselves run in others.
type schedule struct {
	graph   *graph
	options Options
	bus     *Bus

	results []Result
	waiting []int     // needs that have not settled yet
	reach   []reached // of settled nodes
	ready   []int     // to be started next at the end
	running int
	done    chan finished
	failed  string // the first stage that did not pass
}

type finished struct {
	node   int
	result Result
}

// reached are the nodes that a node needs directly or through others, and the earlier results so reached. A stage in a
// chain shares the memory of the one before it: lists only ever grow at their end, each by its owner.
type reached struct {
	results []*Result
}

func newSchedule(g *graph, options Options, bus *Bus) *schedule {
	n := len(g.nodes)
	return &schedule{
		graph: g, options: options, bus: bus,
		results: make([]Result, n), waiting: make([]int, n), reach: make([]reached, n),
		done: make(chan finished, options.Parallelism),
	}
}

func (s *schedule) run(ctx context.Context) []Result {
	for i := range s.graph.nodes {
		s.waiting[i] = len(s.graph.nodes[i].needs)
		if s.waiting[i] == 0 {
			s.ready = append(s.ready, i)
		}
	}
	slices.SortFunc(s.ready, s.later)
	for len(s.ready) > 0 || s.running > 0 {
		for len(s.ready) > 0 && s.running < s.options.Parallelism {
			last := len(s.ready) - 1
			i := s.ready[last]
			s.ready = s.ready[:last]
			s.start(ctx, i)
		}
		if s.running > 0 {
			f := <-s.done
			s.running--
			s.settle(f.node, f.result)
		}
	}
	return s.results
}

// later orders the ready list: the longest way to an end comes last and is started first, then the pipeline's order.
func (s *schedule) later(a, b int) int {
	return cmp.Or(cmp.Compare(s.graph.nodes[a].height, s.graph.nodes[b].height), cmp.Compare(b, a))
}

// start starts a stage, or settles it at once when it must not run.
func (s *schedule) start(ctx context.Context, i int) {
	n := &s.graph.nodes[i]
	if refusal, refused := s.refusal(ctx, i); refused {
		s.bus.Observe(event.Event{Type: event.StageFinished, Stage: finishedEvent(n.stage, 0, refusal)})
		s.settle(i, refusal)
		return
	}
	needs := s.gather(i)
	s.running++
	go func() {
		s.done <- finished{i, runStage(ctx, n.stage, needs, &s.options, s.bus)}
	}()
}

// refusal says why a stage whose needs have settled must not run.
func (s *schedule) refusal(ctx context.Context, i int) (Result, bool) {
	n := &s.graph.nodes[i]
	result := Result{Stage: n.stage.Name, ExitCode: -1}
	for _, before := range n.before {
		if before.Outcome != event.Passed {
			result.Outcome, result.Why = event.Skipped, "needs "+before.Stage+", "+fate(before.Outcome)
			return result, true
		}
	}
	for _, need := range n.needs {
		if needed := &s.results[need]; needed.Outcome != event.Passed {
			result.Outcome, result.Why = event.Skipped, "needs "+needed.Stage+", "+fate(needed.Outcome)
			if needed.Outcome == event.Cancelled {
				result.Outcome, result.Why = event.Cancelled, stopped
			}
			return result, true
		}
	}
	if ctx.Err() != nil {
		result.Outcome, result.Why = event.Cancelled, stopped
		return result, true
	}
	if s.failed != "" && !s.options.KeepGoing {
		result.Outcome, result.Why = event.Skipped, "not started because "+s.failed+" did not pass"
		return result, true
	}
	return result, false
}

const stopped = "the run was stopped"

// fate puts an outcome into a sentence.
func fate(o event.Outcome) string {
	switch o {
	case event.Failed:
		return "which failed"
	case event.Skipped:
		return "which was skipped"
	case event.Cancelled:
		return "which was cancelled"
	default:
		return "which could not be run"
	}
}

// gather lists the results of everything that a node needs, directly or through others, each once.
func (s *schedule) gather(i int) []*Result {
	n := &s.graph.nodes[i]
	if len(n.needs) == 1 && len(n.before) == 0 {
		// The usual case, and the one that gets long: what the one need reached, and itself. Where the need has other
		// dependents, a clipped list makes this one copy instead of sharing the memory behind it.
		need := n.needs[0]
		base := s.reach[need].results
		if len(s.graph.nodes[need].dependents) > 1 {
			base = slices.Clip(base)
		}
		s.reach[i].results = append(base, &s.results[need])
		return slices.Clip(s.reach[i].results)
	}
	seen := map[*Result]bool{}
	var all []*Result
	add := func(r *Result) {
		if !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	for _, before := range n.before {
		for k := range s.options.Earlier {
			// What an earlier stage needed is not known any more, so all that passed before is handed on.
			if s.options.Earlier[k].Outcome == event.Passed {
				add(&s.options.Earlier[k])
			}
		}
		add(before)
	}
	for _, need := range n.needs {
		for _, r := range s.reach[need].results {
			add(r)
		}
		add(&s.results[need])
	}
	s.reach[i].results = all
	return slices.Clip(all)
}

// settle records a stage's result and makes its dependents ready.
func (s *schedule) settle(i int, result Result) {
	s.results[i] = result
	if result.Outcome != event.Passed && s.failed == "" {
		s.failed = result.Stage
	}
	for _, dependent := range s.graph.nodes[i].dependents {
		if s.waiting[dependent]--; s.waiting[dependent] == 0 {
			at, _ := slices.BinarySearchFunc(s.ready, dependent, s.later)
			s.ready = slices.Insert(s.ready, at, dependent)
		}
	}
}
