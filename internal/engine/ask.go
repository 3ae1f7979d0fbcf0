package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/pipelines"
)

// askStep asks one gate: described, told, bounded by its deadline, asked again when it could not be asked, and its answer
// checked. It always answers; its error is always nil.
func askStep(ref pipelines.GateRef, options *JudgeOptions, found *gathering, bus *Bus) step[Judged] {
	if ref.Timeout <= 0 {
		ref.Timeout = defaultGateTimeout
	}
	var started time.Time
	return observe[Judged]{
		before: func() {
			started = time.Now()
			bus.Observe(event.Event{Type: event.GateStarted, Time: started, Gate: &event.Gate{
				Name: ref.Gate, Phase: options.Phase, Enforcement: string(ref.Enforcement), DryRun: ref.DryRun,
			}})
		},
		step: stepFunc[Judged](func(ctx context.Context) (Judged, error) {
			judged, err := timeout[Judged]{
				step: retry[Judged]{
					step:  func(int) step[Judged] { return evaluateStep(ref, options, found, bus) },
					more:  gateRetries,
					pause: gatePause,
					again: func(judged Judged, _ error) bool { return judged.Verdict.Outcome == gates.Error },
				},
				after: ref.Timeout,
				late:  func(judged Judged, err error) (Judged, error) { return tooLate(ref, judged, err) },
			}.run(ctx)
			judged.Ref, judged.Duration = ref, time.Since(started)
			if err != nil {
				judged.Verdict = couldNotAsk(ref.Gate, "could not be asked: "+err.Error())
			}
			judged.Verdict = sound(ref.Gate, judged.Verdict)
			judged.Blocks = !ref.DryRun && Blocks(ref.Enforcement, judged.Verdict.Outcome)
			if judged.Blocks && ref.Enforcement == pipelines.Overridable && options.Waiver != nil {
				if waived, ok := options.Waiver(ref, options.Phase, judged.Verdict); ok {
					judged.Waived, judged.Blocks = waived, false
				}
			}
			return judged, nil
		}),
		after: func(judged Judged, _ error) {
			bus.Observe(event.Event{Type: event.GateFinished, Gate: &event.Gate{
				Name: ref.Gate, Title: judged.Info.Description.Title, Phase: options.Phase, Enforcement: string(ref.Enforcement), DryRun: ref.DryRun,
				Verdict: &judged.Verdict, Blocks: judged.Blocks, Duration: judged.Duration,
				SetVersion: judged.Info.SetVersion, SetDigest: judged.Info.SetDigest, Waived: judged.Waived.Text,
			}})
		},
	}
}

// evaluateStep is one attempt at a gate.
func evaluateStep(ref pipelines.GateRef, options *JudgeOptions, found *gathering, bus *Bus) step[Judged] {
	ask := stepFunc[Judged](func(ctx context.Context) (Judged, error) {
		info, err := options.Gatekeeper.Describe(ctx, ref.Gate)
		if err != nil {
			verdict := couldNotAsk(ref.Gate, "could not be described: "+err.Error())
			var advised interface{ NextStep() string } // the gatekeeper may know what to do
			if errors.As(err, &advised) {
				verdict.NextStep = advised.NextStep()
			}
			return Judged{Verdict: verdict}, nil
		}
		request := options.Request
		request.Phase = options.Phase
		if request.Config, err = encodeConfig(ref); err != nil {
			return Judged{Info: info, Verdict: couldNotAsk(ref.Gate, err.Error())}, nil
		}
		if request.Reports, err = found.reports(ctx, request.Reports, info.Description); err != nil {
			return Judged{Info: info, Verdict: withoutEvidence(ref.Gate, err)}, nil
		}
		verdict := options.Gatekeeper.Evaluate(ctx, ref.Gate, request, func(message string) {
			bus.Observe(event.Event{Type: event.GateProgress, Text: message, Gate: &event.Gate{
				Name: ref.Gate, Title: info.Description.Title, Phase: options.Phase, Enforcement: string(ref.Enforcement), DryRun: ref.DryRun,
			}})
		})
		return Judged{Info: info, Verdict: sound(ref.Gate, verdict)}, nil
	})
	return stepFunc[Judged](func(ctx context.Context) (Judged, error) {
		judged, err := abandon[Judged]{
			step:  contain[Judged]{step: ask, what: "the gatekeeper asked about " + ref.Gate},
			grace: gateGrace,
			gaveUp: func() (Judged, error) {
				return Judged{}, errors.New("no answer, and the gatekeeper does not come back")
			},
		}.run(ctx)
		if err != nil {
			// An error is an answer here, so that it is retried like every other failure to ask.
			judged.Verdict = couldNotAsk(ref.Gate, "could not be asked: "+err.Error())
		}
		if ctx.Err() != nil && judged.Verdict.Outcome.Allows() {
			// What was said after the end was said about something else.
			judged.Verdict = couldNotAsk(ref.Gate, "answered after it was told to stop")
		}
		return judged, nil
	})
}

// tooLate is the verdict on a gate whose deadline passed. Whatever it said then, it is no pass.
func tooLate(ref pipelines.GateRef, judged Judged, _ error) (Judged, error) {
	judged.Verdict = couldNotAsk(ref.Gate, fmt.Sprintf("did not answer within its time-out of %s", ref.Timeout))
	judged.Verdict.NextStep = "run it again; when the gate needs longer, give it a larger timeout in penstock.yaml"
	return judged, nil
}
