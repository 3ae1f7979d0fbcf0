package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/ledger"
)

func newVerify(shared *common) *cobra.Command {
	var noted []string
	command := &cobra.Command{
		Use:   "verify",
		Short: "Check the ledger's hash chain offline",
		Long: "Checks every event's hash, that the tables say what the events say, and that the head beside the ledger is its head.\n" +
			"It needs no server. A ledger that was replaced as a whole, head and all, it cannot tell from a true one by itself: note\n" +
			"the head that it prints somewhere else, and give it back with --head later.",
		Example: "  penstock verify\n  penstock verify --head 99:25ac80e6… --json",
		RunE: func(command *cobra.Command, _ []string) error {
			heads, err := readHeads(noted)
			if err != nil {
				return err
			}
			return shared.withLedger(command.Context(), func(record *ledger.Ledger) error {
				if record == nil {
					return fail(ExitUsage, "set PENSTOCK_STATE_DIR to the folder that holds it", errors.New("there is no ledger here"))
				}
				report, err := record.Verify(command.Context(), heads...)
				if err != nil {
					return err
				}
				return shared.showReport(report)
			})
		},
	}
	command.Flags().StringArrayVar(&noted, "head", nil, "a head noted earlier, as `SEQ:HASH`; may be given more than once")
	return command
}

func (c *common) showReport(report ledger.VerifyReport) error {
	out := c.streams.Out
	if c.json {
		if err := printJSON(out, report); err != nil {
			return err
		}
	} else {
		for _, problem := range report.Problems {
			fmt.Fprintf(out, "wrong: %s\n", problem)
		}
	}
	if !report.OK {
		told := fail(ExitBlocked, "keep the file as it is, and compare it with a backup", errors.New("the ledger does not hold together"))
		if c.json {
			return &failure{code: ExitBlocked, err: &toldError{code: ExitBlocked}}
		}
		return told
	}
	if !c.json {
		fmt.Fprintf(out, "%d events hold together; the head is %d:%s\n", report.Events, report.Head.Seq, report.Head.Hash)
	}
	return nil
}

// readHeads reads heads in the form in which verify prints them.
func readHeads(noted []string) ([]ledger.Head, error) {
	var heads []ledger.Head
	for _, text := range noted {
		number, hash, _ := strings.Cut(text, ":")
		seq, err := strconv.ParseInt(number, 10, 64)
		if err != nil || len(hash) != 64 {
			return nil, fail(ExitUsage, "give it as `penstock verify` printed it", fmt.Errorf("%q is no head: it is the number of the last event, a colon and 64 hex digits", text))
		}
		heads = append(heads, ledger.Head{Seq: seq, Hash: hash})
	}
	return heads, nil
}
