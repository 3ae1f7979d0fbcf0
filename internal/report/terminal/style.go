package terminal

import (
	"fmt"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// palette is the few styles in use. Every state is told by a sign as well as by a colour, so that nothing is lost under
// NO_COLOR (https://no-color.org) or to a colour-blind reader. The colours are the first eight, which a terminal's own theme
// makes readable on its background, dark or light; nothing is asked of the terminal, which might not answer.
type palette struct {
	good, bad, warn, dim, strong, link style
}

// style is what is written around a text; the zero value leaves it as it is.
type style ansi.Style

// Render styles text, and no text not at all.
func (s style) Render(text string) string {
	if text == "" || len(s) == 0 {
		return text
	}
	return ansi.Style(s).Styled(text)
}

func newPalette(colour bool) palette {
	if !colour {
		return palette{}
	}
	return palette{
		good:   style(ansi.NewStyle().ForegroundColor(ansi.Green)),
		bad:    style(ansi.NewStyle().ForegroundColor(ansi.Red).Bold()),
		warn:   style(ansi.NewStyle().ForegroundColor(ansi.Yellow)),
		dim:    style(ansi.NewStyle().Faint()),
		strong: style(ansi.NewStyle().Bold()),
		link:   style(ansi.NewStyle().ForegroundColor(ansi.Blue)),
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

// size writes a size for people, in powers of a thousand.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1000_000:
		return fmt.Sprintf("%d kB", n/1000)
	default:
		return fmt.Sprintf("%.1f MB", math.Floor(float64(n)/100_000)/10)
	}
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
