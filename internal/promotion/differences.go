package promotion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
)

// Covers is exactly what the plan's digest is over, as JSON, so that a later plan can be compared with it.
func (p Plan) Covers() (json.RawMessage, error) {
	return planned(p.Basis, p.Live, p.Diff)
}

// PlannedChanges are the changes of the plan that covers is the [Plan.Covers] of, without what it keeps.
func PlannedChanges(covers json.RawMessage) ([]event.Change, error) {
	var plan digested
	if err := json.Unmarshal(covers, &plan); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return slices.DeleteFunc(plan.Changes, func(change event.Change) bool { return change.Action == "keep" }), nil
}

// Differences says in sentences how a plan differs from the one that before is the [Plan.Covers] of: everything that makes
// its digest another one. Nothing is left when they are the same.
func Differences(before json.RawMessage, fresh Plan) ([]string, error) {
	now, err := fresh.Covers()
	if err != nil {
		return nil, err
	}
	if bytes.Equal(before, now) {
		return nil, nil
	}
	var old, new digested
	if err := json.Unmarshal(before, &old); err != nil {
		return nil, fmt.Errorf("read the plan that was decided on: %w", err)
	}
	if err := json.Unmarshal(now, &new); err != nil {
		return nil, fmt.Errorf("read the plan as it is now: %w", err)
	}
	var said []string
	tell := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if old.Bundle != new.Bundle {
		tell("the bundle is %s, it was %s", new.Bundle, old.Bundle)
	}
	if !slices.Equal(old.Live, new.Live) {
		tell("%s is live, it was %s", describeShares(new.Live), describeShares(old.Live))
	}
	said = append(said, environmentDifferences(old, new)...)
	if !slices.Equal(old.Migrations, new.Migrations) {
		tell("pending migrations are [%s], they were [%s]%s", strings.Join(migrationNames(new.Migrations), ", "), strings.Join(migrationNames(old.Migrations), ", "),
			editedMigrations(old.Migrations, new.Migrations))
	}
	said = append(said, changeDifferences("", old.Changes, new.Changes)...)
	said = append(said, changeDifferences("missing: ", old.Missing, new.Missing)...)
	if !slices.Equal(old.MissingSecrets, new.MissingSecrets) {
		tell("missing secrets are [%s], they were [%s]", strings.Join(new.MissingSecrets, ", "), strings.Join(old.MissingSecrets, ", "))
	}
	said = append(said, gateDifferences(old.Gates, new.Gates)...)
	if len(said) == 0 {
		tell("the plan is not the same any more")
	}
	return said, nil
}

func editedMigrations(old, new []Migration) string {
	var edited []string
	for _, migration := range new {
		if slices.ContainsFunc(old, func(was Migration) bool {
			return was.Database == migration.Database && was.Name == migration.Name && was.Digest != migration.Digest
		}) {
			edited = append(edited, migration.Name)
		}
	}
	if len(edited) == 0 {
		return ""
	}
	return "; edited: " + strings.Join(edited, ", ")
}

// environmentDifferences compares the environment key by key, in the words of penstock.yaml.
func environmentDifferences(old, new digested) []string {
	keys := func(d digested) map[string]string {
		all := map[string]json.RawMessage{}
		data, err := json.Marshal(d.Environment)
		if err == nil {
			err = json.Unmarshal(data, &all)
		}
		if err != nil {
			panic("promotion: an environment does not encode: " + err.Error()) // it came out of JSON
		}
		texts := map[string]string{}
		for key, value := range all {
			texts[key] = string(value)
		}
		return texts
	}
	before, now := keys(old), keys(new)
	names := maps.Clone(before)
	maps.Copy(names, now)
	var said []string
	for _, key := range slices.Sorted(maps.Keys(names)) {
		if before[key] != now[key] {
			said = append(said, fmt.Sprintf("the environment's %s is %s, it was %s", key, orNothing(now[key]), orNothing(before[key])))
		}
	}
	return said
}

func orNothing(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}

func changeDifferences(prefix string, old, new []event.Change) []string {
	words := func(change event.Change) string {
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", change.Action, change.Kind, change.Name))
	}
	// The same change with other values, such as a secret that has another one.
	namesake := func(among []event.Change, change event.Change) (event.Change, bool) {
		at := slices.IndexFunc(among, func(other event.Change) bool { return words(other) == words(change) })
		if at < 0 {
			return event.Change{}, false
		}
		return among[at], true
	}
	var said []string
	for _, change := range new {
		if slices.Contains(old, change) {
			continue
		}
		switch before, found := namesake(old, change); {
		case found && before.To != change.To:
			said = append(said, fmt.Sprintf("%s%s is to %s, it was to %s", prefix, words(change), orNothing(change.To), orNothing(before.To)))
		case found:
			said = append(said, fmt.Sprintf("%s%s is from %s, it was from %s", prefix, words(change), orNothing(change.From), orNothing(before.From)))
		default:
			said = append(said, prefix+"new: "+words(change))
		}
	}
	for _, change := range old {
		if _, found := namesake(new, change); !found {
			said = append(said, prefix+"no more: "+words(change))
		}
	}
	return said
}

func gateDifferences(old, new []digestedGate) []string {
	index := func(facts []digestedGate) map[string]digestedGate {
		found := map[string]digestedGate{}
		for _, fact := range facts {
			key := string(fact.Phase) + " gate " + fact.Gate
			for i := 2; found[key].Gate != ""; i++ {
				key = fmt.Sprintf("%s gate %s (%d)", fact.Phase, fact.Gate, i)
			}
			found[key] = fact
		}
		return found
	}
	before, now := index(old), index(new)
	names := maps.Clone(before)
	maps.Copy(names, now)
	var said []string
	for _, key := range slices.Sorted(maps.Keys(names)) {
		was, known := before[key]
		is, still := now[key]
		switch {
		case !known:
			said = append(said, key+" is new")
			continue
		case !still:
			said = append(said, key+" is gone")
			continue
		}
		for _, part := range []struct{ what, was, is string }{
			{"answer", string(was.Outcome), string(is.Outcome)}, {"enforcement", string(was.Enforcement), string(is.Enforcement)},
			{"config", string(was.Config), string(is.Config)}, {"binary", was.SetDigest, is.SetDigest}, {"waiver", was.Waiver, is.Waiver},
		} {
			if part.was != part.is {
				said = append(said, fmt.Sprintf("the %s of %s is %s, it was %s", part.what, key, orNothing(part.is), orNothing(part.was)))
			}
		}
	}
	return said
}
