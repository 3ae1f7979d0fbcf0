package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// report is everything that one run of this program found.
type report struct {
	Machine   machine     `json:"machine"`
	Seconds   float64     `json:"seconds"` // that the whole run took
	Sections  []section   `json:"sections"`
	Elsewhere []reference `json:"elsewhere"`
}

// section is one question with its comparisons.
type section struct {
	Title  string   `json:"title"`
	Notes  []string `json:"notes,omitempty"`
	Groups []group  `json:"groups"`
}

// group is one comparison: contenders that did the same.
type group struct {
	Title  string `json:"title"`
	Things int    `json:"things,omitempty"` // how many stages or gates each run had
	Thing  string `json:"thing,omitempty"`  // what one of them is called
	Rows   []row  `json:"rows"`
}

// row is one contender's part of a comparison. Times are milliseconds.
type row struct {
	Name    string  `json:"name"`
	Does    string  `json:"does"`
	Missing string  `json:"missing,omitempty"` // why there are no figures
	Wall    *figure `json:"wallMs,omitempty"`
	// Each is what one thing cost beyond none, EachWall what it cost with everything.
	Each     *figure `json:"eachMs,omitempty"`
	EachWall float64 `json:"eachWallMs,omitempty"`
	// PeakMiB is the largest single process; AtMost says that it may be smaller than could be seen.
	PeakMiB float64 `json:"peakMiB,omitempty"`
	AtMost  bool    `json:"peakAtMost,omitempty"`
}

// add completes a comparison and puts it into the section.
func (s *section) add(g group, contenders []contender, outcomes []outcome) {
	for i, contender := range contenders {
		line := row{Name: contender.Name, Does: contender.Does, Missing: contender.Missing}
		if measured := outcomes[i]; measured.wall.Runs > 0 {
			line.Wall = &measured.wall
			line.PeakMiB = float64(measured.peak) / (1 << 20)
			line.AtMost = measured.peak > 0 && measured.peak <= measured.floor
			if g.Things > 0 {
				each := measured.extra.per(g.Things)
				line.Each, line.EachWall = &each, measured.wall.Median/float64(g.Things)
			}
		}
		g.Rows = append(g.Rows, line)
	}
	s.Groups = append(s.Groups, g)
}

func (r report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (r report) writeText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", r.Machine)
	for _, section := range r.Sections {
		fmt.Fprintf(&out, "\n## %s\n\n", section.Title)
		for _, note := range section.Notes {
			fmt.Fprintf(&out, "- %s\n", note)
		}
		for _, group := range section.Groups {
			group.write(&out)
		}
	}
	fmt.Fprintf(&out, "\n## Measured elsewhere, on another machine\n\nFor orientation only; nothing here ran beside the figures above.\n\n")
	for _, reference := range r.Elsewhere {
		fmt.Fprintf(&out, "  %-58s %8s ms\n", reference.What, fmt.Sprint(reference.Milliseconds))
	}
	fmt.Fprintf(&out, "\nTimes are the median (least–greatest) of several runs. Peak memory is ru_maxrss, the largest single process and not\n"+
		"their sum; ≤ marks what was too small to be seen past this program itself. The whole run took %.0f s.\n", r.Seconds)
	_, err := io.WriteString(w, out.String())
	return err
}

func (g group) write(out *strings.Builder) {
	head := []string{g.Title, "wall ms", "runs", "peak MiB"}
	if g.Things > 0 {
		head = []string{g.Title, "wall ms", "runs", "peak MiB", "ms a " + g.Thing, "wall / " + g.Thing}
	}
	lines := [][]string{head}
	for _, row := range g.Rows {
		if row.Wall == nil {
			lines = append(lines, []string{row.Name, "– " + row.Missing})
			continue
		}
		line := []string{row.Name, row.Wall.String(), fmt.Sprint(row.Wall.Runs), row.peak()}
		if row.Each != nil {
			line = append(line, row.Each.String(), fmt.Sprintf("%.*f", digitsFor(row.EachWall), row.EachWall))
		}
		lines = append(lines, line)
	}
	out.WriteString("\n")
	writeTable(out, lines)
}

func (r row) peak() string {
	switch {
	case r.PeakMiB == 0:
		return "unknown"
	case r.AtMost:
		return fmt.Sprintf("≤ %.1f", r.PeakMiB)
	default:
		return fmt.Sprintf("%.1f", r.PeakMiB)
	}
}

// writeTable aligns the first column to the left and the others to the right. A line of two cells is a name and a remark,
// which takes no part in the widths.
func writeTable(out *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			if len(line) > 2 || i == 0 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	for _, line := range lines {
		text := ""
		for i, cell := range line {
			padding := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			switch {
			case i == 0:
				text = "  " + cell + padding
			case len(line) == 2:
				text += "  " + cell
			default:
				text += "  " + padding + cell
			}
		}
		out.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}
