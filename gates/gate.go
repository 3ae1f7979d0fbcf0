package gates

import "context"

// Gate is one named check.
//
// Describe is called once per process, before anything else, must not block and must always return the same value.
// Evaluate is called any number of times, from several goroutines at once; it must keep nothing between calls, and must
// return soon after ctx ends (the host kills the process a little later). Returning an error says "could not find out":
// the host turns it into [Error], which never lets anything through. A panic counts as an error.
type Gate interface {
	Describe() Description
	Evaluate(ctx context.Context, request *Request) (*Verdict, error)
}

// Set is what one plugin binary serves: several gates under one name, released together.
type Set struct {
	Name    string // lower-case word: quality, security, …; a gate's full name is "<set>/<gate>"
	Version string // semantic version of the set, without a leading v
	Gates   []Gate
}

// Phase says when in a run a gate is asked.
type Phase string

// The phases, in the order of a run.
const (
	PhaseBuild   Phase = "build"   // after the stages, before a bundle is accepted
	PhasePlan    Phase = "plan"    // what would change is known, and nothing has been changed: where to wait holds nobody up
	PhasePromote Phase = "promote" // the new version is uploaded and takes no traffic yet
	PhaseBake    Phase = "bake"    // the new version takes traffic
)

// Description is what a gate says of itself before it is trusted with anything.
type Description struct {
	Name    string   // within the set: "coverage" in quality/coverage
	Title   string   // one short line for people
	Phases  []Phase  // at least one
	Config  string   // JSON Schema (draft 2020-12) of the gate's config; "" allows none
	Reports []Report // kinds that it can read (Kind only); the host passes no others
	Needs   Needs
}

// Needs lists what a gate asks for beyond reports. The host grants only what the pipeline allows.
type Needs struct {
	Source  bool     // read the source snapshot
	History bool     // read the source's git history, with git
	Hosts   []string // network hosts, "host" or "host:port", and [PublicHost]
	Secrets []string // names
	// Version asks the running version: Run.URL is its address, and the only one that can be reached. There is no running
	// version in [PhaseBuild] and [PhasePlan], so a gate with this need cannot name those phases.
	Version bool
}

// PublicHost among [Needs].Hosts stands for the host of Run.PublicURL, at its own port and at those of HTTP and HTTPS, or for
// the two addresses of Run.Edge where there is one. It is granted in [PhasePromote] and [PhaseBake] without being asked for in
// the pipeline, because it is the app's own.
const PublicHost = "<public>"
