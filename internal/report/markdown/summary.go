package markdown

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
)

// Links are where a reader can go on; each may be empty.
type Links struct {
	Run string // the log of the run
	// Source is the address of a file of the commit: the path from the repository's root is put after it.
	Source string
	// Folder is the app's folder within the repository, with a slash at its end; "" at the root.
	Folder string
}

// Limit is the longest text that GitHub takes for a comment or a check run's summary: 65,535 characters.
const Limit = 65535

// findingsOf bounds the findings that are shown of one gate, the first time round.
const findingsOf = 20

// Summary writes the account: the verdict, what stopped it and what to do next, then gates, findings, the plan and stages.
// It is at most limit bytes long: findings go first when it would be longer, and it says how many.
func Summary(a *account.Account, links Links, limit int) string {
	for shown := findingsOf; ; shown /= 2 {
		text := summary(a, links, shown)
		if len(text) <= limit {
			return text
		}
		if shown == 0 {
			const cut = "\n\n_The rest is left out: it is in the log._\n"
			return strings.ToValidUTF8(text[:max(limit-len(cut), 0)], "") + cut
		}
	}
}

func summary(a *account.Account, links Links, shown int) string {
	var out strings.Builder
	fmt.Fprintf(&out, "### %s %s\n\n", sign(a.Ending()), Text(Headline(a)))
	reason(&out, a)
	gateTable(&out, a, links)
	for _, gate := range a.Gates {
		findings(&out, gate, links, shown)
	}
	plan(&out, a)
	stages(&out, a)
	steps(&out, a)
	if len(a.Warnings) > 0 {
		out.WriteString("<details><summary>Said on the way</summary>\n\n")
		for _, warning := range a.Warnings {
			fmt.Fprintf(&out, "- %s\n", Text(Cut(warning, 500)))
		}
		out.WriteString("\n</details>\n\n")
	}
	footer(&out, a, links)
	return out.String()
}

// Headline is one line of plain text: how the run stands.
func Headline(a *account.Account) string {
	app, where := a.Info.App, a.Info.Environment
	goal := app + " for " + where
	if a.Promotes() {
		goal = app + " to " + where
	}
	if a.Info.Command != "" {
		goal = a.Info.Command + " of " + app + " in " + where
	}
	switch {
	case a.Result == nil:
		return "At work: " + goal
	case a.Ending() == account.Passed && a.Info.Command != "":
		return "Done: " + goal
	case a.Ending() == account.Passed && a.Promotes() && a.Plan != nil && a.Plan.UpToDate:
		return "Nothing to deploy: " + where + " runs this very bundle of " + app
	case a.Ending() == account.Passed && a.Promotes():
		return "Deployed " + goal
	case a.Ending() == account.Passed:
		return "All passed: " + goal
	case a.Ending() == account.Waiting:
		return "Waiting: " + goal
	default:
		return strings.ToUpper(a.Result.Outcome[:min(1, len(a.Result.Outcome))]) + a.Result.Outcome[min(1, len(a.Result.Outcome)):] + ": " + goal
	}
}

// NotLive is one line of plain text about a deployment that waits, "" of any other run.
func NotLive(a *account.Account) string {
	if a.Ending() != account.Waiting || !a.Promotes() || a.Info.Command != "" {
		return ""
	}
	return "Nothing of this run is live yet, and nothing failed: run " + a.Run + " waits."
}

func sign(state account.State) string {
	switch state {
	case account.Passed:
		return "✅"
	case account.Running:
		return "⏳"
	case account.Waiting:
		return "✋"
	case account.Failed:
		return "❌"
	case account.Unknown:
		return "❓"
	default:
		return "❓"
	}
}

func reason(out *strings.Builder, a *account.Account) {
	if a.Result == nil {
		return
	}
	if text := NotLive(a); text != "" {
		fmt.Fprintf(out, "**%s**\n\n", Text(text))
	}
	if a.Result.Reason != "" {
		fmt.Fprintf(out, "%s\n\n", Text(Cut(a.Result.Reason, 1000)))
	}
	if a.Result.Version != "" && a.Ending() == account.Passed {
		fmt.Fprintf(out, "Version %s is live.\n\n", Text(a.Result.Version))
	}
	if a.Result.URL != "" {
		fmt.Fprintf(out, "Served at %s\n\n", Text(a.Result.URL))
	}
	if a.Ending() == account.Waiting && len(a.Info.Approvers) > 0 {
		fmt.Fprintf(out, "May approve: %s\n\n", Text(strings.Join(a.Info.Approvers, ", ")))
	}
	if a.Result.NextStep != "" && a.Ending() != account.Passed {
		fmt.Fprintf(out, "**Next:** %s\n\n", Text(Cut(a.Result.NextStep, 1000)))
	}
}

func gateTable(out *strings.Builder, a *account.Account, links Links) {
	if len(a.Gates) == 0 {
		return
	}
	out.WriteString("| | gate | when | says | measured | limit | weight |\n|---|---|---|---|---|---|---|\n")
	for _, gate := range a.Gates {
		name := Text(gate.Name)
		if links.Run != "" {
			name = "[" + name + "](" + links.Run + ")"
		}
		says, value, limit := "not asked yet", "", ""
		if a.Result != nil {
			says = "not asked"
		}
		mark := "⚪"
		if gate.Verdict != nil {
			says = Text(Cut(gate.Verdict.Summary, 300))
			value, limit = measured(gate.Verdict)
			mark = verdictSign(gate)
			if gate.Waived != "" {
				says += " · waived: " + Text(Cut(gate.Waived, 300))
			}
			if by := gate.Verdict.Pending; by != nil {
				says += " · waits for " + Text(Cut(by.By, 200))
			}
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s |\n", mark, name, Text(string(gate.Phase)), says, Text(value), Text(limit), Text(gate.Weight()))
	}
	out.WriteString("\n")
}

func verdictSign(gate account.Gate) string {
	switch {
	case gate.Blocks:
		return sign(gate.StateOf())
	case gate.Verdict.Outcome == gates.Pass:
		return "✅"
	default:
		return "⚠️" // it warns, or it says no and does not block
	}
}

// measured is the first measurement of a verdict and its limit.
func measured(verdict *gates.Verdict) (value, limit string) {
	if len(verdict.Measurements) == 0 {
		return "", ""
	}
	return verdict.Measurements[0].Figures()
}

func findings(out *strings.Builder, gate account.Gate, links Links, shown int) {
	if gate.Verdict == nil || gate.Verdict.Outcome == gates.Pass || (len(gate.Verdict.Findings) == 0 && gate.Verdict.NextStep == "") {
		return
	}
	all := gate.Verdict.Findings
	open := ""
	if gate.Blocks {
		open = " open"
	}
	fmt.Fprintf(out, "<details%s><summary>%s: %d to look at</summary>\n\n", open, Text(gate.Name), len(all))
	for _, finding := range all[:min(shown, len(all))] {
		fmt.Fprintf(out, "- %s%s %s\n", Text(string(finding.Level)), place(finding, links), Text(Cut(strings.TrimSpace(finding.Rule+" "+finding.Message), 500)))
	}
	if len(all) > shown {
		fmt.Fprintf(out, "- … and %d more: they are in the log\n", len(all)-shown)
	}
	if gate.Verdict.NextStep != "" {
		fmt.Fprintf(out, "\n**Next:** %s\n", Text(Cut(gate.Verdict.NextStep, 500)))
	}
	out.WriteString("\n</details>\n\n")
}

// place names a finding's file and line, as a link where the address of the source is known.
func place(finding gates.Finding, links Links) string {
	if finding.File == "" {
		return ""
	}
	name, anchor := finding.File, ""
	if finding.Line > 0 {
		name, anchor = fmt.Sprintf("%s:%d", finding.File, finding.Line), fmt.Sprintf("#L%d", finding.Line)
	}
	if links.Source == "" {
		return " " + Text(name)
	}
	return " [" + Text(name) + "](" + links.Source + escapePath(links.Folder+finding.File) + anchor + ")"
}

// escapePath writes a path so that it cannot end the link that it stands in.
func escapePath(path string) string {
	var out strings.Builder
	for _, b := range []byte(path) {
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("/-._~", b) >= 0 {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

// changesShown bounds the plan's lines.
const changesShown = 100

// scriptsShown and scriptShown bound the SQL of a plan: files, and characters of each.
const scriptsShown, scriptShown = 5, 4000

func plan(out *strings.Builder, a *account.Account) {
	if a.Plan == nil {
		return
	}
	var changes []event.Change
	for _, change := range a.Plan.Changes {
		if change.Action != "keep" {
			changes = append(changes, change)
		}
	}
	fmt.Fprintf(out, "<details><summary>What changes in %s: %d</summary>\n\n", Text(a.Info.Environment), len(changes))
	if len(changes) > 0 {
		out.WriteString("| | what | name | from | to |\n|---|---|---|---|---|\n")
		for _, change := range changes[:min(changesShown, len(changes))] {
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", Text(change.Action), Text(change.Kind), Text(Cut(change.Name, 200)), Text(Cut(change.From, 100)), Text(Cut(change.To, 100)))
		}
		if len(changes) > changesShown {
			fmt.Fprintf(out, "\n… and %d more\n", len(changes)-changesShown)
		}
	}
	for _, script := range a.Plan.Scripts[:min(scriptsShown, len(a.Plan.Scripts))] {
		fmt.Fprintf(out, "\n%s on %s:\n\n%s", Text(script.File), Text(script.Database), Block(Cut(script.SQL, scriptShown)))
	}
	if more := len(a.Plan.Scripts) - scriptsShown; more > 0 {
		fmt.Fprintf(out, "\n… and %d more SQL files\n", more)
	}
	fmt.Fprintf(out, "\nPlan %s\n\n</details>\n\n", Text(a.Plan.Digest))
}

func stages(out *strings.Builder, a *account.Account) {
	if len(a.Stages) == 0 {
		return
	}
	open := ""
	for _, stage := range a.Stages {
		if stage.Ended && stage.Outcome != event.Passed && stage.Outcome != event.Skipped {
			open = " open"
		}
	}
	fmt.Fprintf(out, "<details%s><summary>Stages</summary>\n\n| | stage | took | |\n|---|---|---|---|\n", open)
	for _, stage := range a.Stages {
		mark, took, text := "⚪", "", ""
		if stage.Ended {
			mark, took = sign(stage.StateOf()), elapsed(stage.Duration)
			text = stage.Why
			if stage.Cached {
				took = "cached"
			}
			if stage.Outcome == event.Skipped {
				mark = "⚪"
			}
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", mark, Text(stage.Name), Text(took), Text(Cut(text, 300)))
	}
	out.WriteString("\n</details>\n\n")
}

func steps(out *strings.Builder, a *account.Account) {
	begun, open := false, ""
	for _, step := range a.Steps {
		begun = begun || step.Began
		if step.Error != "" {
			open = " open"
		}
	}
	if !begun {
		return
	}
	fmt.Fprintf(out, "<details%s><summary>Promotion</summary>\n\n| | step | took | |\n|---|---|---|---|\n", open)
	for _, step := range a.Steps {
		mark, text := "⚪", step.Detail
		switch {
		case step.Error != "":
			mark, text = "❌", step.Error
		case step.Ended:
			mark = "✅"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", mark, Text(step.Name), Text(elapsed(step.Duration)), Text(Cut(text, 300)))
	}
	out.WriteString("\n</details>\n\n")
}

func footer(out *strings.Builder, a *account.Account, links Links) {
	var parts []string
	if a.Run != "" {
		parts = append(parts, "run "+Text(a.Run))
	}
	if a.Bundle != nil {
		parts = append(parts, "bundle "+Text(a.Bundle.Digest))
	}
	if a.Result != nil && a.Result.Version != "" {
		parts = append(parts, "version "+Text(a.Result.Version))
	}
	if links.Run != "" {
		parts = append(parts, "[log]("+links.Run+")")
	}
	if len(parts) > 0 {
		fmt.Fprintf(out, "<sub>Penstock · %s</sub>\n", strings.Join(parts, " · "))
	}
}

// elapsed is empty where nothing was measured.
func elapsed(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return gates.Span(d)
}
