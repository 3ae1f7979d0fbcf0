// Command penstock-gates-data serves the gates of the set "data": will what people stored survive this deployment?
//
// Each gate judges evidence that penstock gathered; none of them reaches a database itself.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "data", Version: "0.1.0", Gates: []gates.Gate{
		migrationsGate{}, // does the SQL destroy, lock or break anything, and are the applied files what they were?
		backupGate{},     // is there something to go back to?
		rehearsalGate{},  // what did it do to a copy?
	}}
}
