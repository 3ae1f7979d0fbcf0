// Command penstock-gates-cloudflare serves the gates of the set "cloudflare": does everything that the app needs in its
// account exist, is it set up as the config says, and did nobody else change what is live?
//
// No gate here asks Cloudflare. Each judges the evidence "environment", which penstock gathers with its own token.
package main

import "github.com/penstock-ci/penstock/gates"

func main() { gates.Serve(set()) }

func set() gates.Set {
	return gates.Set{Name: "cloudflare", Version: "0.1.0", Gates: []gates.Gate{
		secretsGate,        // all secrets configured via wrangler secret
		d1Gate,             // D1 database created and migrated
		kvGate,             // all KV namespaces configured
		r2Gate,             // R2 buckets created with proper permissions
		durableObjectsGate, // Durable Objects deployed
		queuesGate,         // queue consumers configured
		vectorizeGate,      // Vectorize index created
		domainGate,         // custom domain configured
		certificateGate,    // SSL certificate active
		driftGate,          // what is live is what was promoted
	}}
}
