package gates

import (
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/mod/semver"
)

// nameShape is what sets and gates may be called: the name appears in files, commands and URLs.
var nameShape = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// ValidName reports whether a set or a gate may have that name.
func ValidName(name string) bool { return nameShape.MatchString(name) }

// check lists everything that is wrong with the set at once; an author meets it at the first start.
func (s Set) check() error {
	var problems []error
	if !ValidName(s.Name) {
		problems = append(problems, fmt.Errorf("the set's name %q is not a lower-case word", s.Name))
	}
	if !semver.IsValid("v" + s.Version) {
		problems = append(problems, fmt.Errorf("the set's version %q is not a semantic version such as 1.2.0", s.Version))
	}
	if len(s.Gates) == 0 {
		problems = append(problems, errors.New("it has no gates"))
	}
	seen := map[string]bool{}
	for _, gate := range s.Gates {
		description := gate.Describe()
		if seen[description.Name] {
			problems = append(problems, fmt.Errorf("two gates are called %q", description.Name))
		}
		seen[description.Name] = true
		problems = append(problems, description.Check())
	}
	return errors.Join(problems...)
}

// hasVersion reports whether there is a running version to ask in the phase.
func (p Phase) hasVersion() bool { return p != PhaseBuild && p != PhasePlan }

// Check says what is wrong with a description by itself: name, title, phases. Whether its config schema can be read is
// for the host to say, and for package gatetest.
func (d Description) Check() error {
	var problems []error
	if !ValidName(d.Name) {
		problems = append(problems, fmt.Errorf("the gate's name %.60q is not a lower-case word", d.Name))
	}
	if d.Title == "" {
		problems = append(problems, fmt.Errorf("gate %.60q has no title", d.Name))
	}
	if len(d.Phases) == 0 {
		problems = append(problems, fmt.Errorf("gate %.60q names no phase in which it can be asked", d.Name))
	}
	for _, phase := range d.Phases {
		if d.Needs.Version && !phase.hasVersion() {
			problems = append(problems, fmt.Errorf("gate %.60q needs the running version and names the phase %s, in which there is none", d.Name, phase))
		}
		switch phase {
		case PhaseBuild, PhasePlan, PhasePromote, PhaseBake:
		default:
			problems = append(problems, fmt.Errorf("gate %.60q names the phase %.60q, which does not exist", d.Name, phase))
		}
	}
	return errors.Join(problems...)
}
