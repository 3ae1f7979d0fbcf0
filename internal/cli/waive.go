package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

func newWaive(shared *common) *cobra.Command {
	var flags waiveFlags
	command := &cobra.Command{
		Use:   "waive RUN GATE",
		Short: "Let a run pass one gate that blocked it, for a reason and a time",
		Long: "Records that what the gate objected to in this run is no reason to stop, for this bundle, in this environment, until it\n" +
			"expires. When the gate finds something else, it blocks again. The verdict stays what it is and is shown as waived.\n" +
			"Only a gate that is overridable can be waived. Where the environment has approvers, one of them must do it.",
		Example: "  penstock waive 01JD2QK7 quality/coverage --reason hot-fix --expires 7d",
		Args:    cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			lasts, err := parseDays(flags.expires)
			if err != nil {
				return fail(ExitUsage, "write a number with its unit, such as 7d, 12h or 90m", err)
			}
			ctx := command.Context()
			if flags.reason = said(flags.reason); flags.reason == "" {
				return fail(ExitUsage, "give one with --reason", errors.New("a waiver needs a reason: it is what others will read"))
			}
			return shared.decideAbout(ctx, args[0], func(record *record, run ledger.Run) error {
				return shared.waive(ctx, record.Ledger, run, args[1], flags, lasts)
			})
		},
	}
	command.Flags().StringVar(&flags.reason, "reason", "", "`why`, for whoever looks back (required)")
	command.Flags().StringVar(&flags.expires, "expires", "7d", "how `long` it lasts, at most 90d")
	command.Flags().StringVar(&flags.as, "as", "", "who waives, by the `name` that approvers go by; git's user.email when it is left out")
	command.Flags().StringVar(&flags.sign, "sign", "", signUsage)
	return command
}

type waiveFlags struct{ reason, as, expires, sign string }

func (c *common) waive(ctx context.Context, record *ledger.Ledger, run ledger.Run, gate string, flags waiveFlags, lasts time.Duration) error {
	if err := verifyLedger(ctx, record, "what it says about run "+run.ID); err != nil {
		return err
	}
	folder, err := c.appFolder()
	if err != nil {
		return err
	}
	var given []promotion.Waiver
	var names []string
	now := time.Now().UTC()
	for _, judged := range run.Gates {
		names = append(names, judged.Name)
		if judged.Name != gate || judged.Verdict == nil || (!judged.Blocks && judged.Enforcement == string(pipelines.Overridable)) {
			continue
		}
		waiver := promotion.Waiver{
			ID: strings.ToLower(ulid.Make().String()), App: run.Info.App, Environment: run.Info.Environment, Run: run.ID, Gate: gate, Phase: judged.Phase,
			Bundle: run.Bundle, Verdict: promotion.Fingerprint(*judged.Verdict), Measured: judged.Verdict.Measurements, Outcome: judged.Verdict.Outcome, Summary: judged.Verdict.Summary,
			Reason: flags.reason, By: c.streams.whoami(ctx, folder, flags.as), Time: now, Expires: now.Add(lasts),
		}
		var refused *promotion.RefusedError
		if err := waiver.Check(pipelines.Enforcement(judged.Enforcement), policyOf(run.Info), run.Info.By); errors.As(err, &refused) {
			return fail(ExitBlocked, refused.NextStep, refused)
		} else if err != nil {
			return err
		}
		if run.Info.Signed && len(run.Info.Approvers) > 0 && !run.Info.SelfApproval && run.Info.BySigned == "" {
			return fail(ExitBlocked, "begin it anew: `penstock deploy --env "+run.Info.Environment+" --sign KEY`",
				fmt.Errorf("nobody signed who began run %s, so nobody can tell whether you waive a gate of your own run", run.ID))
		}
		if run.Info.Signed && flags.sign == "" {
			return fail(ExitBlocked, "sign it with --sign KEY, with a key that the environment's signers file lists for "+waiver.By.Name,
				fmt.Errorf("environment %s takes signed waivers only", waiver.Environment))
		}
		if flags.sign != "" {
			if err := c.streams.sign(ctx, waiver.Sign, flags.sign); err != nil {
				return fail(ExitUsage, noSigner, err)
			}
			if run.Info.Signed { // else nobody checks it, and it proves nothing
				waiver.By.Kind = event.IdentitySSH
			}
		}
		given = append(given, waiver)
	}
	if len(given) == 0 {
		return fail(ExitUsage, "`penstock why "+run.ID+"` shows which gates block it", fmt.Errorf("no gate %s blocked run %s; it asked %s", gate, run.ID, list(names)))
	}
	for _, waiver := range given {
		if err := record.Waive(ctx, waiver); err != nil {
			return err
		}
	}
	if c.json {
		return printJSON(c.streams.Out, given)
	}
	for _, waiver := range given {
		fmt.Fprintf(c.streams.Out, "%s of run %s to %s, %s\n  it said %s: %s\n", waiver.Gate, run.ID, waiver.Environment, waiverLine(waiver), waiver.Outcome, waiver.Summary)
	}
	_, err = fmt.Fprintf(c.streams.Out, "next: `penstock promote %s` asks the gates again and goes on\n", run.ID)
	return err
}

// policyOf is what the run's environment asked of people when it began.
func policyOf(info event.RunInfo) promotion.Policy {
	return promotion.Policy{Approvers: info.Approvers, SelfApproval: info.SelfApproval}
}

// parseDays reads a duration, with days.
func parseDays(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseFloat(number, 64)
		if err != nil || !(days > 0 && days < 10_000) {
			return 0, fmt.Errorf("%q is not a time", text)
		}
		return time.Duration(days * float64(24*time.Hour)), nil
	}
	lasts, err := time.ParseDuration(text)
	if err != nil || lasts <= 0 {
		return 0, fmt.Errorf("%q is not a time", text)
	}
	return lasts, nil
}
