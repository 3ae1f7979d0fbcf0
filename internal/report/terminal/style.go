package terminal

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// palette is the few styles in use. Every state is told by a sign as well as by a colour, so that nothing is lost under
// NO_COLOR (https://no-color.org) or to a colour-blind reader.
type palette struct {
	good, bad, warn, dim, strong, link lipgloss.Style
}

// newPalette styles for w. Without colour every style leaves text as it is.
func newPalette(w io.Writer, colour bool) palette {
	renderer := lipgloss.NewRenderer(w)
	if colour {
		renderer.SetColorProfile(termenv.ANSI)
	} else {
		renderer.SetColorProfile(termenv.Ascii)
		plain := renderer.NewStyle()
		return palette{good: plain, bad: plain, warn: plain, dim: plain, strong: plain, link: plain}
	}
	return palette{
		good:   renderer.NewStyle().Foreground(lipgloss.Color("2")),
		bad:    renderer.NewStyle().Foreground(lipgloss.Color("1")).Bold(true),
		warn:   renderer.NewStyle().Foreground(lipgloss.Color("3")),
		dim:    renderer.NewStyle().Faint(true),
		strong: renderer.NewStyle().Bold(true),
		link:   renderer.NewStyle().Foreground(lipgloss.Color("4")).Underline(true),
	}
}

func (p palette) stageSign(row *stageRow) string {
	switch row.state {
	case waiting:
		return p.dim.Render("○")
	case running:
		return p.strong.Render("●")
	}
	switch row.Outcome {
	case event.Passed:
		return p.good.Render("✓")
	case event.Skipped, event.Cancelled:
		return p.dim.Render("–")
	default:
		return p.bad.Render("✗")
	}
}

func (p palette) gateSign(row *gateRow) string {
	switch {
	case row.state == waiting:
		return p.dim.Render("○")
	case row.state == running || row.Verdict == nil:
		return p.strong.Render("●")
	}
	if row.Waived != "" {
		return p.warn.Render("~")
	}
	switch row.Verdict.Outcome {
	case gates.Pass:
		return p.good.Render("✓")
	case gates.Warn:
		return p.warn.Render("!")
	case gates.Fail, gates.Error:
		if row.Blocks {
			return p.bad.Render("✗")
		}
		return p.warn.Render("✗")
	default:
		return p.warn.Render("?")
	}
}

func (p palette) stepSign(row *stepRow) string {
	switch {
	case row.state == waiting:
		return p.dim.Render("○")
	case row.state == running:
		return p.strong.Render("●")
	case row.Error != "":
		return p.bad.Render("✗")
	case row.Skipped:
		return p.dim.Render("–")
	default:
		return p.good.Render("✓")
	}
}

// elapsed writes a duration as people say it: 8 ms, 1.2 s, 2 m 05 s.
func elapsed(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", math.Floor(d.Seconds()*10)/10)
	default:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// measured writes what a verdict rests on: "92.41 % (limit 80 %)".
func measured(v *gates.Verdict) string {
	if v == nil || len(v.Measurements) == 0 {
		return ""
	}
	m := v.Measurements[0]
	unit := ""
	if m.Unit != "" && m.Unit != "count" {
		unit = " " + m.Unit
	}
	text := number(m.Value) + unit
	if m.Limit != nil {
		text += " (limit " + number(*m.Limit) + unit + ")"
	}
	return text
}

// number drops decimals that say nothing. It never rounds a value up to a limit that it missed: it cuts.
func number(value float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", math.Trunc(value*100+math.Copysign(1e-9, value))/100), "0"), ".")
}

// counted writes a number with its noun: "1 stage", "2 stages".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// short cuts digests and ids for people: "sha256:4f2c1a9b…".
func short(digest string) string {
	algorithm, hex, found := strings.Cut(digest, ":")
	if !found {
		algorithm, hex = "", digest
	} else {
		algorithm += ":"
	}
	if len(hex) > 12 {
		hex = hex[:12]
	}
	return algorithm + hex
}

// besideText is what a row has beside its text and its name: the sign, the time, and the spaces between them.
const besideText = 16

// room tells how many columns are left for a row's text, at least one. 0, no bound, stays 0.
func room(width, names int) int {
	if width <= 0 {
		return 0
	}
	return max(width-names-besideText, 1)
}

// oneLine makes text safe for one line of a terminal: no escape sequences, which could move the cursor, no control
// characters, and cut to width columns (0: not cut).
func oneLine(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, ansi.Strip(text))
	if width <= 0 {
		return text
	}
	return ansi.Truncate(text, width, "…")
}
