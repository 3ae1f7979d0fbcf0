package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/buildinfo"
)

func newGatesLock(shared *common) *cobra.Command {
	var check, sameVersion bool
	command := &cobra.Command{
		Use:   "lock [BINARY...]",
		Short: "Pin the gate sets of others that this app uses in penstock.lock",
		Long: "Adds the named binaries to penstock.lock, brings the pins of those that are there up to date for this platform, and\n" +
			"shows what changed. A binary that changed without a new version is refused, because nobody said that it did:\n" +
			"--same-version takes it. With --check nothing is written, and a pin that does not fit exits with 4.",
		Example: "  penstock gates lock tools/penstock-gates-acme\n  penstock gates lock --check",
		Args:    cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			folder, err := shared.appFolder()
			if err != nil {
				return err
			}
			for _, binary := range args {
				set := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(binary), gatehost.BinaryPrefix), ".exe")
				if err := refuseShipped(set, buildinfo.GatePins); err != nil {
					return err
				}
			}
			state, err := shared.streams.stateDir()
			if err != nil {
				return err
			}
			plan, err := gatehost.PlanLock(command.Context(), filepath.Join(folder, gatehost.LockName), args, filepath.Join(state, "gates"))
			if err != nil {
				if errors.Is(err, gatehost.ErrMisbehaved) || errors.Is(err, gatehost.ErrUntrusted) || errors.Is(err, gatehost.ErrIncompatible) {
					return fail(ExitBlocked, "`penstock gates test BINARY` shows what is wrong with it", err)
				}
				if errors.Is(err, gatehost.ErrLock) {
					return fail(ExitUsage, "correct it, or remove it and lock the sets again: `penstock gates lock BINARY...`", err)
				}
				return fail(ExitUsage, "name the binaries of gate sets, penstock-gates-NAME", err)
			}
			refusal := refuseLock(plan, check, sameVersion)
			written := refusal == nil && !check && !plan.UpToDate()
			if written {
				if err := plan.Write(); err != nil {
					return err
				}
			}
			if shared.json {
				return alreadyTold(refusal, printJSON(shared.streams.Out, newLockEntry(plan, written, refusal)))
			}
			return errors.Join(shared.showLock(plan, written), refusal)
		},
	}
	command.Flags().BoolVar(&check, "check", false, "write nothing; exit with 4 when penstock.lock does not fit the binaries")
	command.Flags().BoolVar(&sameVersion, "same-version", false, "also pin a binary that changed and did not change its version")
	return command
}

// lockEntry is what `gates lock --json` prints.
type lockEntry struct {
	Changes  []gatehost.LockChange `json:"sets"`
	UpToDate bool                  `json:"upToDate"` // before anything was written
	Written  bool                  `json:"written"`
	Problem  string                `json:"problem,omitempty"` // why nothing was written, or the check failed
	NextStep string                `json:"nextStep,omitempty"`
}

func newLockEntry(plan *gatehost.Relock, written bool, refusal error) lockEntry {
	entry := lockEntry{Changes: nonNil(plan.Changes), UpToDate: plan.UpToDate(), Written: written}
	if refusal != nil {
		entry.Problem = refusal.Error()
		_, entry.NextStep = classify(refusal)
	}
	return entry
}

func nonNil[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// refuseLock says why the lock file is not to be written, or does not pass the check.
func refuseLock(plan *gatehost.Relock, check, sameVersion bool) error {
	var missing []string
	for _, change := range plan.Changes {
		if change.State == gatehost.LockMissing {
			missing = append(missing, change.Path)
		}
	}
	silent := plan.Silent()
	switch {
	case len(missing) > 0:
		return fail(ExitBlocked, "build or install what is missing, or take it out of "+gatehost.LockName, fmt.Errorf("%s is not there, so nothing was written", list(missing)))
	case len(silent) > 0 && !sameVersion:
		return fail(ExitBlocked, "find out who changed it; when it was you, give it a new version, or pin it with --same-version",
			fmt.Errorf("the binary of %s changed and its version did not", list(silent)))
	case check && !plan.UpToDate():
		return fail(ExitBlocked, "look at what changed above; `penstock gates lock` pins it", fmt.Errorf("%s does not fit the binaries", gatehost.LockName))
	}
	return nil
}

func (c *common) showLock(plan *gatehost.Relock, written bool) error {
	out := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	for _, change := range plan.Changes {
		fmt.Fprintf(out, "%s\t%s\t%s\n", change.Set, change.Path, change.Shown())
	}
	if err := out.Flush(); err != nil {
		return err
	}
	var err error
	switch {
	case written:
		_, err = fmt.Fprintf(c.streams.Out, "wrote %s\n", plan.Path)
	case len(plan.Changes) == 0:
		_, err = fmt.Fprintf(c.streams.Out, "this app uses no gate sets of others; `penstock gates lock BINARY` pins one\n")
	}
	return err
}
