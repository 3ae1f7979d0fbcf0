// Command penstock-gates-release serves the gates of the set "release": may this go out now, and is it what it says to be?
//
// No gate here asks anybody: each judges the evidence "plan" or "promotions"; two of them the time besides.
package main

import (
	"time"

	"github.com/penstock-ci/penstock/gates"
)

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "release", Version: "0.1.0", Gates: []gates.Gate{
		approvalGate{},              // did enough people approve this very plan?
		windowGate{clock: time.Now}, // is this a time at which things go out?
		soakGate{clock: time.Now},   // was it in the environment before for long enough?
		sizeGate{},                  // is the change small enough to be understood?
		provenanceGate{},            // is the bundle the one that was tested?
	}}
}
