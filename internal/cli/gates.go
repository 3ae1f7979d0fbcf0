package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/pipelines"
)

func newGates(shared *common) *cobra.Command {
	command := &cobra.Command{
		Use:     "gates",
		Short:   "Look at the gates that there are, and make, try and lock others",
		Example: "  penstock gates list\n  penstock gates info quality/coverage\n  penstock gates test tools/penstock-gates-acme",
	}
	command.AddCommand(newGatesList(shared), newGatesInfo(shared), newGatesTest(shared), newGatesLock(shared), newGatesNew(shared), newGatesBacktest(shared))
	return command
}

// gateEntry is one gate as `gates list --json` prints it.
type gateEntry struct {
	Gate    string             `json:"gate"`
	Title   string             `json:"title"`
	Phases  []gates.Phase      `json:"phases"`
	Reports []gates.ReportKind `json:"reports,omitempty"`
	Needs   []string           `json:"needs,omitempty"`       // in words
	Live    bool               `json:"asksVersion,omitempty"` // asks the running version
	Config  json.RawMessage    `json:"config,omitempty"`      // JSON Schema
	Version string             `json:"setVersion"`
	Digest  string             `json:"setDigest"`
	Sandbox *sandboxEntry      `json:"sandbox,omitempty"`
}

type sandboxEntry struct {
	Enforced []string `json:"enforced"`
	Missing  []string `json:"missing,omitempty"`
}

func newGatesList(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the gates of every set that may be asked",
		Example: "  penstock gates list --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return shared.withGates(command.Context(), func(host *gatehost.Host) error {
				entries := []gateEntry{}
				for _, name := range host.Sets() {
					set, err := host.DescribeSet(command.Context(), name)
					if err != nil {
						return fail(ExitBlocked, "`penstock gates lock --check` compares the pins with the binaries", err)
					}
					for _, gate := range set.Gates {
						entries = append(entries, describeGate(set, gate))
					}
				}
				if shared.json {
					return printJSON(shared.streams.Out, entries)
				}
				rows := [][]string{{"GATE", "ASKED AT", "WHAT IT WANTS"}}
				for _, entry := range entries {
					rows = append(rows, []string{entry.Gate, phaseNames(entry.Phases), entry.Title})
				}
				return shared.streams.tabulate(rows)
			})
		},
	}
}

func newGatesInfo(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:     "info GATE",
		Short:   "Show what one gate reads, its config, and how its set is confined here",
		Example: "  penstock gates info quality/coverage",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return shared.withGates(command.Context(), func(host *gatehost.Host) error {
				setName, gateName, _ := strings.Cut(args[0], "/")
				set, err := host.DescribeSet(command.Context(), setName)
				if err != nil && !errors.Is(err, gatehost.ErrUnknownGate) {
					return fail(ExitBlocked, "`penstock gates lock --check` compares the pins with the binaries", err)
				}
				if err != nil {
					return fail(ExitUsage, "`penstock gates list` shows the gates that there are", err)
				}
				for _, gate := range set.Gates {
					if gate.Name == gateName {
						if set.Sandbox, err = host.Confinement(command.Context(), args[0]); err != nil {
							return fail(ExitBlocked, "", err)
						}
						return shared.showGate(describeGate(set, gate))
					}
				}
				return fail(ExitUsage, "`penstock gates list` shows the gates that there are", fmt.Errorf("set %s has no gate %q%s", setName, gateName, meant(gateName, set.Gates)))
			})
		},
	}
}

// meant is the gate of the set that was probably asked for.
func meant(name string, known []gates.Description) string {
	names := make([]string, len(known))
	for i, gate := range known {
		names[i] = gate.Name
	}
	if near := pipelines.Nearest(name, names); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

func (c *common) showGate(entry gateEntry) error {
	if c.json {
		return printJSON(c.streams.Out, entry)
	}
	out := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "%s\t%s\n", entry.Gate, entry.Title)
	fmt.Fprintf(out, "set\tversion %s, %s\n", entry.Version, entry.Digest)
	fmt.Fprintf(out, "phases\t%s\n", phaseNames(entry.Phases))
	for _, kind := range entry.Reports {
		fmt.Fprintf(out, "reads\t%s\n", kind)
	}
	for _, need := range entry.Needs {
		fmt.Fprintf(out, "needs\t%s\n", need)
	}
	for _, enforced := range entry.Sandbox.Enforced {
		fmt.Fprintf(out, "confined\t%s\n", enforced)
	}
	for _, missing := range entry.Sandbox.Missing {
		fmt.Fprintf(out, "not confined\t%s\n", missing)
	}
	if len(entry.Config) > 0 {
		var schema bytes.Buffer
		if err := json.Indent(&schema, entry.Config, "", "  "); err != nil {
			return err
		}
		fmt.Fprintf(out, "config schema\t%s\n", strings.ReplaceAll(schema.String(), "\n", "\n\t"))
	}
	return out.Flush()
}

// needsInWords says what a gate asks for beside reports.
func needsInWords(needs gates.Needs) []string {
	var words []string
	if needs.Source {
		words = append(words, "to read the source")
	}
	if needs.History {
		words = append(words, "to read the git history, with git")
	}
	if needs.Version {
		words = append(words, "to ask the running version")
	}
	for _, host := range needs.Hosts {
		if host == gates.PublicHost {
			host = "the environment's public address"
		}
		words = append(words, "the network: "+host)
	}
	for _, secret := range needs.Secrets {
		words = append(words, "the secret "+secret)
	}
	return words
}

func describeGate(set gatehost.SetInfo, gate gates.Description) gateEntry {
	entry := gateEntry{
		Gate: set.Name + "/" + gate.Name, Title: gate.Title, Phases: gate.Phases, Live: gate.Needs.Version, Version: set.Version, Digest: set.Digest,
		Sandbox: &sandboxEntry{Enforced: set.Sandbox.Enforced, Missing: set.Sandbox.Missing},
	}
	entry.Needs = needsInWords(gate.Needs)
	if json.Valid([]byte(gate.Config)) {
		entry.Config = json.RawMessage(gate.Config)
	}
	for _, report := range gate.Reports {
		entry.Reports = append(entry.Reports, report.Kind)
	}
	return entry
}

// phaseNames lists phases in the order in which a run comes to them; a phase that this penstock does not know is last.
func phaseNames(phases []gates.Phase) string {
	order := []gates.Phase{gates.PhaseBuild, gates.PhasePlan, gates.PhasePromote, gates.PhaseBake}
	rank := func(phase gates.Phase) int {
		if at := slices.Index(order, phase); at >= 0 {
			return at
		}
		return len(order)
	}
	phases = slices.SortedStableFunc(slices.Values(phases), func(a, b gates.Phase) int { return rank(a) - rank(b) })
	names := make([]string, len(phases))
	for i, phase := range phases {
		names[i] = string(phase)
	}
	return strings.Join(names, ", ")
}

// withGates opens the gate host for one command.
func (c *common) withGates(ctx context.Context, use func(*gatehost.Host) error) (err error) {
	folder, err := c.appFolder()
	if err != nil {
		return err
	}
	state, err := c.streams.stateDir()
	if err != nil {
		return err
	}
	host, err := openGates(c.streams, folder, state, nil)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if closing := host.Close(ending); err == nil {
			err = closing
		}
	}()
	return use(host)
}
