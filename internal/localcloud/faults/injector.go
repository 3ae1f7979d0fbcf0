package faults

import (
	"math/rand/v2"
	"strings"
	"sync"
)

// Injector decides about calls by a plan that can be replaced at any time. It is safe for concurrent use; the zero value
// has no faults.
type Injector struct {
	mutex sync.Mutex
	plan  Plan
	seen  []int // matching calls so far, by rule
	hits  []int // of those, the ones that were struck
}

// Hits is a rule and what it has done since its plan was set.
type Hits struct {
	Rule
	Matched int `json:"matched"`
	Struck  int `json:"struck"`
}

// Set replaces the plan and begins to count anew.
func (i *Injector) Set(plan Plan) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.plan, i.seen, i.hits = plan, make([]int, len(plan.Calls)), make([]int, len(plan.Calls))
}

// Plan is the one in force.
func (i *Injector) Plan() Plan {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.plan
}

// Hits tells what became of each rule.
func (i *Injector) Hits() []Hits {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	all := make([]Hits, 0, len(i.plan.Calls))
	for at, rule := range i.plan.Calls {
		all = append(all, Hits{Rule: rule, Matched: i.seen[at], Struck: i.hits[at]})
	}
	return all
}

// Strike decides about one call; path is without /client/v4. Nil: it goes well. Every rule that matches counts the call,
// whether or not an earlier one strikes it, so that rules do not shift each other's numbers.
func (i *Injector) Strike(method, path string) *Rule {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	var struck *Rule
	for at, rule := range i.plan.Calls {
		if !rule.matches(method, path) {
			continue
		}
		number := i.seen[at]
		i.seen[at]++
		if struck != nil || number < rule.After || (rule.Times > 0 && i.hits[at] >= rule.Times) || !i.plan.drawn(at, number, rule.Chance) {
			continue
		}
		i.hits[at]++
		struck = &i.plan.Calls[at]
	}
	return struck
}

// drawn is the same for the same seed, rule and number of the call: other rules and other calls have no part in it.
func (p Plan) drawn(rule, number int, chance float64) bool {
	if chance == 0 || chance == 1 {
		return true
	}
	return rand.New(rand.NewPCG(p.Seed, uint64(rule)<<32|uint64(number))).Float64() < chance
}

func (r Rule) matches(method, path string) bool {
	wantMethod, pattern, _ := strings.Cut(r.Call, " ")
	if wantMethod != "*" && wantMethod != method {
		return false
	}
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, part := range want {
		switch {
		case part == "**":
			return true
		case i >= len(got), part != "*" && part != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}
