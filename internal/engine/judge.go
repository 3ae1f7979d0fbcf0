package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

const (
	// defaultGateTimeout bounds a gate whose reference gives no bound.
	defaultGateTimeout = time.Minute
	// gateGrace is how long after its deadline a gatekeeper may take to say so before it is no longer waited for.
	gateGrace = 5 * time.Second
	// gateRetries is how many more times a gate is asked that could not be asked. An answer is never asked for again.
	gateRetries = 1
	gatePause   = 250 * time.Millisecond
	// defaultGatesAtOnce bounds the gates that run side by side; most of their time is waiting, and twenty are to take little
	// longer than the slowest of them.
	defaultGatesAtOnce = 32
)

// JudgeOptions say which gates to ask about what. Gatekeeper must be set when there are gates to ask.
type JudgeOptions struct {
	Run        string // id of the run, put into every event
	Gatekeeper Gatekeeper
	// Gates are all of the pipeline's; those of Phase and Environment are asked.
	Gates       []pipelines.GateRef
	Phase       gates.Phase
	Environment string // "" asks every gate of the phase
	// Request is what every gate is told. Gate, Phase and Config are filled in for each.
	Request gates.Request
	// Evidence gathers what no stage leaves; nil gathers nothing, so that gates that judge such evidence are not asked.
	Evidence EvidenceSource
	// Waiver finds what lets a gate that blocks and can be waived pass; nil where nothing is waived.
	Waiver      func(ref pipelines.GateRef, phase gates.Phase, verdict gates.Verdict) (Waived, bool)
	Observer    event.Observer // as in [Options]
	Parallelism int            // how many gates are asked at once; 32 when 0
}

// Judgement is what the gates of one phase said.
type Judgement struct {
	Phase gates.Phase
	Gates []Judged // in the pipeline's order
}

// Judged is one gate's answer and what follows from it.
type Judged struct {
	Ref     pipelines.GateRef // with the enforcement that counts
	Info    GateInfo          // zero when the gate could not be described
	Verdict gates.Verdict
	Blocks  bool
	// Waived is what let the gate pass although its verdict blocks; zero when nothing had to.
	Waived   Waived
	Duration time.Duration
}

// Waived is a waiver that was used.
type Waived struct {
	ID   string
	Text string // one line for people: by whom, until when, why
}

// Blocked reports whether any gate blocks.
func (j Judgement) Blocked() bool { return len(j.Blocking()) > 0 }

// Blocking returns the gates that block.
func (j Judgement) Blocking() []Judged {
	var blocking []Judged
	for _, judged := range j.Gates {
		if judged.Blocks {
			blocking = append(blocking, judged)
		}
	}
	return blocking
}

// Waiting reports whether gates block and all that do only wait for somebody or something.
func (j Judgement) Waiting() bool {
	blocking := j.Blocking()
	for _, judged := range blocking {
		if judged.Verdict.Outcome != gates.Pending {
			return false
		}
	}
	return len(blocking) > 0
}

// Judge asks all gates of a phase side by side. Whatever keeps a gate from answering is its verdict, [gates.Error]; err
// is only for a run that was stopped, and then everything unanswered blocks. A second reference to a gate adds to the
// first: its config is judged too, and the more restrictive enforcement counts for both.
func Judge(ctx context.Context, options JudgeOptions) (Judgement, error) {
	refs, err := askedAt(options.Gates, options.Phase, options.Environment)
	if err != nil {
		return Judgement{}, err
	}
	if len(refs) > 0 && options.Gatekeeper == nil {
		return Judgement{}, errors.New("the pipeline has gates and there is no gatekeeper to ask them")
	}
	if options.Parallelism <= 0 {
		options.Parallelism = defaultGatesAtOnce
	}
	bus, closeBus := ownBus(options.Run, options.Observer)
	found := newGathering(ctx, options.Evidence, options.Phase)
	steps := make([]step[Judged], len(refs))
	for i, ref := range refs {
		steps[i] = askStep(ref, &options, found, bus)
	}
	judged, err := ensure[[]Judged]{
		step:    parallel[Judged]{steps: steps, limit: options.Parallelism},
		cleanUp: func(ctx context.Context) error { found.stop(); return closeBus(ctx) },
		grace:   drain,
	}.run(ctx)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("ask the gates: %w", context.Cause(ctx))
	}
	return Judgement{Phase: options.Phase, Gates: judged}, err
}

// askedAt selects the references of a phase and environment and lets the most restrictive of several to one gate win.
//
// A reference without a phase, or with one that does not exist, belongs to the first phase: there its gate is asked and
// its mistake is seen, instead of never being asked at all.
func askedAt(all []pipelines.GateRef, phase gates.Phase, environment string) ([]pipelines.GateRef, error) {
	var refs []pipelines.GateRef
	seen := map[string]bool{}
	strictest := map[string]pipelines.Enforcement{}
	counts := map[string]bool{} // for some reference it is no dry run
	for _, ref := range all {
		switch ref.Phase {
		case gates.PhaseBuild, gates.PhasePlan, gates.PhasePromote, gates.PhaseBake:
		default:
			ref.Phase = gates.PhaseBuild
		}
		if ref.Phase != phase {
			continue
		}
		if !ref.AskedIn(environment) {
			continue
		}
		if was, known := strictest[ref.Gate]; !known || weight(ref.Enforcement) > weight(was) {
			strictest[ref.Gate] = ref.Enforcement
		}
		counts[ref.Gate] = counts[ref.Gate] || !ref.DryRun
		config, err := encodeConfig(ref)
		if err != nil {
			return nil, err
		}
		key := ref.Gate + "\x00" + string(config)
		if !seen[key] {
			seen[key] = true
			refs = append(refs, ref)
		}
	}
	for i := range refs {
		refs[i].Enforcement = strictest[refs[i].Gate]
		refs[i].DryRun = !counts[refs[i].Gate]
	}
	return refs, nil
}

func encodeConfig(ref pipelines.GateRef) (json.RawMessage, error) {
	if len(ref.Config) == 0 {
		return json.RawMessage("{}"), nil
	}
	config, err := json.Marshal(ref.Config)
	if err != nil {
		return nil, fmt.Errorf("encode the config of gate %s: %w", ref.Gate, err)
	}
	return config, nil
}
