package pipelines

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// Served is one gate as its set describes it, as far as a pipeline must agree with it.
type Served struct {
	Name   string // without the set's
	Phases []gates.Phase
	// Config lists what is wrong with a config of the gate.
	Config func(config json.RawMessage) []Misfit
}

// Misfit is one thing that a gate's own schema has against a config.
type Misfit struct {
	Path    []string // keys and indexes down to it
	What    string
	Unknown string   // the key that is not known there; empty otherwise
	Known   []string // those that are
}

// AgreeWithGates lists what the gate sets themselves have against the pipeline: sets and gates that do not exist, phases in
// which a gate cannot be asked, and config that its schema refuses. sets are all that may be asked; served are the gates of
// those that could be found out, and of the others nothing is said. file is as in [Validate].
func AgreeWithGates(p Pipeline, file *File, sets []string, served map[string][]Served) Problems {
	v := validation{pipeline: p, file: file}
	for _, ref := range p.Gates {
		if !gateForm.MatchString(ref.Gate) {
			continue // which Validate says
		}
		set, name, _ := strings.Cut(ref.Gate, "/")
		place := at("gates", ref.Gate)
		if !slices.Contains(sets, set) {
			v.problem(place, fmt.Sprintf("there is no gate set %q%s", set, didYouMean(set, sets)), elsewhere(served, name)+"a set of your own is pinned by `penstock gates lock BINARY`")
			continue
		}
		gate := slices.IndexFunc(served[set], func(one Served) bool { return one.Name == name })
		switch {
		case served[set] == nil:
		case gate < 0:
			known := names(served[set], func(one Served) string { return one.Name })
			v.problem(place, fmt.Sprintf("the set %s has no gate %q%s", set, name, didYouMean(name, known)), "it has "+strings.Join(known, ", "))
		default:
			v.served(ref, served[set][gate], place)
		}
	}
	v.problems.Sort()
	return v.problems
}

// elsewhere names the gates of that name in the sets that there are.
func elsewhere(served map[string][]Served, name string) string {
	for _, set := range slices.Sorted(maps.Keys(served)) {
		if slices.ContainsFunc(served[set], func(one Served) bool { return one.Name == name }) {
			return fmt.Sprintf("write %s/%s; ", set, name)
		}
	}
	return "`penstock gates list` shows the gates that there are; "
}

func (v *validation) served(ref GateRef, gate Served, place []string) {
	if slices.Contains(phases, ref.Phase) && !slices.Contains(gate.Phases, ref.Phase) {
		v.problem(within(place, "phase"), fmt.Sprintf("%s cannot be asked in the phase %s", ref.Gate, ref.Phase), "use "+wordsOf(gate.Phases))
	}
	config, err := json.Marshal(ref.Config)
	if err != nil {
		v.problem(within(place, "config"), "cannot be written as JSON: "+err.Error(), "use texts, numbers, lists and maps")
		return
	}
	for _, misfit := range gate.Config(config) {
		fix := "`penstock gates info " + ref.Gate + "` shows what it takes"
		what := misfit.What
		switch {
		case misfit.Unknown != "":
			what += didYouMean(misfit.Unknown, misfit.Known)
			if len(misfit.Known) > 0 {
				fix = "the keys here are " + strings.Join(misfit.Known, ", ")
			}
		case len(misfit.Path) > 0:
			what = strings.Join(misfit.Path, ".") + ": " + what
		}
		v.problem(within(within(place, "config"), misfit.Path...), ref.Gate+": "+what, fix)
	}
}

func wordsOf(all []gates.Phase) string {
	return strings.Join(names(all, func(phase gates.Phase) string { return string(phase) }), " or ")
}
