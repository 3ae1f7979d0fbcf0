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
	guides, notes, err := b.warmGuides(ctx)
	if err != nil {
		return result, err
	}
	result.Notes = append(result.Notes, notes...)
	for _, guide := range guides {
		if err := b.compareWarm(ctx, &result, guide); err != nil {
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
	told                 story // by a run with nothing changed
}

// warmGuides copies the example app and runs it once, its packages installed by Penstock itself; then come copies of it of
// which less is asked. Where the first run does not end well there are none, and a note says so.
func (b *bench) warmGuides(ctx context.Context) ([]warmApp, []string, error) {
	const example = "examples/atomic-guide"
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, []string{example + " was not measured: there is no npm on this machine."}, nil
	}
	whole := warmApp{folder: filepath.Join(b.scratch, "guide"), state: "state-guide"}
	if err := b.copyTracked(ctx, filepath.FromSlash(example), whole.folder); err != nil {
		return nil, nil, err
	}
	b.tell("%s, once with nothing cached (at most %s)", example, coldLimit)
	cold, err := b.fill(ctx, &whole, coldLimit)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		b.tell("%v", err)
		reason := strings.Split(err.Error(), "\n")
		return nil, []string{example + " was not measured: its first run, which needs npm and its registry, did not end well: " + reason[len(reason)-1]}, nil
	}
	notes := []string{fmt.Sprintf("the first run of %s, packages downloaded and all stages run, took %.1f s (once).", example, cold.Seconds())}
	whole.title = fmt.Sprintf("%s as it is: %s", example, whole.told)
	if len(whole.told.ran) > 0 {
		notes = append(notes, fmt.Sprintf("not from the cache, with nothing changed: %s. A registry that does not answer when it is asked for "+
			"advisories is asked again by the next run.", strings.Join(whole.told.ran, ", ")))
	}

	guides := []warmApp{whole}
	for _, less := range []struct {
		title         string
		stages, gates []string // that are taken out
	}{
		{"the same without what is not from the cache", whole.told.ran, nil},
		{"the same without gates, which other task runners do not have either", whole.told.ran, whole.told.gates},
	} {
		guide := warmApp{folder: filepath.Join(b.scratch, fmt.Sprintf("guide-%d", len(guides))), state: whole.state}
		if err := b.copyTracked(ctx, filepath.FromSlash(example), guide.folder); err != nil {
			return nil, nil, err
		}
		if err := adjust(guide.folder, less.stages, less.gates); err != nil {
			return nil, nil, err
		}
		if _, err := b.fill(ctx, &guide, patience); err != nil {
			return nil, nil, err
		}
		guide.title = fmt.Sprintf("%s: %s", less.title, guide.told)
		guides = append(guides, guide)
	}
	return guides, notes, nil
}

func (s story) String() string {
	return fmt.Sprintf("%d stages from the cache, %d run, %d gates asked", len(s.cached), len(s.ran), len(s.gates))
}

// adjust takes stages and gates out of an app's pipeline. What penstock.yaml said before is about promotions, which are not
// measured here.
func adjust(folder string, stages, gates []string) error {
	text := ""
	for _, section := range []struct {
		key   string
		names []string
	}{{"stages", stages}, {"gates", gates}} {
		if len(section.names) > 0 {
			text += section.key + ":\n"
		}
		for _, name := range section.names {
			text += "  " + name + ": {remove: true}\n"
		}
	}
	return os.WriteFile(filepath.Join(folder, "penstock.yaml"), []byte(text), 0o644)
}

// fill runs an app so that its results are known, and once more to note what a run then does. It returns what the first took.
func (b *bench) fill(ctx context.Context, app *warmApp, limit time.Duration) (cold time.Duration, err error) {
	once := b.checking(app.folder, app.state)
	once.limit = limit
	once.check = func(stdout []byte) (err error) {
		app.told, err = readStory(stdout)
		return err
	}
	first, err := once.run(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := once.run(ctx); err != nil {
		return 0, err
	}
	if len(app.told.cached) == 0 {
		return 0, errors.New("the second run took nothing from the cache")
	}
	return first.wall, nil
}

func (b *bench) compareWarm(ctx context.Context, into *section, app warmApp) error {
	b.tell("%s", app.title)
	contenders := []contender{
		{Name: "penstock check", run: b.check(app.folder, app.state, app.told.counts())},
		b.hashing(app.folder),
	}
	outcomes, err := takeTurns(ctx, contenders, 4*time.Second)
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
	// The copies differ in penstock.yaml only. Were it part of the source, every stage that takes all of it would run again.
	return commitAll(ctx, to, "/penstock.yaml")
}
