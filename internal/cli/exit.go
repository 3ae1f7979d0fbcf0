package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// ExitCode is what the process answers its caller. Help prints this table; nothing else in Penstock knows the numbers.
type ExitCode int

// The exit codes of DESIGN section 7, and the shell's own for an interrupt.
const (
	ExitDone        ExitCode = 0
	ExitInternal    ExitCode = 1
	ExitUsage       ExitCode = 2
	ExitStageFailed ExitCode = 3
	ExitBlocked     ExitCode = 4
	ExitWaiting     ExitCode = 5
	ExitRolledBack  ExitCode = 6
	ExitBusy        ExitCode = 7
	ExitUnreachable ExitCode = 8
	ExitInterrupted ExitCode = 130
)

var exitMeanings = []struct {
	code    ExitCode
	outcome string
	meaning string
}{
	{ExitDone, "done", "done"},
	{ExitInternal, "error", "internal error"},
	{ExitUsage, "unusable", "wrong usage or invalid config"},
	{ExitStageFailed, "failed", "a stage or a step failed"},
	{ExitBlocked, "blocked", "blocked by a gate"},
	{ExitWaiting, "waiting", "waiting for people"},
	{ExitRolledBack, "rolled back", "the promotion was rolled back"},
	{ExitBusy, "busy", "another promotion holds the environment"},
	{ExitUnreachable, "unreachable", "the target or the network cannot be reached"},
	{ExitInterrupted, "interrupted", "stopped by Ctrl-C: cleanly by the first, at once by the second"},
}

// Outcome is the one word for people and for the ledger.
func (c ExitCode) Outcome() string {
	for _, row := range exitMeanings {
		if row.code == c {
			return row.outcome
		}
	}
	return "error"
}

func exitTable() string {
	var out strings.Builder
	for _, row := range exitMeanings {
		fmt.Fprintf(&out, "  %3d  %s\n", row.code, row.meaning)
	}
	return strings.TrimRight(out.String(), "\n")
}

// failure is an error with its exit code and what a person can do next.
type failure struct {
	code     ExitCode
	err      error
	nextStep string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code ExitCode, nextStep string, err error) error {
	return &failure{code: code, err: err, nextStep: nextStep}
}

// classify finds the exit code of an error, and the next step where one is known.
func classify(err error) (ExitCode, string) {
	var (
		known    *failure
		tools    *engine.MissingToolsError
		problems pipelines.Problems
		serviced *promotion.MaintenanceError
		refused  *promotion.RefusedError
		tampered *ledger.TamperError
		cannot   *cloudflare.UnsupportedError
		absent   *cloudflare.AbsentError
	)
	switch {
	case err == nil:
		return ExitDone, ""
	case errors.As(err, &known):
		return known.code, known.nextStep
	case errors.As(err, &tools):
		return ExitUsage, "install what is named above, then run the same command again"
	case errors.As(err, &problems):
		return ExitUsage, ""
	case errors.As(err, &cannot):
		return ExitUsage, "do what is said behind each key, then run the same command again; nothing was changed"
	case errors.As(err, &absent):
		return ExitStageFailed, absent.NextStep
	case errors.As(err, &serviced):
		return ExitBusy, serviced.NextStep()
	case errors.As(err, &refused):
		return ExitBlocked, refused.NextStep
	case errors.Is(err, ledger.ErrTooLarge):
		return ExitUsage, "let what is named there say less: a gate that finds thousands of things, or a list that is far too long"
	case errors.As(err, &tampered):
		return ExitBlocked, "find out who changed it: `penstock verify` on the machines that use it shows what each has seen; docs/sharing.md says how to go on"
	case errors.Is(err, promotion.ErrBusy):
		return ExitBusy, "`penstock status` shows who is at work"
	case errors.Is(err, promotion.ErrUnreachable):
		return ExitUnreachable, "check the network and the target, then run the same command again: what was done is recognised"
	case errors.Is(err, context.Canceled):
		return ExitInterrupted, "run the same command again: finished stages come from the cache"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOSPC):
		return ExitUsage, "give the file the room or the rights that it lacks, then run the same command again"
	default:
		return ExitInternal, "this is a fault of Penstock: please report it with the output of `penstock version`"
	}
}
