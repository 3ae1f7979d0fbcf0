package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-ci/penstock/gates"
)

// A gate that was never seen to say no may not be able to. So tests put down here what they brought about and then saw a gate
// say, in runs of the built binaries; when all of them have run, every gate of every set must have been seen both ways. What
// a gate says by the way does not count: only what a test wanted.

// also are the outcomes that a gate must be seen to have besides pass and fail: its no to most people is "not yet".
var also = map[string]gates.Outcome{"release/approval": gates.Pending, "release/soak": gates.Pending, "release/window": gates.Pending}

// unseen are the gates that no test can show both ways, and why not. There is none; it is for a gate whose fault no machine of
// ours can have.
var unseen = map[string]string{}

// seen is safe for use by several tests at once.
var seen = register{said: map[string]map[gates.Outcome]bool{}}

type register struct {
	mu   sync.Mutex
	said map[string]map[gates.Outcome]bool
}

// saw puts down that a gate gave the outcome that a test wanted of it.
func (r *register) saw(gate string, outcome gates.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[gate] == nil {
		r.said[gate] = map[gates.Outcome]bool{}
	}
	r.said[gate][outcome] = true
}

// problems are what is wrong with the register for the gates that there are, when all tests have run.
func (r *register) problems(served []string, unseen map[string]string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, gate := range served {
		wanted := []gates.Outcome{gates.Pass, gates.Fail}
		if more, ok := also[gate]; ok {
			wanted = append(wanted, more)
		}
		var lacks []string
		for _, outcome := range wanted {
			if !r.said[gate][outcome] {
				lacks = append(lacks, string(outcome))
			}
		}
		what, known := unseen[gate]
		switch {
		case len(lacks) > 0 && !known:
			found = append(found, fmt.Sprintf("no test brought %s to say %s", gate, strings.Join(lacks, " and ")))
		case len(lacks) == 0 && known:
			found = append(found, fmt.Sprintf("%s was seen both ways: take it out of unseen (%s)", gate, what))
		}
	}
	for _, named := range []map[string]bool{keys(also), keys(unseen), keys(r.said)} {
		for gate := range named {
			if !slices.Contains(served, gate) {
				found = append(found, gate+" is named here, and no set serves it")
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func keys[V any](of map[string]V) map[string]bool {
	set := map[string]bool{}
	for key := range of {
		set[key] = true
	}
	return set
}

// checkRegister is the last step of all tests; it returns the exit code.
func checkRegister(code int) int {
	why := ""
	for _, selects := range []string{"test.run", "test.skip", "test.list"} {
		if chosen := flag.Lookup(selects); chosen != nil && chosen.Value.String() != "" {
			why = "only some tests ran (-" + strings.TrimPrefix(selects, "test.") + ")"
		}
	}
	switch {
	case why != "":
	case os.Getenv("PENSTOCK_SLOW") == "":
		why = "the slow tier did not run (`make test-slow`)"
	case code != 0:
		why = "tests failed"
	}
	if why != "" {
		fmt.Printf("NOT CHECKED that every gate was seen to pass and to say no: %s\n", why)
		return code
	}
	served, err := servedGates()
	if err != nil {
		fmt.Println("which gates there are is not known:", err)
		return 1
	}
	problems := seen.problems(served, unseen)
	for _, problem := range problems {
		fmt.Println("the register of gates:", problem)
	}
	for _, gate := range slices.Sorted(maps.Keys(unseen)) {
		fmt.Printf("the register of gates: %s is not shown both ways: %s\n", gate, unseen[gate])
	}
	if len(problems) > 0 {
		return 1
	}
	fmt.Printf("the register of gates: %d of %d were seen to pass and to say no\n", len(served)-len(unseen), len(served))
	return 0
}

// servedGates are the names of all gates that the built binaries serve.
func servedGates() ([]string, error) {
	out, err := exec.Command(filepath.Join(installFolder, "penstock"), "gates", "list", "--json", "-C", "testdata/tiny").Output()
	if err != nil {
		return nil, fmt.Errorf("penstock gates list: %w", err)
	}
	var listed []struct{ Gate string }
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(listed))
	for _, one := range listed {
		names = append(names, one.Gate)
	}
	if len(names) == 0 {
		return nil, errors.New("penstock gates list names none")
	}
	return names, nil
}

// TestRegister breaks the register: what was not seen both ways must be told.
func TestRegister(t *testing.T) {
	saw := func(r *register, gate string, outcomes ...gates.Outcome) {
		for _, outcome := range outcomes {
			r.saw(gate, outcome)
		}
	}
	r := &register{said: map[string]map[gates.Outcome]bool{}}
	saw(r, "a/both", gates.Pass, gates.Fail)
	saw(r, "a/passes", gates.Pass)
	saw(r, "a/fails", gates.Fail, gates.Error, gates.Inconclusive)
	saw(r, "a/listed", gates.Pass, gates.Fail)
	saw(r, "a/gone", gates.Pass, gates.Fail)
	saw(r, "release/approval", gates.Pass, gates.Fail)
	saw(r, "release/soak", gates.Pass, gates.Pending, gates.Fail)
	saw(r, "release/window", gates.Pass, gates.Pending, gates.Fail)
	served := []string{"a/both", "a/passes", "a/fails", "a/never", "a/listed", "a/later", "release/approval", "release/soak", "release/window"}
	got := strings.Join(r.problems(served, map[string]string{"a/listed": "both", "a/later": "both"}), "\n")
	want := strings.Join([]string{
		"a/gone is named here, and no set serves it",
		"a/listed was seen both ways: take it out of unseen (both)",
		"no test brought a/fails to say pass",
		"no test brought a/never to say pass and fail",
		"no test brought a/passes to say fail",
		"no test brought release/approval to say pending",
	}, "\n")
	if got != want {
		t.Errorf("the register says\n%s\nnot\n%s", got, want)
	}
}
