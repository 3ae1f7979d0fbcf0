package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/ledger"
)

func newVerify(shared *common) *cobra.Command {
	var noted []string
	command := &cobra.Command{
		Use:   "verify",
		Short: "Check the ledger's hash chain",
		Long: "Checks every event's hash, that the tables say what the events say, and that the head beside the ledger is its head.\n" +
			"It needs no server; a ledger that machines share is compared with this machine's copy besides. A ledger that was replaced as a whole, head and all, it cannot tell from a true one by itself: note\n" +
			"the head that it prints somewhere else, and give it back with --head later.",
		Example: "  penstock verify\n  penstock verify --head 99:25ac80e6… --json",
		RunE: func(command *cobra.Command, _ []string) error {
			heads, err := readHeads(noted)
			if err != nil {
				return err
			}
			return shared.withRecords(command.Context(), func(all []*record) error { return shared.verify(command.Context(), all, heads) })
		},
	}
	command.Flags().StringArrayVar(&noted, "head", nil, "a head noted earlier, as `SEQ:HASH`; may be given more than once")
	return command
}

// verified is what verify found, of this machine's own ledger and of those that it shares.
type verified struct {
	ledger.VerifyReport
	Shared map[string]ledger.VerifyReport `json:"shared,omitempty"` // by the name of the database
}

// verify checks the ledgers one after the other. A shared one that cannot be asked is checked as far as it is here, and fails: whether
// this machine's copy agrees with it is not known.
func (c *common) verify(ctx context.Context, all []*record, heads []ledger.Head) error {
	for _, head := range slices.Clone(heads) {
		for _, one := range all {
			if one.Ledger == nil || len(all) == 1 {
				continue
			}
			holds, err := one.Holds(ctx, head)
			if err != nil {
				return err
			}
			if holds { // it is nothing that the others would have to hold
				heads = slices.DeleteFunc(slices.Clone(heads), func(other ledger.Head) bool { return other == head })
			}
		}
	}
	found := verified{VerifyReport: ledger.VerifyReport{OK: true}}
	var lines []string
	var unasked error
	checked := 0
	for _, one := range all {
		unasked = cmp.Or(unasked, one.unasked)
		if one.Ledger == nil {
			continue
		}
		checked++
		report, err := one.Verify(ctx, heads...)
		if err == nil && one.name != "" && one.unasked == nil {
			var differs []ledger.Problem
			differs, err = one.Compare(ctx)
			report.Problems, report.OK = append(report.Problems, differs...), report.OK && len(differs) == 0
		}
		if err != nil {
			return err
		}
		found.add(one.name, report)
		lines = append(lines, verifiedLines(one, report)...)
	}
	if checked == 0 && unasked == nil {
		return fail(ExitUsage, "set PENSTOCK_STATE_DIR to the folder that holds it", errors.New("there is no ledger here"))
	}
	if c.json {
		if err := printJSON(c.streams.Out, found); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if !c.json {
			fmt.Fprintln(c.streams.Out, line)
		}
	}
	switch {
	case !found.OK && c.json:
		return &failure{code: ExitBlocked, err: &toldError{code: ExitBlocked}}
	case !found.OK:
		return fail(ExitBlocked, "keep the file as it is, and compare it with a backup", errors.New("the ledger does not hold together"))
	default:
		return unasked
	}
}

func (v *verified) add(name string, report ledger.VerifyReport) {
	if name == "" {
		ok := v.OK
		v.VerifyReport = report
		v.OK = v.OK && ok
		return
	}
	if v.Shared == nil {
		v.Shared = map[string]ledger.VerifyReport{}
	}
	v.Shared[name] = report
	v.OK = v.OK && report.OK
}

func verifiedLines(one *record, report ledger.VerifyReport) []string {
	var lines []string
	for _, problem := range report.Problems {
		lines = append(lines, "wrong: "+problem.String())
	}
	if !report.OK {
		return lines
	}
	line := fmt.Sprintf("%d events hold together; the head is %d:%s", report.Events, report.Head.Seq, report.Head.Hash)
	switch {
	case one.name != "" && one.unasked == nil:
		line = "shared ledger " + one.name + ": " + line + "; this machine's copy and the shared one are the same"
	case one.name != "":
		line = "this machine's copy of the shared ledger " + one.name + ": " + line
	}
	return append(lines, line)
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
