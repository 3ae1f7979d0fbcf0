package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

var updateDocs = flag.Bool("update-docs", false, "write the shapes in docs/json.md anew")

// lines is a value that is printed once for each thing that happens, each on a line of its own.
type lines struct{ of any }

// shapes are what commands print with --json, by the title of their paragraph in docs/json.md. A command that is in none of them
// has a reason in unshaped.
var shapes = []struct {
	commands string
	prints   any
}{
	{"deploy, check, plan, run, promote, migrate, smoke, rollback, backup, restore, drill, provision, maintenance on, maintenance off, secrets put", lines{event.Event{}}},
	{"status", []environmentStatus{}},
	{"history", []historyEntry{}},
	{"history RUN", ledger.Run{}},
	{"why", explanation{}},
	{"approve, reject", decided{}},
	{"waive", []promotion.Waiver{}},
	{"verify", verified{}},
	{"rollback --dry-run", plannedRollback{}},
	{"provision --dry-run", cloudflare.Furnishing{}},
	{"maintenance status", maintenanceStatus{}},
	{"secrets list", []cloudflare.SecretName{}},
	{"tail", lines{cloudflare.TailEvent{}}},
	{"doctor", diagnosis{}},
	{"doctor --troubleshooting", []symptom{}},
	{"gates list", []gateEntry{}},
	{"gates info", gateEntry{}},
	{"gates lock", lockEntry{}},
	{"gates new", newGate{}},
	{"gates test", conformanceEntry{}},
	{"gates backtest", backtest{}},
	{"init", derived{}},
	{"init --github", []workflow{}},
	{"local up, local status", localStatus{}},
	{"local down", localStopped{}},
	{"local faults", daemon.Faults{}},
	{"github pending", []github.Pending{}},
	{"github approve, github reject", reviewed{}},
	{"github protection", answering{}},
	{"version", versions{}},
	{"every command that could not begin its work", lines{complaint{}}},
}

// unshaped are the commands that print text for another program in any case.
var unshaped = []string{"completion", "help"}

// shaper writes types down as docs/json.md has them.
type shaper struct {
	names map[reflect.Type]string
	order []reflect.Type
	said  map[string]string
	bad   []string // fields whose name is no name of JSON's
}

func (s *shaper) of(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t == reflect.TypeFor[time.Duration]():
		return "ns"
	case t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface:
		return "any"
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice, reflect.Array:
		return "[" + s.of(t.Elem()) + "]"
	case reflect.Map:
		return "{…: " + s.of(t.Elem()) + "}"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Struct:
		return s.name(t)
	default:
		return "number"
	}
}

// name names a struct, and remembers that it is to be written down.
func (s *shaper) name(t reflect.Type) string {
	if name, ok := s.names[t]; ok {
		return name
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if slices.ContainsFunc(s.order, func(other reflect.Type) bool { return s.names[other] == name }) {
		place := filepath.Base(t.PkgPath())
		name = strings.ToUpper(place[:1]) + place[1:] + name
	}
	s.names[t] = name
	s.order = append(s.order, t)
	s.said[name] = "" // its place in the order
	s.said[name] = "{" + strings.Join(s.fields(t), ", ") + "}"
	return name
}

// fields are a struct's as encoding/json sees them: those that it hides, and those of what is embedded, included.
func (s *shaper) fields(t reflect.Type) []string {
	var fields []string
	for _, field := range reflect.VisibleFields(t) {
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || tag == "-" || (field.Anonymous && tag == "") || s.hidden(t, field, tag) {
			continue
		}
		if tag == "" || tag != strings.ToLower(tag[:1])+tag[1:] {
			s.bad = append(s.bad, t.String()+"."+field.Name)
		}
		if strings.Contains(options, "omit") {
			tag += "?"
		}
		if kind := s.of(field.Type); kind != "string" {
			tag += ": " + kind
		}
		fields = append(fields, tag)
	}
	return fields
}

// hidden reports whether a field nearer to the top has the same name.
func (s *shaper) hidden(t reflect.Type, field reflect.StructField, tag string) bool {
	return slices.ContainsFunc(reflect.VisibleFields(t), func(other reflect.StructField) bool {
		name, _, _ := strings.Cut(other.Tag.Get("json"), ",")
		return name == tag && len(other.Index) < len(field.Index)
	})
}

// written is the generated part of docs/json.md.
func (s *shaper) written() string {
	var out strings.Builder
	for _, shape := range shapes {
		prints, each := shape.prints, ""
		if one, ok := prints.(lines); ok {
			prints, each = one.of, ", a line each"
		}
		fmt.Fprintf(&out, "- %s: `%s`%s\n", shape.commands, s.of(reflect.TypeOf(prints)), each)
	}
	out.WriteString("\n")
	for _, t := range s.order {
		name := s.names[t]
		fmt.Fprintf(&out, "    %s\n", strings.Join(wrapFields(name+" = "+s.said[name]), "\n      "))
	}
	return out.String()
}

func wrapFields(text string) []string {
	var told []string
	line := ""
	for i, word := range strings.SplitAfter(text, ", ") {
		if i > 0 && len(line)+len(word) > 120 {
			told = append(told, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	return append(told, line)
}

func newShaper() *shaper {
	return &shaper{names: map[reflect.Type]string{}, said: map[string]string{}}
}

const shapesMark = "<!-- The shapes below are written by `go test ./internal/cli -run TestTheShapesInTheDocs -update-docs`. -->\n"

// TestTheShapesInTheDocs: docs/json.md says of every command what it prints, as its types have it.
func TestTheShapesInTheDocs(t *testing.T) {
	t.Parallel()
	const file = "../../docs/json.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, found := strings.Cut(string(text), shapesMark)
	if !found {
		t.Fatalf("%s has no line %q", file, shapesMark)
	}
	shaper := newShaper()
	want := prose + shapesMark + "\n" + shaper.written()
	if *updateDocs {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s is not what commands print now; write it anew with -update-docs, and see whether that breaks somebody's program", file)
	}
	if len(shaper.bad) > 0 {
		t.Errorf("keys that are no names as JSON has them: %v", shaper.bad)
	}
	var known []string
	for _, shape := range shapes {
		for one := range strings.SplitSeq(shape.commands, ", ") {
			known = append(known, strings.TrimSpace(one))
		}
	}
	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		for _, below := range command.Commands() {
			visit(below)
		}
		name := strings.TrimPrefix(command.CommandPath(), "penstock ")
		if command.Hidden || command.HasSubCommands() || slices.Contains(unshaped, strings.Fields(name)[0]) || slices.Contains(known, name) {
			return
		}
		t.Errorf("docs/json.md does not say what `penstock %s --json` prints", name)
	}
	visit(newRoot(&Streams{Env: func(string) string { return "" }}))
}

// TestWhatIsPrintedHasTheShape runs commands and reads what they print back into the types that the docs are made of.
func TestWhatIsPrintedHasTheShape(t *testing.T) {
	t.Parallel()
	_, state := heldRun(t)
	inLedger(t, state, func(record *ledger.Ledger) {
		lease, err := record.Acquire(t.Context(), "small", "staging", "p0")
		if err != nil {
			t.Fatal(err)
		}
		done := promotion.Checkpoint{Promotion: "p0", Run: "r0-0000", State: promotion.Completed, Version: "v1", Previous: []promotion.Share{{Version: "v0", Percentage: 100}}}
		if err := record.Checkpoint(t.Context(), lease, done); err != nil {
			t.Fatal(err)
		}
		if err := record.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	})
	_, rejecting := heldRun(t)
	small, empty, nowhere := app(t), t.TempDir(), t.TempDir()
	for _, row := range []struct {
		state  string
		folder string
		args   string
		shape  string
		code   ExitCode
	}{
		{state, small, "status", "status", ExitDone},
		{state, small, "status --env production", "status", ExitDone},
		{state, small, "history", "history", ExitDone},
		{state, small, "history r1-000", "history RUN", ExitDone},
		{state, small, "why r1-000", "why", ExitDone},
		{state, small, "verify", "verify", ExitDone},
		{state, small, "approve r1-000 --reason fine --as bea", "approve, reject", ExitDone},
		{rejecting, small, "reject r1-000 --reason later --as bea", "approve, reject", ExitDone},
		{empty, small, "status", "status", ExitDone},
		{empty, small, "history", "history", ExitDone},
		{empty, small, "version", "version", ExitDone},
		{empty, small, "init", "init", ExitDone},
		{empty, small, "local status", "local up, local status", ExitDone},
		{empty, small, "local down", "local down", ExitDone},
		{empty, small, "doctor --troubleshooting", "doctor --troubleshooting", ExitDone},
		{empty, small, "gates lock", "gates lock", ExitDone},
		// What could not begin its work is told as JSON too, with the exit code that it has for people.
		{empty, small, "why", "every command that could not begin its work", ExitUsage},
		{empty, small, "verify", "every command that could not begin its work", ExitUsage},
		{empty, nowhere, "check", "every command that could not begin its work", ExitUsage},
		{empty, nowhere, "deploy --env local", "every command that could not begin its work", ExitUsage},
		{empty, nowhere, "doctor", "every command that could not begin its work", ExitUsage},
		{empty, small, "promote r1", "every command that could not begin its work", ExitUsage},
		{empty, small, "waive r1 quality/tests --reason x", "every command that could not begin its work", ExitUsage},
		{empty, small, "gates info nowhere/nothing", "every command that could not begin its work", ExitUsage},
		{empty, small, "gates test nowhere", "every command that could not begin its work", ExitUsage},
		{empty, small, "local faults", "every command that could not begin its work", ExitUsage},
		{empty, small, "gates backtest", "every command that could not begin its work", ExitUsage}, // whose gates this build does not know
		{empty, small, "restore", "every command that could not begin its work", ExitUsage},
		{empty, small, "backup --env production", "every command that could not begin its work", ExitUsage},
		{empty, small, "rollback --env production", "every command that could not begin its work", ExitUsage},
		{empty, small, "secrets list --env production", "every command that could not begin its work", ExitUsage},
		{empty, small, "nonsense", "every command that could not begin its work", ExitUsage},
	} {
		got := sayIn(t, row.state, row.folder, append(strings.Fields(row.args), "--json")...)
		if got.code != row.code {
			t.Errorf("%s: exit code %d, want %d: %s%s", row.args, got.code, row.code, got.out, got.err)
		}
		if got.err != "" {
			t.Errorf("%s: something for people: %s", row.args, got.err)
		}
		at := slices.IndexFunc(shapes, func(shape struct {
			commands string
			prints   any
		}) bool {
			return shape.commands == row.shape
		})
		prints := shapes[at].prints
		if one, ok := prints.(lines); ok {
			prints = one.of
		}
		decoder := json.NewDecoder(strings.NewReader(got.out))
		decoder.DisallowUnknownFields()
		into := reflect.New(reflect.TypeOf(prints))
		if err := decoder.Decode(into.Interface()); err != nil || decoder.More() {
			t.Errorf("%s prints no %T: %v\n%s", row.args, prints, err, got.out)
		}
		if null := regexp.MustCompile(`(?m)^.*: null,?$`).FindString(got.out); null != "" {
			t.Errorf("%s: a list that is empty, or something that is not there, must not be null: %s", row.args, null)
		}
	}
}
