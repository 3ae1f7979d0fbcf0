package gates

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// server is a set at the plugin's end of the wire.
type server struct {
	wire.UnimplementedGateSetServer
	set        Set
	gates      map[string]Gate
	evaluating atomic.Int32
}

func newServer(set Set) *server {
	gates := make(map[string]Gate, len(set.Gates))
	for _, gate := range set.Gates {
		gates[gate.Describe().Name] = gate
	}
	return &server{set: set, gates: gates}
}

// Describe says what the set serves, unless the host is too old to understand it.
func (s *server) Describe(_ context.Context, request *wire.DescribeRequest) (*wire.DescribeResponse, error) {
	if err := checkHost(s.set, request.GetHostVersion()); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	response := &wire.DescribeResponse{Name: s.set.Name, Version: s.set.Version, SdkVersion: SDKVersion, Evaluating: s.evaluating.Load()}
	for _, gate := range s.set.Gates {
		response.Gates = append(response.Gates, descriptionToWire(gate.Describe()))
	}
	return response, nil
}

// Evaluate runs one gate, streams its progress and then its verdict.
func (s *server) Evaluate(question *wire.EvaluateRequest, stream grpc.ServerStreamingServer[wire.EvaluateResponse]) error {
	gate := s.gates[question.GetGate()]
	if gate == nil {
		return status.Errorf(codes.NotFound, "set %s has no gate %q", s.set.Name, question.GetGate())
	}

	s.evaluating.Add(1)
	defer s.evaluating.Add(-1)

	// A stream must not be written by two goroutines at once, nor after this method has returned.
	var mu sync.Mutex
	answered := false
	request := requestFromWire(question).WithProgress(func(message string) {
		mu.Lock()
		defer mu.Unlock()
		if answered {
			return
		}
		// A host that no longer listens is told by the verdict; a lost progress message is nothing.
		_ = stream.Send(&wire.EvaluateResponse{Message: &wire.EvaluateResponse_Progress{Progress: clean(message)}})
	})

	verdict := verdictToWire(judge(stream.Context(), gate, request))
	verdict.Gate, verdict.Nonce = question.GetGate(), question.GetNonce()

	mu.Lock()
	defer mu.Unlock()
	answered = true
	return stream.Send(&wire.EvaluateResponse{Message: &wire.EvaluateResponse_Verdict{Verdict: verdict}})
}

// judge asks a gate and turns whatever happens into a verdict.
func judge(ctx context.Context, gate Gate, request *Request) (verdict *Verdict) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Fprintf(os.Stderr, "gate %s panicked: %v\n%s", request.Gate, reason, debug.Stack())
			verdict = couldNotAsk(fmt.Sprintf("the gate panicked: %v", reason))
		}
	}()
	verdict, err := gate.Evaluate(ctx, request)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return &Verdict{Outcome: Error, Summary: "the gate did not answer in time", NextStep: "if the gate needs longer, raise its timeout in penstock.yaml"}
	case err != nil:
		return couldNotAsk(err.Error())
	case verdict == nil:
		return couldNotAsk("the gate returned neither a verdict nor an error")
	default:
		return verdict
	}
}

func couldNotAsk(summary string) *Verdict {
	return &Verdict{Outcome: Error, Summary: summary, NextStep: "report this to the author of the gate, with the output shown"}
}
