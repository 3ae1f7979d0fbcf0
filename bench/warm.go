package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// coldLimit bounds the one run that fills the cache: it downloads the app's packages and runs its tests.
const coldLimit = 150 * time.Second

// measureWarm compares a run with nothing changed with the least that could find that out: hashing the tree.
func measureWarm(ctx context.Context, b *bench) (section, error) {
	result := section{
		Title: "A warm run: nothing has changed",
		Notes: []string{
			"Penstock finds every result in its cache, reads the bundle, starts the gate sets anew, asks every gate, and records all of it.",
			"hashing alone is `git ls-files -z | xargs -0 sha256sum`; it knows that nothing changed and does nothing about it.",
		},
	}
	guide, notes, err := b.warmGuide(ctx)
	if err != nil {
		return result, err
	}
	result.Notes = append(result.Notes, notes...)
	if guide != nil {
		if err := b.compareWarm(ctx, &result, *guide); err != nil {
			return result, err
		}
	}
	const stages = 10
	small := warmApp{title: fmt.Sprintf("A generated app of %d stages and no gates", stages), folder: filepath.Join(b.scratch, "warm-small"), state: "state-small"}
	if err := makeApp(ctx, small.folder, workload{stages: stages, run: "true"}.files()); err != nil {
		return result, err
	}
	if _, err := b.fill(ctx, &small, patience); err != nil {
		return result, err
	}
	if err := b.compareWarm(ctx, &result, small); err != nil {
		return result, err
	}

	b.tell("start-up")
	starts := []contender{
		{Name: "penstock version", run: command{argv: []string{b.penstock, "version"}, environ: b.environ("state-version"), scratch: b.scratch}.run},
		{Name: "penstock --help", run: command{argv: []string{b.penstock, "--help"}, environ: b.environ("state-version"), scratch: b.scratch}.run},
	}
	if program, err := exec.LookPath("true"); err == nil {
		starts = append(starts, contender{Name: program, run: command{argv: []string{program}, scratch: b.scratch}.run})
	}
	outcomes, err := takeTurns(ctx, starts, 3*time.Second)
	if err != nil {
		return result, err
	}
	result.add(group{Title: "Start-up"}, starts, outcomes)
	return result, nil
}

// warmApp is an app whose results are all known.
type warmApp struct {
	title, folder, state string
	want                 expectation // what a run with nothing changed does
}

// warmGuide copies the example app and runs it once, its packages installed by Penstock itself. Where that cannot be done
// the answer is nil and a note that says so.
func (b *bench) warmGuide(ctx context.Context) (*warmApp, []string, error) {
	app := warmApp{folder: filepath.Join(b.scratch, "warm-guide"), state: "state-guide"}
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, []string{"examples/atomic-guide was not measured: there is no npm on this machine."}, nil
	}
	if err := b.copyTracked(ctx, filepath.Join("examples", "atomic-guide"), app.folder); err != nil {
		return nil, nil, err
	}
	b.tell("examples/atomic-guide, once with nothing cached (at most %s)", coldLimit)
	cold, err := b.fill(ctx, &app, coldLimit)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		b.tell("%v", err)
		reason := strings.Split(err.Error(), "\n")
		return nil, []string{"examples/atomic-guide was not measured: its first run, which needs npm and its registry, did not end well: " + reason[len(reason)-1]}, nil
	}
	app.title = fmt.Sprintf("examples/atomic-guide: %d stages from the cache, %d run, %d gates", app.want.cached, app.want.stages, app.want.gates)
	return &app, []string{fmt.Sprintf("the first run of examples/atomic-guide, packages downloaded and all stages run, took %.1f s (once).", cold.Seconds())}, nil
}

// fill runs an app so that its results are known, and once more to note what a run then does. It returns what the first took.
func (b *bench) fill(ctx context.Context, app *warmApp, limit time.Duration) (cold time.Duration, err error) {
	once := b.checking(app.folder, app.state)
	once.limit = limit
	once.check = func(stdout []byte) (err error) {
		app.want, err = tally(stdout)
		return err
	}
	first, err := once.run(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := once.run(ctx); err != nil {
		return 0, err
	}
	if app.want.cached == 0 {
		return 0, errors.New("the second run took nothing from the cache")
	}
	return first.wall, nil
}

func (b *bench) compareWarm(ctx context.Context, into *section, app warmApp) error {
	b.tell("%s", app.title)
	contenders := []contender{
		{Name: "penstock check", run: b.check(app.folder, app.state, app.want)},
		b.hashing(app.folder),
	}
	outcomes, err := takeTurns(ctx, contenders, 6*time.Second)
	if err != nil {
		return err
	}
	into.add(group{Title: app.title}, contenders, outcomes)
	return nil
}

func (b *bench) hashing(folder string) contender {
	result := contender{Name: "hashing the tree alone"}
	for _, tool := range []string{"bash", "git", "xargs", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			result.Missing = "there is no " + tool + " on this machine"
			return result
		}
	}
	result.run = command{
		argv: []string{"bash", "-c", "set -o pipefail; git ls-files -z | xargs -0 sha256sum"}, dir: folder, scratch: b.scratch,
	}.run
	return result
}

// copyTracked copies the files of a folder of the source tree that git tracks, and makes the copy a repository.
func (b *bench) copyTracked(ctx context.Context, folder, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z")
	list.Dir = filepath.Join(b.root, folder)
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list %s: %w", folder, err)
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(out, "\x00"), []byte{0}) {
		source, target := filepath.Join(list.Dir, string(name)), filepath.Join(to, string(name))
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return err
		}
	}
	return commitAll(ctx, to)
}
