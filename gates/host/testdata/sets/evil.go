package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// evil are the sets that aim at the host itself, at its memory, its time and what it shows, by name. They speak gRPC by hand.
var evil = map[string]func(name string){
	// The host's own client of go-plugin listens to these two services, whatever it is asked.
	"broker-flood": aimed(server{edit: func(v *wire.Verdict) { v.Summary = fmt.Sprintf("sent %d", sent.Load()) }}, foreign{"plugin.GRPCBroker", "StartStream", func(i int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(i)) // ConnInfo.service_id
	}}),
	"stdio-flood": aimed(server{}, foreign{"plugin.GRPCStdio", "StreamStdio", func(int) []byte {
		text := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // StdioData.channel, .data
		return protowire.AppendString(protowire.AppendTag(text, 2, protowire.BytesType), strings.Repeat("x", 32<<10))
	}}),
	"schema-bomb":   aimed(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].ConfigSchema = schemaBomb() }}),
	"deep-schema":   aimed(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].ConfigSchema = deepSchema(1 << 19) }}),
	"deeper-schema": aimed(server{change: func(answer *wire.DescribeResponse) { answer.Gates[0].ConfigSchema = deepSchema(5000) }}),
	"hidden-schema": aimed(server{change: func(answer *wire.DescribeResponse) { // a place that counting cannot find
		answer.Gates[0].ConfigSchema = `{"type":"object","additionalProperties":false,"$ref":"#there","$defs":{"a":{"$anchor":"there"}}}`
	}}),
	"moved-schema": aimed(server{change: func(answer *wire.DescribeResponse) {
		answer.Gates[0].ConfigSchema = `{"type":"object","additionalProperties":false,"$defs":{"a":{"$id":"other","$ref":"#/b","b":{}}},"b":1}`
	}}),
	"regex-bomb": aimed(server{change: func(answer *wire.DescribeResponse) {
		answer.Gates[0].ConfigSchema = `{"type":"object","additionalProperties":false,"patternProperties":{"((a{1,1000}){1,1000}){1,1000}":{}}}`
	}}),
	"huge-schema": aimed(server{change: func(answer *wire.DescribeResponse) {
		answer.Gates[0].ConfigSchema = `{"type":"object","additionalProperties":false,"description":"` + strings.Repeat("x", 7<<20) + `"}`
	}}),
	"many-gates": aimed(server{change: func(answer *wire.DescribeResponse) {
		for i := range 100_000 {
			answer.Gates = append(answer.Gates, &wire.Description{Name: "gate-" + strconv.Itoa(i), Title: "one of many", Phases: []string{"build"}})
		}
	}}),
	"long-name": aimed(server{change: func(answer *wire.DescribeResponse) {
		answer.Gates = append(answer.Gates, &wire.Description{Name: strings.Repeat("a", 1<<20), Title: "long", Phases: []string{"build"}})
	}}),
	"other-set":       aimed(server{edit: func(v *wire.Verdict) { v.Gate = "quality/coverage" }}),
	"far-pending":     aimed(server{edit: func(v *wire.Verdict) { pend(v, &durationpb.Duration{Seconds: 1 << 62}) }}),
	"instant-pending": aimed(server{edit: func(v *wire.Verdict) { pend(v, &durationpb.Duration{Nanos: 1}) }}),
	"no-time-pending": aimed(server{edit: func(v *wire.Verdict) { pend(v, nil) }}),
	"past-pending":    aimed(server{edit: func(v *wire.Verdict) { pend(v, &durationpb.Duration{Seconds: -1 << 62, Nanos: 999}) }}),
	"verdict-then-exit": aimed(server{answer: func(v *wire.Verdict, s stream) error {
		if err := say(s, v); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // for the verdict to arrive
		os.Exit(0)
		return nil
	}}),
	"huge-header": aimed(server{answer: func(v *wire.Verdict, s stream) error {
		for i := range 100 {
			if err := s.SetHeader(metadata.Pairs(fmt.Sprint("x-", i), strings.Repeat("x", 10<<10))); err != nil {
				return err
			}
		}
		return say(s, v)
	}}),
	"invalid-text": aimed(server{answer: func(v *wire.Verdict, s stream) error {
		// UTF-8 that is none, in a field that must be: a library would not send it.
		broken := protowire.AppendString(protowire.AppendTag(nil, 4, protowire.BytesType), "all is \xff\xfe well")
		var text emptypb.Empty
		v.Summary = ""
		text.ProtoReflect().SetUnknown(append(protowire.AppendTag(nil, 2, protowire.BytesType), protowire.AppendBytes(nil, append(marshalled(v), broken...))...))
		return s.SendMsg(&text)
	}}),
}

// schemaBomb names each of its parts many times in the one before, so that whoever follows all its words does not come to an end.
func schemaBomb() string {
	const levels, times = 9, 30
	parts := []string{fmt.Sprintf(`"d%d":{"type":"object"}`, levels)}
	for i := range levels {
		next := fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, i+1)
		parts = append(parts, fmt.Sprintf(`"d%d":{"allOf":[%s%s]}`, i, strings.Repeat(next+",", times-1), next))
	}
	return `{"type":"object","additionalProperties":false,"$ref":"#/$defs/d0","$defs":{` + strings.Join(parts, ",") + `}}`
}

func deepSchema(depth int) string {
	return `{"type":"object","additionalProperties":false,"properties":{"a":` + strings.Repeat(`{"not":`, depth) + `{}` + strings.Repeat(`}`, depth) + `}}`
}

func pend(v *wire.Verdict, again *durationpb.Duration) {
	v.Outcome, v.Pending = "pending", &wire.Clearance{By: "ada", AskAgain: again}
}

// foreign is a service that no gate needs, whose one method sends without end.
type foreign struct {
	service, method string
	message         func(i int) []byte
}

// sent is how often a foreign service has sent.
var sent atomic.Int64

// aimed serves a set with what gRPC alone takes.
func aimed(s server, beside ...foreign) func(name string) {
	return func(name string) {
		s.name = name
		secured, err := wire.SetTLS(os.Getenv)
		if err != nil {
			panic(err)
		}
		listener, handshake, err := wire.Listen(os.Getenv)
		if err != nil {
			panic(err)
		}
		all := grpc.NewServer(grpc.Creds(credentials.NewTLS(secured)), grpc.MaxSendMsgSize(64<<20))
		wire.RegisterGateSetServer(all, s)
		for _, one := range beside {
			all.RegisterService(&grpc.ServiceDesc{ServiceName: one.service, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
				StreamName: one.method, ServerStreams: true, ClientStreams: true,
				Handler: func(_ any, to grpc.ServerStream) error {
					for i := 1; ; i++ {
						sent.Add(1)
						var message emptypb.Empty
						message.ProtoReflect().SetUnknown(one.message(i))
						if err := to.SendMsg(&message); err != nil {
							return err
						}
					}
				},
			}}}, nil)
		}
		fmt.Print(handshake)
		panic(all.Serve(listener))
	}
}

func marshalled(v *wire.Verdict) []byte {
	text, err := proto.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
