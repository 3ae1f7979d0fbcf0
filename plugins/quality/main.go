// Command penstock-gates-quality serves the gates of the set "quality": is the code tested, covered, well typed and clean?
//
// Each gate judges reports and logs that the stages of a run left; none of them runs anything itself.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "quality", Version: "0.1.0", Gates: []gates.Gate{
		testsGate{},     // did the tests run, and did they pass?
		coverageGate{},  // how much of the code do they reach?
		typecheckGate{}, // does the type checker find errors?
		lintGate{},      // does the linter?
		benchmarkGate{}, // is it as fast as it was?
		webVitalsGate{}, // do pages keep to their budgets?
	}}
}
