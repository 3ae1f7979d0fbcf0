package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/conformance"
	gatehost "github.com/penstock-ci/penstock/gates/host"
)

func newGatesTest(shared *common) *cobra.Command {
	var configs string
	command := &cobra.Command{
		Use:   "test BINARY",
		Short: "Try a gate set with the conformance kit",
		Long: "Starts the set, confined as in a run, and tries what every set must do: start in time, print nothing but the handshake,\n" +
			"answer each question with one verdict of its own, pass nothing without evidence, keep nothing between questions, say no\n" +
			"secret, and stop when a question is withdrawn. Exits with 4 when a check fails.",
		Example: "  penstock gates test tools/penstock-gates-acme\n" +
			"  penstock gates test tools/penstock-gates-acme --configs configs.json    # {\"size\": {\"atLeast\": 3}}",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			options := conformance.Options{}
			if configs != "" {
				text, err := os.ReadFile(configs)
				if err == nil {
					err = json.Unmarshal(text, &options.Configs)
				}
				if err != nil {
					return fail(ExitUsage, `give --configs a JSON file with the config of each gate by its name: {"size": {"atLeast": 3}}`, fmt.Errorf("read the configs: %w", err))
				}
			}
			ref, err := gatehost.Trusting(args[0])
			if err != nil {
				return fail(ExitUsage, "name the binary of a gate set", err)
			}
			report, err := conformance.Run(command.Context(), ref, options)
			if err != nil {
				return err
			}
			var refusal error
			if !report.Passed() {
				refusal = fail(ExitBlocked, "mend what is shown above, build the set, and try it again",
					fmt.Errorf("the gate set %s does not conform: %d of %d checks failed", report.Set, report.Count(conformance.Failed), len(report.Results)))
			}
			if shared.json {
				return alreadyTold(refusal, printJSON(shared.streams.Out, conformanceEntry{Report: report, Passed: report.Passed()}))
			}
			return errors.Join(shared.showConformance(report), refusal)
		},
	}
	command.Flags().StringVar(&configs, "configs", "", "a JSON `file` with the config to try each gate with, by the gate's name")
	return command
}

// conformanceEntry is what `gates test --json` prints.
type conformanceEntry struct {
	Passed bool `json:"passed"`
	conformance.Report
}

var conformanceMarks = map[conformance.State]string{conformance.Passed: "pass", conformance.Failed: "FAIL", conformance.NotApplicable: "-"}

func (c *common) showConformance(report conformance.Report) error {
	out := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "%s %s\tstarted in %s\n", report.Set, report.Version, gates.Span(report.Started))
	for _, result := range report.Results {
		name := strings.TrimPrefix(result.Gate+": "+result.Check, ": ")
		fmt.Fprintf(out, "%s\t%s\t%s\n", conformanceMarks[result.State], name, result.Detail)
		if result.State == conformance.Failed {
			fmt.Fprintf(out, "\t\t→ %s\n", result.NextStep)
		}
		for line := range strings.Lines(result.Output) {
			fmt.Fprintf(out, "\t\t  | %s\n", strings.TrimRight(line, "\n"))
		}
	}
	for _, missing := range report.Sandbox.Missing {
		fmt.Fprintf(out, "note\tnot confined here\t%s\n", missing)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d do not apply\n", report.Count(conformance.Passed), report.Count(conformance.Failed), report.Count(conformance.NotApplicable))
	return out.Flush()
}
