// Command penstock-gates-security serves the gates of the set "security": are the packages, the source and the answers of
// the app safe to ship?
//
// The gates of the build phase judge the source and what stages left; they run nothing of the app. What a gate of this set
// finds, it never shows: a secret is named by rule, place and fingerprint. Those of the promote and bake phases ask the running
// version a bounded number of harmless questions.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "security", Version: "0.1.0", Gates: []gates.Gate{
		auditGate{},   // do the packages have known vulnerabilities?
		secretsGate{}, // are there credentials in the source or its history?
		sqlGate{},     // is SQL built from values?
		inputGate{},   // is input used before a schema checked it?

		headersGate{},   // do answers carry the security headers?
		corsGate{},      // can other sites read them?
		errorsGate{},    // do errors show the inside of the app?
		xssGate{},       // do pages repeat markup that visitors send?
		ratelimitGate{}, // is turned away who asks too often?
		httpsGate{},     // is HTTPS enforced?
	}}
}
