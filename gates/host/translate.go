package host

import (
	"fmt"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// minSDK is the oldest gate SDK whose sets this host understands. docs/gates.md lists the pairs that work.
const minSDK = "0.1.0"

// maxGates bounds a set, whose description is listed and remembered as a whole.
const maxGates = 200

// infoFromWire reads what a set says of itself, and refuses what is not what was pinned or does not hold together.
func infoFromWire(message *wire.DescribeResponse, ref PluginRef) (*SetInfo, error) {
	misbehaved := func(format string, args ...any) (*SetInfo, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrMisbehaved}, args...)...)
	}
	sdk, version := line(message.GetSdkVersion(), maxName), line(message.GetVersion(), maxName)
	switch {
	case semver.Compare("v"+sdk, "v"+minSDK) < 0:
		return nil, fmt.Errorf("%w: the gate set %s was built with gate SDK %q, and this penstock (gate SDK %s) needs at least %s: "+
			"get a newer release of the set, or rebuild it", ErrIncompatible, ref.Set, sdk, gates.SDKVersion, minSDK)
	case message.GetName() != ref.Set:
		return misbehaved("the gate set %s calls itself %q: the program is called penstock-gates- and the name of its set", ref.Set, line(message.GetName(), maxName))
	case ref.Pin.Version != "" && version != ref.Pin.Version:
		return nil, fmt.Errorf("%w: the gate set %s says that it has version %s, and version %s was pinned: lock it again",
			ErrUntrusted, ref.Set, version, ref.Pin.Version)
	case len(message.GetGates()) == 0:
		return misbehaved("the gate set %s has no gates", ref.Set)
	case len(message.GetGates()) > maxGates:
		return misbehaved("the gate set %s has %d gates, and %d are allowed", ref.Set, len(message.GetGates()), maxGates)
	}

	info := &SetInfo{Name: ref.Set, Version: version, SDKVersion: sdk}
	for _, gate := range message.GetGates() {
		description := descriptionFromWire(gate)
		if err := description.Check(); err != nil {
			return misbehaved("the gate set %s: %s", ref.Set, line(err.Error(), maxSummary))
		}
		if slices.ContainsFunc(info.Gates, func(other gates.Description) bool { return other.Name == description.Name }) {
			return misbehaved("the gate set %s has two gates called %s", ref.Set, description.Name)
		}
		info.Gates = append(info.Gates, description)
	}
	return info, nil
}

func descriptionFromWire(message *wire.Description) gates.Description {
	description := gates.Description{
		Name:   message.GetName(),
		Title:  line(message.GetTitle(), maxName),
		Config: strip(message.GetConfigSchema(), true),
		Needs: gates.Needs{
			Source: message.GetNeedsSource(), History: message.GetNeedsHistory(),
			Hosts: names(message.GetNeedsHosts()), Secrets: names(message.GetNeedsSecrets()), Version: message.GetNeedsVersion(),
		},
	}
	for _, phase := range message.GetPhases() {
		description.Phases = append(description.Phases, gates.Phase(phase))
	}
	for _, kind := range message.GetReportKinds() {
		description.Reports = append(description.Reports, gates.Report{Kind: gates.ReportKind(line(kind, maxName))})
	}
	return description
}

// names are names that a set says, as they may be shown.
func names(said []string) []string {
	var shown []string
	for _, name := range said {
		shown = append(shown, line(name, maxName))
	}
	return shown
}

func requestToWire(request gates.Request, nonce string) *wire.EvaluateRequest {
	run := request.Run
	message := &wire.EvaluateRequest{
		Gate:       request.Gate,
		Phase:      string(request.Phase),
		ConfigJson: request.Config,
		Run: &wire.Run{
			Id: run.ID, App: run.App, Environment: run.Environment, Commit: run.Commit,
			SourceDigest: run.SourceDigest, BundleDigest: run.BundleDigest, Url: run.URL, VersionId: run.VersionID,
			PublicUrl: run.PublicURL,
		},
		SourceDir: request.SourceDir,
		Secrets:   request.Secrets,
		Nonce:     nonce,
	}
	if run.Edge != nil {
		message.Run.Edge = &wire.Edge{Host: run.Edge.Host, Plain: run.Edge.Plain, Encrypted: run.Edge.Encrypted, Authority: run.Edge.Authority}
	}
	if request.History != nil {
		message.History = &wire.History{Dir: request.History.Dir, Folder: request.History.Folder}
		for _, base := range request.History.Bases {
			message.History.Bases = append(message.History.Bases, &wire.Base{Commit: base.Commit, Name: base.Name})
		}
	}
	for _, stage := range request.Stages {
		message.Stages = append(message.Stages, &wire.Stage{
			Name: stage.Name, Outcome: stage.Outcome, ExitCode: int32(stage.ExitCode), Command: stage.Command,
			Log: stage.Log, Root: stage.Root, Cached: stage.Cached,
		})
	}
	for _, report := range request.Reports {
		message.Reports = append(message.Reports, &wire.Report{
			Kind: string(report.Kind), Stage: report.Stage, Path: report.Path, Root: report.Root,
		})
	}
	return message
}

func verdictFromWire(message *wire.Verdict) gates.Verdict {
	verdict := gates.Verdict{
		Outcome:  gates.Outcome(message.GetOutcome()),
		Summary:  message.GetSummary(),
		NextStep: message.GetNextStep(),
	}
	for _, finding := range message.GetFindings() {
		verdict.Findings = append(verdict.Findings, gates.Finding{
			Level: gates.Level(finding.GetLevel()), Rule: finding.GetRule(), Message: finding.GetMessage(), File: finding.GetFile(),
			Line: int(finding.GetLine()), Column: int(finding.GetColumn()), Detail: finding.GetDetail(),
		})
	}
	for _, measurement := range message.GetMeasurements() {
		verdict.Measurements = append(verdict.Measurements, gates.Measurement{
			Name: measurement.GetName(), Value: measurement.GetValue(), Unit: measurement.GetUnit(),
			Limit: measurement.Limit, Baseline: measurement.Baseline, Better: measurement.GetBetter(),
		})
	}
	for _, evidence := range message.GetEvidence() {
		verdict.Evidence = append(verdict.Evidence, gates.Evidence{Name: evidence.GetName(), Digest: evidence.GetDigest()})
	}
	if pending := message.GetPending(); pending != nil {
		verdict.Pending = &gates.Clearance{By: pending.GetBy(), AskAgain: pending.GetAskAgain().AsDuration()}
	}
	return verdict
}
