package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// EvidenceSource gathers the evidence that no stage leaves: what is live, how it fares, what would change, what happened
// before.
type EvidenceSource interface {
	// Gather writes evidence of the kind, as it is at this moment, into a new file and returns its path. It is asked only for
	// kinds that some gate of the phase judges, at most once for each asking of the phase's gates, and at any moment again
	// for the next one. An error means that nothing is known: it is told to people as the reason. Safe for concurrent use.
	Gather(ctx context.Context, phase gates.Phase, kind gates.ReportKind) (path string, err error)
}

// gatherTimeout bounds the gathering of one kind: a rehearsal copies whole databases. The gates' own time-outs bound how long
// each waits for it, and when nobody waits any more it ends.
const gatherTimeout = 15 * time.Minute

// gathering is the evidence of one asking of a phase's gates: each kind is gathered when the first gate wants it, and once.
// Safe for concurrent use.
type gathering struct {
	source EvidenceSource
	phase  gates.Phase
	ctx    context.Context //nolint:containedctx // that of the asking: no single gate's end may end what others wait for
	cancel context.CancelFunc

	mu    sync.Mutex
	kinds map[gates.ReportKind]*gathered
}

// gathered is one kind; path and err may be read once done is closed.
type gathered struct {
	done chan struct{}
	path string
	err  error
}

func newGathering(ctx context.Context, source EvidenceSource, phase gates.Phase) *gathering {
	g := &gathering{source: source, phase: phase, kinds: map[gates.ReportKind]*gathered{}}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// stop ends what is still under way; nobody waits for it any more.
func (g *gathering) stop() { g.cancel() }

// reports are those of the stages and the evidence that the gate judges. What a stage left under a kind that is gathered is
// not passed on: nobody may put their own word in the place of ours.
func (g *gathering) reports(ctx context.Context, stages []gates.Report, description gates.Description) ([]gates.Report, error) {
	reports := slices.DeleteFunc(slices.Clone(stages), func(report gates.Report) bool { return report.Kind.Gathered() })
	for _, wanted := range description.Reports {
		if !wanted.Kind.Gathered() {
			continue
		}
		path, err := g.of(ctx, wanted.Kind)
		if err != nil {
			return nil, err
		}
		reports = append(reports, gates.Report{Kind: wanted.Kind, Path: path})
	}
	return reports, nil
}

func (g *gathering) of(ctx context.Context, kind gates.ReportKind) (string, error) {
	if g.source == nil {
		return "", fmt.Errorf("nobody here can gather the evidence %q", kind)
	}
	g.mu.Lock()
	found, known := g.kinds[kind]
	if !known {
		found = &gathered{done: make(chan struct{})}
		g.kinds[kind] = found
		go g.gather(found, kind)
	}
	g.mu.Unlock()
	select {
	case <-found.done:
	case <-ctx.Done():
		return "", fmt.Errorf("gather the evidence %q: %w", kind, context.Cause(ctx))
	}
	if found.err != nil {
		return "", fmt.Errorf("the evidence %q could not be gathered: %w", kind, found.err)
	}
	return found.path, nil
}

func (g *gathering) gather(found *gathered, kind gates.ReportKind) {
	defer close(found.done)
	defer func() {
		if reason := recover(); reason != nil {
			found.err = fmt.Errorf("gathering it panicked: %v", reason)
		}
	}()
	ctx, cancel := context.WithTimeout(g.ctx, gatherTimeout)
	defer cancel()
	found.path, found.err = g.source.Gather(ctx, g.phase, kind)
	if found.err == nil && found.path == "" {
		found.err = errors.New("its source gave no file")
	}
}

// withoutEvidence is the verdict on a gate that was not asked, because what it judges could not be had.
func withoutEvidence(gate string, err error) gates.Verdict {
	return gates.Verdict{
		Outcome: gates.Inconclusive, Summary: fmt.Sprintf("%s was not asked: %v", gate, err),
		NextStep: "mend what kept the evidence away, then run the same command again",
	}
}
