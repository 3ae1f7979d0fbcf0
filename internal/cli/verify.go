package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/ledger"
)

func newVerify(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check the ledger's hash chain offline",
		Long: "Checks every event's hash, that the tables say what the events say, and that the head beside the ledger is its head.\n" +
			"It needs no server. A ledger that was replaced as a whole, head and all, it cannot tell from a true one: note the head\n" +
			"that it prints somewhere else to be able to.",
		Example: "  penstock verify --json",
		RunE: func(command *cobra.Command, _ []string) error {
			return shared.withLedger(command.Context(), func(record *ledger.Ledger) error {
				report, err := record.Verify(command.Context())
				if err != nil {
					return err
				}
				if shared.json {
					if err := printJSON(shared.streams.Out, report); err != nil {
						return err
					}
				} else {
					for _, problem := range report.Problems {
						fmt.Fprintf(shared.streams.Out, "wrong: %s\n", problem)
					}
				}
				if len(report.Problems) > 0 {
					return fail(ExitBlocked, "keep the file as it is, and compare it with a backup", errors.New("the ledger does not hold together"))
				}
				if !shared.json {
					fmt.Fprintf(shared.streams.Out, "%d events hold together; the head is %s\n", report.Events, report.Head.Hash)
				}
				return nil
			})
		},
	}
}
