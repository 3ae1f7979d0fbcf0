package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// bad are the sets that break the contract below the SDK, by name.
var bad = map[string]func(name string){
	"crash-at-start":  func(string) { panic("cannot start") },
	"exit-at-start":   func(string) { os.Exit(0) },
	"hang-at-start":   func(string) { time.Sleep(time.Hour) },
	"lingerer":        func(string) { time.Sleep(time.Hour) },
	"garbage":         func(string) { fmt.Println("hello, I am a gate"); time.Sleep(time.Hour) },
	"print-first":     func(name string) { fmt.Println("starting …"); serveGood(name) },
	"endless-garbage": func(string) { garbage() },
	"silent-stdout":   func(string) { os.Stdout.Close(); time.Sleep(time.Hour) },
	"elsewhere":       func(string) { fmt.Printf("1|1|tcp|192.0.2.1:80|grpc|\n"); time.Sleep(time.Hour) },
	"outside":         func(string) { fmt.Printf("1|1|unix|/var/run/docker.sock|grpc|\n"); time.Sleep(time.Hour) },
	"nobody-listens": func(string) {
		fmt.Printf("1|1|unix|%s/x|grpc|\n", os.Getenv(plugin.EnvUnixSocketDir))
		time.Sleep(time.Hour)
	},
	"net-rpc": func(string) {
		fmt.Printf("1|1|unix|%s/x|netrpc|\n", os.Getenv(plugin.EnvUnixSocketDir))
		time.Sleep(time.Hour)
	},
	"next-protocol": func(string) {
		fmt.Printf("1|2|unix|%s/x|grpc|\n", os.Getenv(plugin.EnvUnixSocketDir))
		time.Sleep(time.Hour)
	},
	"no-certificate":   withoutCertificate,
	"plain":            raw(server{}), // not bad: a plugin as go-plugin's own Serve makes it
	"hang-at-describe": raw(server{describe: func() (*wire.DescribeResponse, error) { select {} }}),
	"old-sdk":          raw(server{change: func(answer *wire.DescribeResponse) { answer.SdkVersion = "0.0.9" }}),
	"no-sdk":           raw(server{change: func(answer *wire.DescribeResponse) { answer.SdkVersion = "" }}),
	"other-name":       raw(server{change: func(answer *wire.DescribeResponse) { answer.Name = "quality" }}),
	"no-gates":         raw(server{change: func(answer *wire.DescribeResponse) { answer.Gates = nil }}),
	"twins":            raw(server{change: func(answer *wire.DescribeResponse) { answer.Gates = append(answer.Gates, answer.Gates[0]) }}),
	"no-phase":         raw(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].Phases = nil }}),
	"early-version":    raw(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].NeedsVersion = true }}),
	"loose-schema":     raw(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].ConfigSchema = `{"type":"object"}` }}),
	"reaching-schema": raw(server{change: func(answer *wire.DescribeResponse) {
		answer.Gates[0].ConfigSchema = `{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"file:///etc/passwd"}}}`
	}}),
	"no-verdict":   raw(server{answer: func(*wire.Verdict, stream) error { return nil }}),
	"two-verdicts": raw(server{answer: func(v *wire.Verdict, s stream) error { return errors.Join(say(s, v), say(s, v)) }}),
	"fail-then-pass": raw(server{answer: func(v *wire.Verdict, s stream) error {
		pass := copied(v)
		v.Outcome = "fail"
		return errors.Join(say(s, v), say(s, pass))
	}}),
	"verdict-and-on":  raw(server{answer: func(v *wire.Verdict, s stream) error { err := say(s, v); time.Sleep(time.Hour); return err }}),
	"empty-message":   raw(server{answer: func(_ *wire.Verdict, s stream) error { return s.Send(&wire.EvaluateResponse{}) }}),
	"unknown-outcome": raw(server{edit: func(v *wire.Verdict) { v.Outcome = "passed" }}),
	"no-outcome":      raw(server{edit: func(v *wire.Verdict) { v.Outcome = "" }}),
	"no-summary":      raw(server{edit: func(v *wire.Verdict) { v.Summary = " \x1b[2J " }}),
	"other-gate":      raw(server{edit: func(v *wire.Verdict) { v.Gate = "coverage" }}),
	"replay":          raw(server{edit: func(v *wire.Verdict) { v.Nonce = "the nonce of an earlier question" }}),
	"no-clearance":    raw(server{edit: func(v *wire.Verdict) { v.Outcome = "pending" }}),
	"pass-pending":    raw(server{edit: func(v *wire.Verdict) { v.Pending = &wire.Clearance{By: "ada"} }}),
	"not-a-number":    raw(server{edit: func(v *wire.Verdict) { v.Measurements = []*wire.Measurement{{Name: "m", Value: math.NaN()}} }}),
	"no-digest":       raw(server{edit: func(v *wire.Verdict) { v.Evidence = []*wire.Evidence{{Name: "e", Digest: "sha256:abc"}} }}),
	"huge-message":    raw(server{edit: func(v *wire.Verdict) { v.Summary = strings.Repeat("x", 9<<20) }}),
	"flood": raw(server{answer: func(v *wire.Verdict, s stream) error {
		for range 20_000 {
			if err := s.Send(&wire.EvaluateResponse{Message: &wire.EvaluateResponse_Progress{Progress: "…"}}); err != nil {
				return err
			}
		}
		return say(s, v)
	}}),
	"refuses": raw(server{answer: func(*wire.Verdict, stream) error { return fmt.Errorf("I would rather \x1b[31mnot") }}),
}

type stream = grpc.ServerStreamingServer[wire.EvaluateResponse]

// server speaks the wire by hand: first an answer that keeps the contract is made, then it is spoilt.
type server struct {
	wire.UnimplementedGateSetServer
	name     string
	describe func() (*wire.DescribeResponse, error)
	change   func(*wire.DescribeResponse)
	edit     func(*wire.Verdict)
	answer   func(*wire.Verdict, stream) error
}

func (s server) Describe(context.Context, *wire.DescribeRequest) (*wire.DescribeResponse, error) {
	if s.describe != nil {
		return s.describe()
	}
	answer := &wire.DescribeResponse{Name: s.name, Version: "1.0.0", SdkVersion: gates.SDKVersion, Gates: []*wire.Description{
		{Name: "gate", Title: "breaks the contract", Phases: []string{"build"}},
	}}
	if s.change != nil {
		s.change(answer)
	}
	return answer, nil
}

func (s server) Evaluate(question *wire.EvaluateRequest, to stream) error {
	verdict := &wire.Verdict{Gate: question.GetGate(), Nonce: question.GetNonce(), Outcome: "pass", Summary: "let me through"}
	if s.edit != nil {
		s.edit(verdict)
	}
	if s.answer != nil {
		return s.answer(verdict, to)
	}
	return say(to, verdict)
}

// served is a set as go-plugin serves it, with a socket and a certificate of its own.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	gates wire.GateSetServer
}

func (s *served) GRPCServer(_ *plugin.GRPCBroker, to *grpc.Server) error {
	wire.RegisterGateSetServer(to, s.gates)
	return nil
}

func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a set is no client")
}

func raw(s server) func(name string) {
	return func(name string) {
		s.name = name
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: plugin.HandshakeConfig{
				ProtocolVersion: wire.ProtocolVersion, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
			},
			VersionedPlugins: map[int]plugin.PluginSet{wire.ProtocolVersion: {"gates": &served{gates: s}}},
			GRPCServer:       plugin.DefaultGRPCServer,
			Logger:           hclog.NewNullLogger(),
		})
	}
}

// withoutCertificate serves well, but in the clear.
func withoutCertificate(name string) {
	os.Unsetenv("PLUGIN_CLIENT_CERT")
	raw(server{})(name)
}

func say(to stream, verdict *wire.Verdict) error {
	return to.Send(&wire.EvaluateResponse{Message: &wire.EvaluateResponse_Verdict{Verdict: verdict}})
}

func garbage() {
	for {
		if _, err := io.WriteString(os.Stdout, strings.Repeat("garbage", 1000)); err != nil {
			return
		}
	}
}

func copied(verdict *wire.Verdict) *wire.Verdict { return proto.Clone(verdict).(*wire.Verdict) }
