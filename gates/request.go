package gates

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Request is one question to one gate. Everything in it was granted; paths lie in folders that the gate may read.
type Request struct {
	Gate      string // name within the set
	Phase     Phase
	Config    json.RawMessage // validated against the gate's own schema; "{}" when none was given
	Run       Run
	Stages    []Stage
	Reports   []Report
	SourceDir string            // the source snapshot; empty when not asked for
	History   *History          // nil when not asked for, and when the source is in no git repository
	Secrets   map[string]string // by name, only those granted
	progress  func(message string)
}

// History is the git history of the source: a bare repository with the commits, branches and tags of the app's own, and
// with nothing else of it (no config, where tokens lie, no hooks, no index). Git is on the gate's PATH.
type History struct {
	Dir string // the bare repository, to be read only; HEAD is the commit that is judged, and absent before the first one
	// Folder is the app's folder within the repository, with forward slashes; empty when it is the repository's top.
	Folder string
	// Bases are what the source is rightly compared with to see what is new: the base of its pull request, or what is live in
	// the run's environment; the best first, and none when nobody knows. A shallow history need not hold them.
	Bases []Base
}

// Base is a commit that the judged one can be compared with.
type Base struct {
	Commit string // full hash
	Name   string // what it is, for people
}

// Run says which run is being judged.
type Run struct {
	ID           string
	App          string
	Environment  string
	Commit       string // full hash; empty outside a git repository
	SourceDigest string // "sha256:…" of the snapshot
	BundleDigest string // "sha256:…"; empty before there is a bundle
	// URL is where the version that is judged answers, without a trailing slash and without any header of the gate's own;
	// only for a gate with Needs.Version. It is no public name: links and policies that name the host go by PublicURL.
	URL       string
	VersionID string
	// PublicURL is where everybody finds the environment, to be read and not to be asked; empty when there is no such name.
	PublicURL string
	// Edge is where the environment's own public name is served when nobody but this machine knows it, for a gate that needs
	// [PublicHost]; nil elsewhere, and when the app gives itself no name.
	Edge *Edge
}

// Edge is the front of a Cloudflare on this machine. No DNS leads to it and no browser trusts it, so a gate that asks it has to
// know both.
type Edge struct {
	Host      string // the name that the app's custom domain or route gives it
	Plain     string // "host:port" that answers for it over HTTP
	Encrypted string // "host:port" that answers for it over HTTPS
	Authority []byte // PEM: the certificate of who signs for it there, as a public authority does elsewhere
}

// Stage is how one stage of the run went.
type Stage struct {
	Name     string
	Outcome  string // passed, failed, skipped, cancelled, error
	ExitCode int    // -1 when the stage did not end by itself
	Command  string // what ran, for people
	Log      string // path of its whole output, redacted; empty when there is none
	Root     string // folder that relative and absolute paths in its log and reports refer to
	Cached   bool
}

// Report is a file in a standard format that a stage left, or evidence that penstock gathered; then Stage is empty.
type Report struct {
	Kind  ReportKind
	Stage string
	Path  string
	Root  string // as Stage.Root
}

// ReportKind names a report's format.
type ReportKind string

// The report kinds.
const (
	ReportJUnit           ReportKind = "junit"
	ReportIstanbul        ReportKind = "istanbul"         // coverage-final.json
	ReportIstanbulSummary ReportKind = "istanbul-summary" // coverage-summary.json
	ReportLCOV            ReportKind = "lcov"
	ReportCobertura       ReportKind = "cobertura"
	ReportSARIF           ReportKind = "sarif"
	ReportESLint          ReportKind = "eslint"    // ESLint's own JSON
	ReportNPMAudit        ReportKind = "npm-audit" // npm audit --json
	ReportOSV             ReportKind = "osv"
	ReportCycloneDX       ReportKind = "cyclonedx"
	ReportBenchmark       ReportKind = "benchmark"  // samples: docs/gates/quality-benchmark.md
	ReportLighthouse      ReportKind = "lighthouse" // Lighthouse's JSON
	ReportWebVitals       ReportKind = "web-vitals" // metrics of the web-vitals library, as JSON
)

// The kinds of evidence that no stage leaves: penstock gathers them, anew for each phase and each time a gate is asked while a
// version bakes. Package gates/evidence has their types. A gate that names one is asked only when it could be gathered.
const (
	ReportEnvironment ReportKind = "environment" // what is live; phases plan, promote and bake
	ReportMetrics     ReportKind = "metrics"     // how it fares; phases plan, promote and bake
	ReportPlan        ReportKind = "plan"        // what would change; phases plan, promote and bake
	ReportPromotions  ReportKind = "promotions"  // what happened before
	ReportSmoke       ReportKind = "smoke"       // what the new version answered to probes and smoke stages; phases promote and bake
	ReportBackups     ReportKind = "backups"     // what there is to go back to
	ReportRehearsal   ReportKind = "rehearsal"   // what the pending migrations did to a copy
)

// Gathered reports whether penstock gathers the kind, so that no stage can leave it.
func (k ReportKind) Gathered() bool {
	switch k {
	case ReportEnvironment, ReportMetrics, ReportPlan, ReportPromotions, ReportSmoke, ReportRehearsal, ReportBackups:
		return true
	default:
		return false
	}
}

// Progress tells the host, and so the person watching, what the gate is doing. It may be called from any goroutine until
// Evaluate returns; messages are bounded and may be dropped.
func (r *Request) Progress(format string, args ...any) {
	if r.progress != nil {
		r.progress(fmt.Sprintf(format, args...))
	}
}

// DecodeConfig fills into with the gate's config. Unknown keys are an error, so that a misspelt limit is never ignored.
func (r *Request) DecodeConfig(into any) error {
	if len(r.Config) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the config of gate %s: %w", r.Gate, err)
	}
	return nil
}

// Stage returns the stage of that name, or nil when the run had none.
func (r *Request) Stage(name string) *Stage {
	for i := range r.Stages {
		if r.Stages[i].Name == name {
			return &r.Stages[i]
		}
	}
	return nil
}

// ReportsOf returns the reports of the given kinds, in the order in which they were asked for.
func (r *Request) ReportsOf(kinds ...ReportKind) []Report {
	var found []Report
	for _, kind := range kinds {
		for _, report := range r.Reports {
			if report.Kind == kind {
				found = append(found, report)
			}
		}
	}
	return found
}

// WithProgress returns a copy of r whose Progress calls report; for hosts and tests.
func (r Request) WithProgress(report func(message string)) *Request {
	r.progress = report
	return &r
}
