package terminal

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// findingsShown bounds the failure screen: it has to fit one screen; the rest is counted, and is whole in --json.
const findingsShown = 10

// logShown is how many of a failed stage's last lines are shown when no gate could say more exactly what is wrong.
const logShown = 15

// scriptShown bounds each SQL script of a plan.
const scriptShown = 200

// summary writes the end of a run for people: what ran and how long, what came from cache, every verdict with its measured
// value and limit, what is live and where, or what stopped it, where, and what to do next. Unless all is true, what went well is
// folded: passed gates into a line a set, cached stages and a promotion's steps into one. What warns, failed, was waived or could
// not be found out has a row of its own, in full. Lines are wrapped to width columns; 0 wraps none.
func (p palette) summary(w io.Writer, b *board, all bool, width int) {
	if b.result == nil {
		return
	}
	rows := p.summaryRows(b, all)
	if len(rows)+len(b.notes) > 0 {
		fmt.Fprintln(w)
	}
	p.table(w, rows, width)
	for _, note := range b.notes {
		p.paragraph(w, "  "+p.noteSign(note)+" ", oneLine(note.Text, 0), width)
	}
	// What a deployment applies is in its steps; whoever looks, decides or migrates the data alone wants to read it.
	if b.plan != nil && (b.info.Command != "" || b.info.Purpose != "" || b.result.Outcome == "waiting" || all) {
		p.scripts(w, b.plan.Scripts)
	}
	if b.result.ExitCode != 0 {
		p.failure(w, b, width)
	}
	p.ending(w, b, all, width)
}

func (p palette) summaryRows(b *board, all bool) []row {
	end := b.started.Add(b.result.Duration)
	rows := p.endedStages(b, end, all)
	rows = append(rows, p.endedGates(b, end, all)...)
	return append(rows, p.endedSteps(b, end, all)...)
}

func (p palette) endedStages(b *board, end time.Time, all bool) []row {
	rows := p.stageRows(b, end)
	for i, stage := range b.stages {
		switch {
		case stage.state == waiting:
			rows[i].text = "not run"
		case !stage.Cached:
			rows[i].fate = loud // it took its time, and says why
		}
		rows[i].text = p.dim.Render(oneLine(rows[i].text, 0))
	}
	if all {
		return rows
	}
	rows = folded(rows, fine, func(these []row) row {
		return row{sign: p.good.Render("✓"), name: "from cache", text: p.dim.Render(strings.Join(namesOf(these), ", "))}
	})
	return folded(rows, open, func(these []row) row {
		return row{sign: p.dim.Render("○"), name: "not run", text: p.dim.Render(strings.Join(namesOf(these), ", "))}
	})
}

func (p palette) endedGates(b *board, end time.Time, all bool) []row {
	var rows, own []row
	passed := map[string]int{} // by set; the index of its row
	var unasked []*gateRow
	for i, one := range p.gateRows(b, end) {
		gate := b.gates[i]
		set, short, _ := strings.Cut(gate.Name, "/")
		one.text = oneLine(one.text, 0)
		at, known := passed[set]
		switch {
		case one.fate == open && !all:
			unasked = append(unasked, gate)
		case one.fate == open:
			one.text = p.dim.Render("not asked")
			rows = append(rows, one)
		case one.fate == fine && !all && known:
			rows[at].items = append(rows[at].items, p.passed(short, gate.Verdict))
			rows[at].longest = max(rows[at].longest, gate.Duration)
			rows[at].spent = gates.Span(rows[at].longest)
		case one.fate == fine && !all:
			passed[set] = len(rows)
			one.name, one.longest, one.text, one.items = set, gate.Duration, "", []string{p.passed(short, gate.Verdict)}
			rows = append(rows, one)
		default:
			one.text = p.withFigure(one.text, gate.Verdict)
			if all {
				rows = append(rows, one)
			} else {
				own = append(own, one)
			}
		}
	}
	rows = append(rows, own...)
	if len(unasked) > 0 {
		rows = append(rows, row{sign: p.dim.Render("○"), name: "not asked", text: p.dim.Render(unaskedOf(b, unasked))})
	}
	return rows
}

// passed is a gate that passed, among others of its set.
func (p palette) passed(name string, v *gates.Verdict) string {
	m := deciding(v)
	if m == nil {
		return name
	}
	told := *m
	if told.Name == name { // "tests 130 tests" says it twice
		told.Name = ""
	}
	return name + " " + p.dim.Render(oneLine(figure(told), 0))
}

// unaskedOf says which gates had no turn, by phase, and why.
func unaskedOf(b *board, unasked []*gateRow) string {
	var phases []string
	for _, phase := range []gates.Phase{gates.PhaseBuild, gates.PhasePlan, gates.PhasePromote, gates.PhaseBake} {
		n := 0
		for _, gate := range unasked {
			if gate.Phase == phase {
				n++
			}
		}
		if n > 0 {
			phases = append(phases, fmt.Sprintf("%s %d", phase, n))
		}
	}
	text := fmt.Sprintf("%s (%s)", gates.Counted(len(unasked), "gate"), strings.Join(phases, ", "))
	if b.result.ExitCode == 0 {
		return text + ": nothing was to be deployed that they could judge"
	}
	return text + ": the run ended before"
}

// deciding is the measurement that a verdict rests on: the first that has a limit, else the first; nil when it measured nothing.
func deciding(v *gates.Verdict) *gates.Measurement {
	if v == nil || len(v.Measurements) == 0 {
		return nil
	}
	return &v.Measurements[max(slices.IndexFunc(v.Measurements, func(m gates.Measurement) bool { return m.Limit != nil }), 0)]
}

// figure is a measurement in short: "lines 92.4 ≥ 80 %", "0 ≤ 0 errors". A value that is not on its limit's good side is not written
// as if it were.
func figure(m gates.Measurement) string {
	value, limit := m.Figures()
	text := value
	switch {
	case limit == "":
	case m.Better == "higher" && m.Value >= *m.Limit:
		text = strings.TrimSuffix(value, " "+m.Unit) + " ≥ " + limit
	case m.Better == "lower" && m.Value <= *m.Limit:
		text = strings.TrimSuffix(value, " "+m.Unit) + " ≤ " + limit
	default:
		text = value + " (limit " + limit + ")"
	}
	if m.Unit == "" || m.Unit == "count" {
		return strings.TrimSpace(text + " " + m.Name)
	}
	return strings.TrimSpace(m.Name + " " + text)
}

// withFigure adds to a gate's own words what it measured against which limit, unless they say so.
func (p palette) withFigure(text string, v *gates.Verdict) string {
	m := deciding(v)
	if m == nil || m.Limit == nil {
		return text
	}
	if value, limit := m.Figures(); strings.Contains(text, value) && strings.Contains(strings.Replace(text, value, "", 1), limit) {
		return text
	}
	return text + p.dim.Render(" ["+oneLine(figure(*m), 0)+"]")
}

func (p palette) endedSteps(b *board, end time.Time, all bool) []row {
	if !b.promoting() {
		if len(b.steps) > 0 && b.result.ExitCode != 0 {
			return []row{{sign: p.dim.Render("○"), name: "promotion", text: p.dim.Render("not begun: what is live stays as it is")}}
		}
		return nil
	}
	var rows []row
	var took time.Duration
	for i, one := range p.stepRows(b, end) {
		step := b.steps[i]
		if one.fate == open {
			if b.result.ExitCode == 0 {
				continue // there was nothing to do for it
			}
			one.text = "not done"
		}
		one.text = p.dim.Render(oneLine(one.text, 0))
		if one.short = step.Name; step.Duration >= time.Second {
			one.short += p.dim.Render(" " + one.spent)
		}
		took += step.Duration
		rows = append(rows, one)
	}
	if all || b.info.Command != "" || b.result.ExitCode != 0 { // what an operation did, and where a promotion stopped
		return rows
	}
	return folded(rows, fine, func(these []row) row {
		one := row{sign: p.good.Render("✓"), name: "promotion", spent: gates.Span(took)}
		for _, step := range these {
			one.items = append(one.items, step.short)
		}
		return one
	})
}

// besideText is what a row has beside its text and its name: the sign, the time, and the spaces between them.
const besideText = 15

// roomForText is how many columns a text beside its row's name must have; with less it goes below.
const roomForText = 30

// table writes rows below each other, with their texts wrapped beside or below their names.
func (p palette) table(w io.Writer, rows []row, width int) {
	names := 8
	for _, one := range rows {
		names = max(names, len(one.name))
	}
	for _, one := range rows {
		atoms, between := one.items, " · "
		if atoms == nil {
			atoms, between = strings.Fields(one.text), " "
		}
		start := fmt.Sprintf("  %s %-*s %8s", one.sign, names, one.name, one.spent)
		if width > 0 && width-names-besideText < roomForText {
			fmt.Fprintln(w, strings.TrimRight(start, " "))
			for _, line := range wrapped(atoms, between, width-6) {
				fmt.Fprintln(w, "      "+line)
			}
			continue
		}
		for _, line := range wrapped(atoms, between, width-names-besideText) {
			fmt.Fprintln(w, start+"  "+line)
			start = strings.Repeat(" ", names+besideText-len("  "))
		}
		if len(atoms) == 0 {
			fmt.Fprintln(w, strings.TrimRight(start, " "))
		}
	}
}

// wrapped joins atoms into lines of at most width columns; a width of 0 or less joins all. An atom that is wider is broken at its
// spaces, and is left as it is where it has none: a path or an address must stay whole to be copied.
func wrapped(atoms []string, between string, width int) []string {
	var lines []string
	line, columns := "", 0
	for _, atom := range atoms {
		wide := ansi.StringWidth(atom)
		if line != "" && (width <= 0 || columns+ansi.StringWidth(between)+wide <= width) {
			line += between + atom
			columns += ansi.StringWidth(between) + wide
			continue
		}
		if line != "" {
			lines = append(lines, strings.TrimRight(line+between, " "))
		}
		if words := strings.Fields(atom); width > 0 && wide > width && len(words) > 1 {
			broken := wrapped(words, " ", width)
			lines = append(lines, broken[:len(broken)-1]...)
			atom = broken[len(broken)-1]
		}
		line, columns = atom, ansi.StringWidth(atom)
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// paragraph writes a text after its start, with the lines that follow indented as far.
func (p palette) paragraph(w io.Writer, start, text string, width int) {
	indent := ansi.StringWidth(start)
	room := width - indent
	if width <= 0 || room < roomForText {
		fmt.Fprintln(w, start+text)
		return
	}
	for _, line := range wrapped(strings.Fields(text), " ", room) {
		fmt.Fprintln(w, start+line)
		start = strings.Repeat(" ", indent)
	}
}

// scripts shows the SQL of a plan whole, as long as it is what a person reads.
func (p palette) scripts(w io.Writer, scripts []event.Script) {
	for _, script := range scripts {
		fmt.Fprintf(w, "\n%s on %s, %s\n", p.strong.Render(script.File), script.Database, short(script.Digest))
		lines := strings.Split(strings.TrimRight(script.SQL, "\n"), "\n")
		for i, line := range lines {
			if i == scriptShown {
				fmt.Fprintf(w, "  … and %d more lines (--json has all)\n", len(lines)-i)
				break
			}
			fmt.Fprintf(w, "  %s %s\n", p.dim.Render("│"), oneLine(line, 0))
		}
	}
}

func (p palette) note(note event.Event) string {
	return "  " + p.noteSign(note) + " " + oneLine(note.Text, 0)
}

func (p palette) noteSign(note event.Event) string {
	if warns(note) {
		return p.warn.Render("!")
	}
	return p.dim.Render("·")
}

// failure shows where it went wrong: findings of the gates that did not let it through, else the end of the failed stages'
// output, and the step that failed.
func (p palette) failure(w io.Writer, b *board, width int) {
	explained := map[string]bool{}
	for _, row := range b.gates {
		if row.Verdict == nil || row.Verdict.Outcome.Allows() || !row.Blocks {
			continue
		}
		fmt.Fprintln(w)
		p.paragraph(w, p.bad.Render(string(row.Verdict.Outcome)+" "+row.Name)+" ", oneLine(row.Verdict.Summary, 0), width)
		p.findings(w, row.Verdict.Findings)
		if len(row.Verdict.Findings) > 0 {
			explained[strings.TrimPrefix(row.Name[strings.Index(row.Name, "/")+1:], "/")] = true
		}
		if row.Verdict.NextStep != "" {
			p.paragraph(w, "  next: ", oneLine(row.Verdict.NextStep, 0), width)
		}
	}
	for _, row := range b.stages {
		if row.state != done || (row.Outcome != event.Failed && row.Outcome != event.Errored) {
			continue
		}
		text, _ := row.tell(time.Time{})
		fmt.Fprintf(w, "\n%s %s\n", p.bad.Render("failed stage "+row.label()), text)
		if !explained[row.Name] && !explained[row.Name+"s"] {
			for _, line := range row.tail[max(0, len(row.tail)-logShown):] {
				fmt.Fprintf(w, "  %s %s\n", p.dim.Render("│"), oneLine(line, 0))
			}
		}
		if row.Log != "" {
			fmt.Fprintf(w, "  %s\n", p.dim.Render("whole output: "+row.Log))
		}
	}
	for _, row := range b.steps {
		if row.Error != "" {
			fmt.Fprintln(w)
			p.paragraph(w, p.bad.Render("failed step "+row.Name+":")+" ", oneLine(row.Error, 0), width)
		}
	}
}

func (p palette) findings(w io.Writer, findings []gates.Finding) {
	for i, finding := range findings {
		if i == findingsShown {
			fmt.Fprintf(w, "  … and %d more (--json lists all)\n", len(findings)-i)
			return
		}
		place := finding.File
		if finding.File != "" && finding.Line > 0 {
			place = fmt.Sprintf("%s:%d", finding.File, finding.Line)
			if finding.Column > 0 {
				place += fmt.Sprintf(":%d", finding.Column)
			}
		}
		text := oneLine(finding.Message, 0)
		if finding.Rule != "" {
			text += " " + p.dim.Render("("+oneLine(finding.Rule, 0)+")")
		}
		if place != "" {
			text = p.strong.Render(oneLine(place, 0)) + "  " + text
		}
		fmt.Fprintf(w, "  %s\n", text)
		for _, line := range strings.Split(strings.TrimRight(finding.Detail, "\n"), "\n") {
			if line != "" {
				fmt.Fprintf(w, "      %s\n", p.dim.Render(oneLine(line, 0)))
			}
		}
	}
}

func (p palette) ending(w io.Writer, b *board, all bool, width int) {
	result := b.result
	fmt.Fprintln(w)
	word := p.good.Render(result.Outcome)
	switch {
	case result.ExitCode != 0 && result.Outcome == "waiting": // nothing is wrong, and nothing is done
		word = p.warn.Render(result.Outcome)
	case result.ExitCode != 0:
		word = p.bad.Render(result.Outcome)
	}
	cached, ran := 0, 0
	for _, row := range b.stages {
		switch {
		case row.Cached:
			cached++
		case row.state == done && row.Outcome != event.Skipped && (row.Outcome != event.Cancelled || !row.started.IsZero()):
			ran++
		}
	}
	facts := []string{word + " in " + gates.Span(result.Duration)}
	if b.info.Command == "" && ran+cached > 0 {
		facts = append(facts, fmt.Sprintf("%s ran, %d from cache", gates.Counted(ran, "stage"), cached))
	}
	if b.bundle != nil {
		facts = append(facts, fmt.Sprintf("bundle %s (%s)", short(b.bundle.Digest), size(b.bundle.Size)))
	}
	for _, line := range wrapped(facts, " · ", width) {
		fmt.Fprintln(w, line)
	}
	told := slices.ContainsFunc(b.steps, func(row *stepRow) bool { return row.Error == result.Reason })
	if result.Reason != "" && !told {
		p.paragraph(w, "", oneLine(result.Reason, 0), width)
	}
	if result.Version != "" {
		text := "version " + p.strong.Render(result.Version)
		if result.Previous != "" && result.Previous != result.Version {
			text += " (before: " + result.Previous + ")"
		}
		p.paragraph(w, "live: ", text, width)
	}
	if result.URL != "" {
		fmt.Fprintf(w, "url:  %s\n", p.link.Render(result.URL))
	}
	if b.run != "" && b.info.Command == "" && !all {
		p.paragraph(w, "run:  ", b.run+" · `penstock history "+b.run+"` shows each gate, stage and step in full", width)
	}
	if result.NextStep != "" {
		p.paragraph(w, "next: ", oneLine(result.NextStep, 0), width)
	}
}
