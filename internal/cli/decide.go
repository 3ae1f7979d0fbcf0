package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// decideFlags are those of approve and reject.
type decideFlags struct{ reason, as, sign, plan string }

func newApprove(shared *common) *cobra.Command {
	return newDecision(shared, true, "approve RUN", "Approve the plan of a run that waits",
		"Records that you approve exactly what the run would change now, by the digest of its plan. When anything in the plan changes,\n"+
			"the approval is void. Who you are is git's user.email, or what --as says; neither is proven. --sign proves it with an SSH key.",
		"  penstock approve 01JD2QK7 --reason seen-on-staging\n  penstock approve 01JD2QK7 --reason hot-fix --sign ~/.ssh/id_ed25519")
}

func newReject(shared *common) *cobra.Command {
	return newDecision(shared, false, "reject RUN", "Reject a run that waits",
		"Records that the run must not go on. That is its end: a new deploy is a new run. Approvers can, and who began it.",
		"  penstock reject 01JD2QK7 --reason exam-week")
}

func newDecision(shared *common, approve bool, use, short, long, example string) *cobra.Command {
	var flags decideFlags
	command := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			if flags.reason = said(flags.reason); flags.reason == "" {
				return fail(ExitUsage, "give one with --reason", errors.New("a decision needs a reason: it is what others will read"))
			}
			return shared.decideAbout(ctx, args[0], func(record *record, run ledger.Run) error {
				return shared.decide(ctx, record.Ledger, run, approve, flags)
			})
		},
	}
	command.Flags().StringVar(&flags.reason, "reason", "", "`why`, for whoever looks back (required)")
	command.Flags().StringVar(&flags.as, "as", "", "who decides, by the `name` that approvers go by; git's user.email when it is left out")
	command.Flags().StringVar(&flags.plan, "plan", "", "decide only about the plan with this `digest`, as it was shown")
	command.Flags().StringVar(&flags.sign, "sign", "", signUsage)
	return command
}

func (c *common) decide(ctx context.Context, record *ledger.Ledger, run ledger.Run, approve bool, flags decideFlags) error {
	// What was shown to whoever decides must be what the digest names.
	if err := verifyLedger(ctx, record, "what it says about run "+run.ID); err != nil {
		return err
	}
	held, err := record.Held(ctx, run.ID)
	if errors.Is(err, ledger.ErrNotFound) {
		return fail(ExitUsage, "`penstock status` lists the runs that wait", fmt.Errorf("run %s does not wait: it is %s", run.ID, run.State))
	}
	if err != nil {
		return err
	}
	folder, err := c.appFolder()
	if err != nil {
		return err
	}
	decision := promotion.Decision{
		ID: strings.ToLower(ulid.Make().String()), Run: run.ID, Plan: held.Plan, Approve: approve, By: c.streams.whoami(ctx, folder, flags.as),
		Reason: flags.reason, Time: time.Now().UTC(),
	}
	if flags.plan != "" {
		decision.Plan = flags.plan
	}
	if flags.sign != "" {
		if err := c.streams.sign(ctx, decision.Sign, flags.sign); err != nil {
			return fail(ExitUsage, noSigner, err)
		}
		if held.Policy.Signers != "" { // else nobody checks it, and it proves nothing
			decision.By.Kind = event.IdentitySSH
		}
	}
	held, err = record.Decide(ctx, decision)
	var refused *promotion.RefusedError
	if errors.As(err, &refused) {
		return fail(ExitBlocked, refused.NextStep, refused)
	}
	if err != nil {
		return err
	}
	return c.showDecision(held, decision)
}

// decided is a decision as --json prints it.
type decided struct {
	promotion.Decision
	State   promotion.Phase `json:"state"` // of the run, after it
	Missing int             `json:"missing"`
}

func (c *common) showDecision(held promotion.Held, decision promotion.Decision) error {
	missing := held.Standing(held.Plan).Missing()
	if c.json {
		return printJSON(c.streams.Out, decided{decision, held.State, missing})
	}
	word, next := "rejected", "it ends here; a new `penstock deploy` is a new run"
	if decision.Approve {
		word, next = "approved", "`penstock promote "+held.Run+"` goes on"
		if missing > 0 {
			next = fmt.Sprintf("%d more of %s must approve%s", missing, list(held.Policy.Approvers), oneMore(held.Standing(held.Plan)))
		}
	}
	_, err := fmt.Fprintf(c.streams.Out, "%s by %s: plan %s of run %s to %s\nnext: %s\n", word, decision.By, brief(decision.Plan), held.Run, held.Environment, next)
	return err
}

const (
	signUsage = "sign with this SSH `key`: a private key file, or a .pub file whose key is in the agent"
	noSigner  = "name a private key without a passphrase, or a .pub file whose key `ssh-add -l` lists"
)

// sign signs with a private key file or, for a public one, with the agent.
func (s *Streams) sign(ctx context.Context, with func(ssh.Signer) error, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	if signer, err := ssh.ParsePrivateKey(text); err == nil {
		return with(signer)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text) //nolint:dogsled // the key is all that is asked for
	if err != nil {
		return fmt.Errorf("%s is neither a private key without a passphrase nor a public key", path)
	}
	socket := s.Env("SSH_AUTH_SOCK")
	if socket == "" {
		return errors.New("there is no SSH agent: SSH_AUTH_SOCK is not set")
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("ask the SSH agent: %w", err)
	}
	defer connection.Close()
	signers, err := agent.NewClient(connection).Signers()
	if err != nil {
		return fmt.Errorf("ask the SSH agent: %w", err)
	}
	for _, signer := range signers {
		if string(signer.PublicKey().Marshal()) == string(public.Marshal()) {
			return with(signer)
		}
	}
	return errors.New("the SSH agent does not have the key of " + path)
}
