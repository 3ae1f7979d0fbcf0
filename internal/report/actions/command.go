// Package actions speaks to the runner of GitHub Actions: log groups, masks, annotations, the job's summary and outputs.
//
// The runner reads commands out of everything that a step prints. What an app, its tests or a gate print must therefore
// never look like one: it goes through [Guard].
package actions

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/penstock-ci/penstock/internal/report/markdown"
)

// Commander writes the runner's commands (docs.github.com, "Workflow commands for GitHub Actions"). Write errors are nobody's
// business: the log is gone then. It is safe for concurrent use.
type Commander struct {
	mu  sync.Mutex
	out io.Writer
}

// NewCommander writes commands to out, which must be the step's own output and no [Guard].
func NewCommander(out io.Writer) *Commander { return &Commander{out: out} }

// property is one of a command's.
type property struct{ name, value string }

// escapeData and escapeProperty are what the runner undoes (actions/toolkit, packages/core/src/command.ts).
var (
	escapeData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	escapeProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (c *Commander) send(name string, properties []property, data string) {
	var line strings.Builder
	line.WriteString("::" + name)
	separator := " "
	for _, p := range properties {
		if p.value == "" {
			continue
		}
		line.WriteString(separator + p.name + "=" + escapeProperty.Replace(p.value))
		separator = ","
	}
	line.WriteString("::" + escapeData.Replace(data) + "\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.out, line.String())
}

// Group begins a foldable part of the log; it ends with the next EndGroup. Groups do not nest.
func (c *Commander) Group(title string) { c.send("group", nil, markdown.Line(title, 200)) }

// EndGroup ends the group.
func (c *Commander) EndGroup() { c.send("endgroup", nil, "") }

// leastMasked is the shortest value that is masked: masking "1" would take every 1 out of the log.
const leastMasked = 4

// Mask has the runner take a value out of the log from here on, each of its lines by itself, since the runner looks at
// lines.
func (c *Commander) Mask(value string) {
	for _, line := range strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); len(line) >= leastMasked {
			c.send("add-mask", nil, line)
		}
	}
}

// Level is how an annotation is shown.
type Level string

// The levels.
const (
	Error   Level = "error"
	Warning Level = "warning"
	Notice  Level = "notice"
)

// Annotate shows a message at a place: file is relative to the repository's root, line from 1; both may be missing.
func (c *Commander) Annotate(level Level, file string, line, column int, title, message string) {
	properties := []property{{"file", file}, {"line", number(line)}, {"col", number(column)}, {"title", markdown.Line(title, 200)}}
	c.send(string(level), properties, markdown.Cut(markdown.Plain(message), 4000))
}

func number(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// Guard is a writer that lets nothing through that the runner would take for a command: "::" at a line's begin after spaces,
// the older "##[" anywhere, and carriage returns, which the runner takes for line ends. It holds no line back.
type Guard struct {
	mu    sync.Mutex
	out   io.Writer
	begin bool   // nothing but spaces was written of this line
	tail  string // the end of what was written, as long as it may be the begin of a command
}

// NewGuard guards out.
func NewGuard(out io.Writer) *Guard { return &Guard{out: out, begin: true} }

// Write implements io.Writer.
func (g *Guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var safe bytes.Buffer
	for _, b := range p {
		switch {
		case b == '\r':
			continue
		case b == '\n':
			g.begin, g.tail = true, ""
			safe.WriteByte(b)
			continue
		case g.begin && b == ':' && g.tail == ":", b == '[' && g.tail == "##":
			safe.WriteByte(' ')
			g.begin, g.tail = false, ""
		case g.begin && b == ':':
			g.tail = ":"
		case b == '#':
			g.begin = false
			if g.tail != "#" && g.tail != "##" {
				g.tail = ""
			}
			g.tail += "#"
			if len(g.tail) > 2 {
				g.tail = "##"
			}
		case g.begin && (b <= ' ' || b >= 0x80): // spaces, also those beyond ASCII, which the runner trims
			g.tail = ""
		default:
			g.begin, g.tail = false, ""
		}
		safe.WriteByte(b)
	}
	if _, err := g.out.Write(safe.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteSummary adds markdown to the job's summary, the file at $GITHUB_STEP_SUMMARY. GitHub takes one mebibyte of a step and
// refuses all of it when there is more, so what is longer is cut.
func WriteSummary(path, text string) error {
	const most = 1 << 20
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the job's summary: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("write the job's summary: %w", err)
	}
	if room := max(most-int(info.Size())-1, 0); len(text) > room {
		text = strings.ToValidUTF8(text[:room], "")
	}
	if _, err := file.WriteString(text + "\n"); err != nil {
		return fmt.Errorf("write the job's summary: %w", err)
	}
	return file.Close()
}

// Output is one of the step's.
type Output struct{ Name, Value string }

// WriteOutputs adds outputs of the step to the file at $GITHUB_OUTPUT. A value cannot end its own entry: the delimiter is
// random.
func WriteOutputs(path string, outputs []Output) error {
	var text strings.Builder
	for _, output := range outputs {
		end := "penstock-" + rand.Text()
		fmt.Fprintf(&text, "%s<<%s\n%s\n%s\n", output.Name, end, output.Value, end)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the step's outputs: %w", err)
	}
	defer file.Close()
	if _, err := file.WriteString(text.String()); err != nil {
		return fmt.Errorf("write the step's outputs: %w", err)
	}
	return file.Close()
}
