// Command penstock-gates-health serves the gates of the set "health": is the new version well, and is it fast enough?
//
// A gate here asks the running version over HTTP, at the address that the run tells, or judges evidence that penstock gathered.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "health", Version: "0.1.0", Gates: []gates.Gate{
		endpointGate{maxAge: maxPageAge}, // does the health page say that every dependency works?
		smokeGate{},                      // was it asked enough, and did all of it go well?
		latencyGate{},                    // how long does an answer take?
		slowdownGate{},                   // is it slower for people than the version before?
		alertsGate{},                     // does one of the app's alerts fire under real traffic?
	}}
}
