package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/pipelines"
)

// namedGates compares the pipeline with what its gate sets say of themselves, before anything has run: a gate that does not
// exist, or that cannot be asked like that, would otherwise be told after minutes of stages. What sets say is known from
// earlier runs; only one that is new on this machine is started for it. What is known stops no run by itself: before a problem
// is told, the sets are asked.
//
// Of a set that cannot be asked nothing is said here: it is refused when one of its gates is asked, and unasked tells why.
func namedGates(ctx context.Context, host *gatehost.Host, pipeline pipelines.Pipeline, rules string) (problems pipelines.Problems, unasked []string, err error) {
	file, err := writtenPipeline(rules)
	if err != nil {
		return nil, nil, err
	}
	for _, describe := range []func(context.Context, string) (gatehost.SetInfo, error){host.Served, host.DescribeSet} {
		var served map[string][]pipelines.Served
		served, unasked = describeSets(ctx, setsOf(pipeline.Gates), describe)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if problems = pipelines.AgreeWithGates(pipeline, file, host.Sets(), served); len(problems) == 0 {
			break
		}
	}
	return problems, unasked, nil
}

// describeSets asks all sets at once what they serve.
func describeSets(ctx context.Context, names []string, describe func(context.Context, string) (gatehost.SetInfo, error)) (served map[string][]pipelines.Served, unasked []string) {
	served = map[string][]pipelines.Served{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, name := range names {
		asking.Go(func() {
			info, err := describe(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				served[name] = servedBy(info)
			case !errors.Is(err, gatehost.ErrUnknownGate):
				unasked = append(unasked, fmt.Sprintf("the gates %s/… cannot be asked: %v", name, err))
			}
		})
	}
	asking.Wait()
	slices.Sort(unasked)
	return served, unasked
}

// writtenPipeline reads the penstock.yaml for the places in it; nil when there is none.
func writtenPipeline(rules string) (*pipelines.File, error) {
	text, err := os.ReadFile(filepath.Join(rules, pipelines.FileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pipelines.FileName, err)
	}
	file, _ := pipelines.Load(pipelines.FileName, text) // its problems were told when the pipeline was fitted
	return file, nil
}

func servedBy(info gatehost.SetInfo) []pipelines.Served {
	served := []pipelines.Served{}
	for _, gate := range info.Gates {
		served = append(served, pipelines.Served{Name: gate.Name, Phases: gate.Phases, Config: func(config json.RawMessage) []pipelines.Misfit {
			wrong, err := gatehost.ConfigProblems(gate.Config, config)
			if err != nil {
				return nil // the set's fault, which is told when the gate is asked
			}
			var misfits []pipelines.Misfit
			for _, one := range wrong {
				misfits = append(misfits, pipelines.Misfit(one))
			}
			return misfits
		}})
	}
	return served
}

// setsOf are the sets whose gates are named, sorted.
func setsOf(refs []pipelines.GateRef) []string {
	sets := map[string]bool{}
	for _, ref := range refs {
		set, _, _ := strings.Cut(ref.Gate, "/")
		sets[set] = true
	}
	return slices.Sorted(maps.Keys(sets))
}
