package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// wrong are the sets that keep the wire's contract and whose one gate is wrong all the same, by name. The conformance kit
// must find each; "right" is there to show that it finds nothing where nothing is.
var wrong = map[string]func(name string){
	"right": serveOne(gate{name: "gate", schema: limitSchema, reports: []gates.ReportKind{gates.ReportJUnit}, ask: noReport}),
	"slow-right": serveOne(gate{name: "gate", ask: func(ctx context.Context, _ *gates.Request) (*gates.Verdict, error) {
		select {
		case <-time.After(time.Second):
			return &gates.Verdict{Outcome: gates.Pass, Summary: "it took a while"}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}),
	"ignores-cancel": serveOne(gate{name: "gate", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) {
		time.Sleep(8 * time.Second)
		return &gates.Verdict{Outcome: gates.Pass, Summary: "it took a while, whatever you said"}, nil
	}}),
	"hangs": serveOne(gate{name: "gate", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { select {} }}),
	"remembers": serveOne(gate{name: "gate", ask: func() func(context.Context, *gates.Request) (*gates.Verdict, error) {
		var asked atomic.Int32
		return func(context.Context, *gates.Request) (*gates.Verdict, error) {
			if asked.Add(1) == 1 {
				return gates.Failed("ask once more", "the first time is no good"), nil
			}
			return &gates.Verdict{Outcome: gates.Pass, Summary: "I know you"}, nil
		}
	}()}),
	"easy":  serveOne(gate{name: "gate", reports: []gates.ReportKind{gates.ReportJUnit}, ask: pass}),
	"curt":  serveOne(gate{name: "gate", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { return gates.Failed("", "no"), nil }}),
	"blabs": serveOne(gate{name: "gate", needs: gates.Needs{Secrets: []string{"TOKEN"}}, ask: leak}),
	"prints-secrets": serveOne(gate{name: "gate", needs: gates.Needs{Secrets: []string{"TOKEN"}}, ask: func(_ context.Context, r *gates.Request) (*gates.Verdict, error) {
		fmt.Fprintln(os.Stderr, "using the token", r.Secrets["TOKEN"])
		return &gates.Verdict{Outcome: gates.Pass, Summary: "nothing to see"}, nil
	}}),
	"panics":     serveOne(gate{name: "gate", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { panic("gone wrong") }}),
	"gives-up":   serveOne(gate{name: "gate", ask: func(context.Context, *gates.Request) (*gates.Verdict, error) { return nil, errors.New("oh dear") }}),
	"crashes":    serveOne(gate{name: "gate", ask: crash}),
	"slow-start": func(name string) { time.Sleep(8 * time.Second); serveGood(name) },
	"does-by-hand": func(name string) {
		if os.Getenv("PENSTOCK_GATES") == "" {
			fmt.Println("all is well")
			return
		}
		wrongServe(name, gate{name: "gate", ask: pass})
	},
}

func serveOne(one gate) func(name string) { return func(name string) { wrongServe(name, one) } }

func wrongServe(name string, one gate) {
	gates.Serve(gates.Set{Name: name, Version: "1.0.0", Gates: []gates.Gate{one}})
}

func noReport(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	if len(request.Reports) == 0 {
		return gates.Undecided("write one", "there is no report"), nil
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: "there is a report"}, nil
}
