package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// Evaluate implements engine.Gatekeeper.
func (h *Host) Evaluate(ctx context.Context, gate string, request gates.Request, progress func(message string)) gates.Verdict {
	redact := h.redactor(request.Secrets)
	verdict, err := h.evaluate(ctx, gate, request, progress, redact)
	if err != nil {
		return refusal(gate, err, redact)
	}
	return verdict
}

func (h *Host) evaluate(ctx context.Context, gate string, request gates.Request, progress func(string), redact func(string) string) (gates.Verdict, error) {
	verdict, err := h.question(ctx, gate, request, shown(progress, redact), nil)
	if err != nil {
		return gates.Verdict{}, err
	}
	return sane(verdict, redact)
}

// question asks a gate and returns its verdict as it came. A process that answered goes on serving, unless ends says that
// it is to be ended; nil says so of none.
func (h *Host) question(ctx context.Context, gate string, request gates.Request, progress func(string), ends func(*process) bool) (gates.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.Evaluate)
	defer cancel()
	running, request, done, err := h.prepare(ctx, gate, request)
	if err != nil {
		return gates.Verdict{}, err
	}
	verdict, err := running.ask(ctx, request, h.limits.Stop, progress)
	end := ends != nil && ends(running)
	done(end || err != nil)
	return verdict, err
}

// prepare finds the gate's process and leaves in the request what the gate may have. The process must be given back by
// done, which is told whether it misbehaved.
func (h *Host) prepare(ctx context.Context, gate string, request gates.Request) (_ *process, _ gates.Request, done func(misbehaved bool), _ error) {
	setName, gateName, _ := strings.Cut(gate, "/")
	set, err := h.find(setName)
	if err != nil {
		return nil, request, nil, err
	}
	info, err := set.describe(ctx)
	if err != nil {
		return nil, request, nil, err
	}
	description, err := info.gate(gateName)
	if err != nil {
		return nil, request, nil, err
	}
	request, granted, err := h.narrow(ctx, set, description, request)
	if err != nil {
		return nil, request, nil, err
	}
	running, err := set.acquire(ctx, granted)
	if err != nil {
		return nil, request, nil, err
	}
	if request, err = running.hand(request); err != nil {
		set.release(running, false)
		return nil, request, nil, err
	}
	return running, request, func(misbehaved bool) { set.release(running, misbehaved) }, nil
}

// narrow leaves in the request what the gate said that it needs and what it may have, and nothing else.
func (h *Host) narrow(ctx context.Context, set *set, description gates.Description, request gates.Request) (gates.Request, grant, error) {
	if description.Needs.Version && (request.Phase == gates.PhaseBuild || request.Phase == gates.PhasePlan) {
		return request, grant{}, fmt.Errorf("%w: it asks the running version, and there is none in the phase %s", ErrNoVersion, request.Phase)
	}
	if !slices.Contains(description.Phases, request.Phase) {
		return request, grant{}, fmt.Errorf("%w: the gate cannot be asked in the phase %q, only in %v", ErrConfig, request.Phase, description.Phases)
	}
	schema, err := set.schemaOf(ctx, description)
	if err != nil {
		return request, grant{}, err
	}
	config, err := schema.check(request.Config)
	if err != nil {
		return request, grant{}, err
	}

	var granted grant
	narrowed := request
	narrowed.Gate, narrowed.Config = description.Name, config
	narrowed.Reports = slices.DeleteFunc(slices.Clone(request.Reports), func(report gates.Report) bool {
		return !slices.ContainsFunc(description.Reports, func(asked gates.Report) bool { return asked.Kind == report.Kind })
	})
	narrowed.SourceDir = ""
	if description.Needs.Source {
		narrowed.SourceDir, granted.source = request.SourceDir, request.SourceDir
	}
	narrowed.History = nil
	if description.Needs.History && request.History != nil {
		narrowed.History, granted.history = request.History, request.History.Dir
	}
	narrowed.Secrets = map[string]string{}
	for _, name := range description.Needs.Secrets {
		if value, given := request.Secrets[name]; given {
			narrowed.Secrets[name] = value
		}
	}
	if !description.Needs.Version {
		narrowed.Run.URL = ""
	}
	if !slices.Contains(description.Needs.Hosts, gates.PublicHost) {
		narrowed.Run.Edge = nil
	}
	granted.hosts, granted.version, err = h.network(description, request.Run)
	return narrowed, granted, err
}

// network returns the part of a gate's grant that is about the network.
func (h *Host) network(description gates.Description, run gates.Run) (hosts, address string, err error) {
	granted := slices.DeleteFunc(slices.Clone(description.Needs.Hosts), func(host string) bool { return !slices.Contains(h.options.Hosts, host) })
	switch {
	case !slices.Contains(description.Needs.Hosts, gates.PublicHost):
	case run.Edge != nil:
		granted = append(granted, run.Edge.Plain, run.Edge.Encrypted)
	default:
		granted = append(granted, publicHosts(run.PublicURL)...)
	}
	if description.Needs.Version {
		host, isName, err := versionHost(run.URL)
		switch {
		case err != nil:
			return "", "", err
		case isName:
			granted = append(granted, host)
		default:
			address = host
		}
	}
	slices.Sort(granted)
	return strings.Join(slices.Compact(granted), ","), address, nil
}

// hand copies the files of the request to where the process may read them.
func (p *process) hand(request gates.Request) (gates.Request, error) {
	request.Stages, request.Reports = slices.Clone(request.Stages), slices.Clone(request.Reports)
	var err error
	for i := range request.Stages {
		if request.Stages[i].Log, err = p.inputs.give(request.Stages[i].Log); err != nil {
			return request, err
		}
	}
	for i := range request.Reports {
		if request.Reports[i].Path, err = p.inputs.give(request.Reports[i].Path); err != nil {
			return request, err
		}
	}
	return request, nil
}

// Bounds of what a gate may say before its verdict.
const (
	maxProgress     = 10_000 // messages; a gate that says more is not working but flooding
	shownProgress   = 200    // messages that are passed on
	maxProgressText = 500
)

// ask puts the question and reads progress until the one verdict. Its errors mean that the process must not be asked
// again: it is gone, hangs, or broke the contract.
func (p *process) ask(ctx context.Context, request gates.Request, stop time.Duration, progress func(string)) (gates.Verdict, error) {
	nonce := rand.Text()
	streamCtx, end := context.WithCancel(ctx)
	defer end()
	stream, err := p.gates.Evaluate(streamCtx, requestToWire(request, nonce))
	if err != nil {
		return gates.Verdict{}, p.blame(p.lost(ctx, err))
	}

	var answer *wire.Verdict
	for said := 0; ; {
		message, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && answer != nil:
			return verdictFromWire(answer), nil
		case errors.Is(err, io.EOF):
			return gates.Verdict{}, p.blame(errors.New("it ended its answer without a verdict"))
		case err != nil && answer != nil && ctx.Err() == nil && streamCtx.Err() != nil:
			return gates.Verdict{}, p.blame(fmt.Errorf("it did not end its answer within %s of its verdict", stop))
		case err != nil && answer != nil:
			return gates.Verdict{}, p.blame(fmt.Errorf("its verdict does not count, because it did not end its answer: %w", p.lost(ctx, err)))
		case err != nil:
			return gates.Verdict{}, p.blame(p.lost(ctx, err))
		}

		if text, isProgress := message.GetMessage().(*wire.EvaluateResponse_Progress); isProgress {
			said++
			if said > maxProgress {
				return gates.Verdict{}, p.blame(fmt.Errorf("it sent more than %d progress messages", maxProgress))
			}
			if answer == nil && said <= shownProgress {
				progress(text.Progress)
			}
			continue
		}
		verdict := message.GetVerdict()
		switch {
		case verdict == nil:
			return gates.Verdict{}, p.blame(errors.New("it sent a message that is neither progress nor a verdict"))
		case answer != nil:
			return gates.Verdict{}, p.blame(errors.New("it gave two verdicts"))
		case verdict.GetNonce() != nonce:
			return gates.Verdict{}, p.blame(errors.New("it answered another question than the one that was put"))
		case verdict.GetGate() != request.Gate:
			return gates.Verdict{}, p.blame(fmt.Errorf("it answered for the gate %q", line(verdict.GetGate(), maxName)))
		}
		answer = verdict
		defer time.AfterFunc(stop, end).Stop()
	}
}

// lost says in words why an answer broke off.
func (p *process) lost(ctx context.Context, err error) error {
	said := status.Convert(err)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), said.Code() == codes.DeadlineExceeded: // the other end's clock may strike first
		return fmt.Errorf("it did not answer in time: %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("the question was withdrawn: %w", context.Cause(ctx))
	}
	switch said.Code() {
	case codes.ResourceExhausted:
		return fmt.Errorf("it sent more than %d MiB in one message", wire.MaxMessageBytes>>20)
	case codes.Unavailable, codes.Canceled:
		// The connection broke, so the process is ending; what it printed last is worth waiting a moment for.
		select {
		case <-p.runner.exited:
			p.runner.awaitPrinted() // which says why
			if excess := p.runner.excess.Load(); excess != nil {
				return errors.New("it was ended: " + *excess)
			}
			return errors.New("its process ended before it answered")
		case <-time.After(time.Second):
			return errors.New("it closed its connection before it answered")
		}
	default:
		return fmt.Errorf("it answered with the error %s: %s", said.Code(), line(said.Message(), maxSummary))
	}
}

// shown passes progress on as it may be shown.
func shown(progress func(string), redact func(string) string) func(string) {
	return func(message string) {
		if progress != nil {
			progress(line(redact(message), maxProgressText))
		}
	}
}
