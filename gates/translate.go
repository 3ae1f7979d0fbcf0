package gates

import (
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// clean makes text fit for the wire, which carries valid UTF-8 only; test output is under no such obligation.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func descriptionToWire(description Description) *wire.Description {
	message := &wire.Description{
		Name:         clean(description.Name),
		Title:        clean(description.Title),
		ConfigSchema: clean(description.Config),
		NeedsSource:  description.Needs.Source,
		NeedsHistory: description.Needs.History,
		NeedsHosts:   description.Needs.Hosts,
		NeedsSecrets: description.Needs.Secrets,
		NeedsVersion: description.Needs.Version,
	}
	for _, phase := range description.Phases {
		message.Phases = append(message.Phases, string(phase))
	}
	for _, report := range description.Reports {
		message.ReportKinds = append(message.ReportKinds, string(report.Kind))
	}
	return message
}

func requestFromWire(message *wire.EvaluateRequest) Request {
	run := message.GetRun()
	request := Request{
		Gate:   message.GetGate(),
		Phase:  Phase(message.GetPhase()),
		Config: message.GetConfigJson(),
		Run: Run{
			ID: run.GetId(), App: run.GetApp(), Environment: run.GetEnvironment(), Commit: run.GetCommit(),
			SourceDigest: run.GetSourceDigest(), BundleDigest: run.GetBundleDigest(),
			URL: run.GetUrl(), VersionID: run.GetVersionId(), PublicURL: run.GetPublicUrl(),
		},
		SourceDir: message.GetSourceDir(),
		Secrets:   message.GetSecrets(),
	}
	if edge := run.GetEdge(); edge != nil {
		request.Run.Edge = &Edge{Host: edge.GetHost(), Plain: edge.GetPlain(), Encrypted: edge.GetEncrypted(), Authority: edge.GetAuthority()}
	}
	if history := message.GetHistory(); history != nil {
		request.History = &History{Dir: history.GetDir(), Folder: history.GetFolder()}
		for _, base := range history.GetBases() {
			request.History.Bases = append(request.History.Bases, Base{Commit: base.GetCommit(), Name: base.GetName()})
		}
	}
	for _, stage := range message.GetStages() {
		request.Stages = append(request.Stages, Stage{
			Name: stage.GetName(), Outcome: stage.GetOutcome(), ExitCode: int(stage.GetExitCode()), Command: stage.GetCommand(),
			Log: stage.GetLog(), Root: stage.GetRoot(), Cached: stage.GetCached(),
		})
	}
	for _, report := range message.GetReports() {
		request.Reports = append(request.Reports, Report{
			Kind: ReportKind(report.GetKind()), Stage: report.GetStage(), Path: report.GetPath(), Root: report.GetRoot(),
		})
	}
	return request
}

func verdictToWire(verdict *Verdict) *wire.Verdict {
	message := &wire.Verdict{
		Outcome:  string(verdict.Outcome),
		Summary:  clean(verdict.Summary),
		NextStep: clean(verdict.NextStep),
	}
	for _, finding := range verdict.Findings {
		message.Findings = append(message.Findings, &wire.Finding{
			Level: string(finding.Level), Rule: clean(finding.Rule), Message: clean(finding.Message), File: clean(finding.File),
			Line: int32(finding.Line), Column: int32(finding.Column), Detail: clean(finding.Detail),
		})
	}
	for _, measurement := range verdict.Measurements {
		message.Measurements = append(message.Measurements, &wire.Measurement{
			Name: clean(measurement.Name), Value: measurement.Value, Unit: clean(measurement.Unit),
			Limit: measurement.Limit, Baseline: measurement.Baseline, Better: measurement.Better,
		})
	}
	for _, evidence := range verdict.Evidence {
		message.Evidence = append(message.Evidence, &wire.Evidence{Name: clean(evidence.Name), Digest: clean(evidence.Digest)})
	}
	if pending := verdict.Pending; pending != nil {
		message.Pending = &wire.Clearance{By: clean(pending.By), AskAgain: durationpb.New(max(pending.AskAgain, 0))}
	}
	return message
}
