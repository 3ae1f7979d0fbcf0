// Command penstock-gates-health serves the gates of the set "health": is the new version well, and is it fast enough?
//
// Each gate asks the running version over HTTP, at the address that the run tells, and nothing else.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "health", Version: "0.1.0", Gates: []gates.Gate{
		endpointGate{maxAge: maxPageAge}, // does the health page say that every dependency works?
		latencyGate{},                    // how long does an answer take?
		alertsGate{},                     // does one of the app's alerts fire under real traffic?
	}}
}
