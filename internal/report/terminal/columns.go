package terminal

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// narrowest is the least room that a column is wrapped in; with less its text goes below the row, indented by below columns.
const narrowest, below = 24, 4

// Columns writes rows with their cells below each other. The last cell of a row that is too long for a terminal of width columns is
// wrapped below itself; with a width of 0 none is. A row may have fewer cells than others. The error is the
// writer's.
func Columns(out io.Writer, width int, rows [][]string) error {
	w := bufio.NewWriter(out)
	var wide []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			if i < len(row)-1 { // the last one needs no room beside it
				wide[i] = max(wide[i], ansi.StringWidth(cell))
			}
		}
	}
	for _, row := range rows {
		var start strings.Builder
		for i, cell := range row[:max(len(row)-1, 0)] {
			start.WriteString(cell + strings.Repeat(" ", wide[i]-ansi.StringWidth(cell)+2))
		}
		indent := ansi.StringWidth(start.String())
		lines := []string{""}
		if len(row) > 0 {
			switch last := row[len(row)-1]; {
			case width <= 0:
				lines = []string{last}
			case width-indent >= narrowest || last == "":
				lines = Wrap(last, width-indent)
			default: // below the others
				indent = below
				lines = append(lines, Wrap(last, width-indent)...)
			}
		}
		for i, line := range lines {
			if i > 0 {
				start.Reset()
				start.WriteString(strings.Repeat(" ", indent))
			}
			fmt.Fprintln(w, strings.TrimRight(start.String()+line, " "))
		}
	}
	return w.Flush()
}

// Wrap breaks a text at its spaces into lines of at most width columns; a word that is longer has a line of its own. A width of 0
// breaks nothing. No text is one empty line.
func Wrap(text string, width int) []string {
	if lines := wrapped(strings.Fields(text), " ", width); len(lines) > 0 {
		return lines
	}
	return []string{""}
}
