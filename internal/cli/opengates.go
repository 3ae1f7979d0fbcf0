package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/pipelines"
)

// tryGates makes dry runs of the named gates. What goes to people is judged as penstock.yaml says, which others review: there
// a gate that counts cannot be switched off by whoever types the command.
func tryGates(pipeline *pipelines.Pipeline, environment *pipelines.Environment, names []string, promotes bool) error {
	for _, name := range names {
		found := false
		for i := range pipeline.Gates {
			ref := &pipeline.Gates[i]
			if ref.Gate != name {
				continue
			}
			found = true
			if promotes && environment.Target != localTarget && ref.Enforcement != pipelines.Advisory {
				return fail(ExitUsage, "try it with `penstock check --dry-run-gate "+name+"`, or say dryRun: true in penstock.yaml",
					fmt.Errorf("%s is %s in %s, where a command cannot make a dry run of it", name, ref.Enforcement, environment.Name))
			}
			ref.DryRun = true
		}
		if !found {
			return fail(ExitUsage, "name a gate of the pipeline; `penstock gates list` shows all that there are", fmt.Errorf("the pipeline has no gate %q", name))
		}
	}
	return nil
}

func (r *run) hasGates(phase gates.Phase) bool {
	for _, ref := range r.pipeline.Gates {
		if ref.Phase == phase && ref.AskedIn(r.environment.Name) {
			return true
		}
	}
	return false
}

// narrow leaves the gates that are asked by a command that does less than the pipeline. One that cannot be described stays: it
// says why when it is asked, and blocks.
func (r *run) narrow(ctx context.Context) error {
	narrowed, ok := map[string]func(pipelines.GateRef, gates.Description) (pipelines.GateRef, bool){
		commandSmoke: gateOfSmoke, commandMigrate: gateOfMigration,
	}[r.flags.command]
	if !ok {
		return nil
	}
	var kept []pipelines.GateRef
	for _, ref := range r.pipeline.Gates {
		if !ref.AskedIn(r.environment.Name) {
			continue
		}
		info, err := r.gates.Describe(ctx, ref.Gate)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			kept = append(kept, ref)
		} else if ref, asked := narrowed(ref, info.Description); asked {
			kept = append(kept, ref)
		}
	}
	r.pipeline.Gates = kept
	return nil
}

// asks reports whether a run will ask the gate.
func (r *run) asks(ref pipelines.GateRef, promotes bool) bool {
	switch {
	case r.flags.command == commandSmoke || r.flags.command == commandMigrate: // they are narrowed
		return true
	case r.flags.only != nil: // single stages are judged by nobody
		return false
	default:
		return ref.Phase == gates.PhaseBuild || promotes && ref.AskedIn(r.environment.Name)
	}
}

// askedGates are the gates that a run will ask.
func (r *run) askedGates(promotes bool) []pipelines.GateRef {
	var asked []pipelines.GateRef
	for _, ref := range r.pipeline.Gates {
		if r.asks(ref, promotes) {
			asked = append(asked, ref)
		}
	}
	return asked
}

// openGates finds the sets of this build, and those that the app's penstock.lock pins. hide takes secrets out of what they
// say; nil where there are none.
func openGates(streams *Streams, folder, state string, hide func(string) string) (*gatehost.Host, error) {
	sets, err := gatehost.Shipped(filepath.Dir(streams.Executable), buildinfo.GatePins)
	if err != nil {
		return nil, fail(ExitUsage, "", err)
	}
	return openLocked(folder, state, sets, hide)
}

// openLocked opens the shipped sets and those that the app locks.
func openLocked(folder, state string, shipped []gatehost.PluginRef, hide func(string) string) (*gatehost.Host, error) {
	locked, err := gatehost.ReadLock(filepath.Join(folder, gatehost.LockName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // most apps have no gates of strangers
		return nil, fail(ExitUsage, "correct it, or remove it and lock the sets again: `penstock gates lock BINARY...`", err)
	}
	return gatehost.New(gatehost.Options{
		Sets: append(shipped, locked...), ScratchDir: filepath.Join(state, "gates"), KnownDir: filepath.Join(state, "gate-sets"), Redact: hide,
	}), nil
}
