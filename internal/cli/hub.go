package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/actions"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/internal/report/markdown"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// stoppedPatience bounds what is still sent to GitHub after an interrupt: the runner kills a cancelled step ten seconds later.
const stoppedPatience = 5 * time.Second

// hubFlags say whether and how a run is shown on GitHub.
type hubFlags struct {
	token string
	off   bool
	// ownPolicy judges a pull request by its own pipeline.
	ownPolicy bool
}

func (f *hubFlags) addTo(command *cobra.Command) {
	command.Flags().StringVar(&f.token, "github-token", "", "the `token` to report to GitHub with; better in GITHUB_TOKEN, because others can see arguments")
	command.Flags().BoolVar(&f.off, "no-github", false, "report nothing to GitHub")
}

// hub is a run's side of GitHub: what it is about there, and who is told. It is nil where there is no GitHub.
type hub struct {
	place     github.Place
	inActions bool
	token     string
	jobs      []string // the commits that the job itself may be about; a run that goes on is about another
	folder    string   // the app's within the repository, with a slash at its end
	commands  *actions.Commander
	reporter  *github.Reporter // nil: nothing is reported, and why says so
	why       string
	account   account.Account
	bus       *engine.Bus
	closed    bool
	progress  func(string) // is told what is at work; may be nil
}

// reportToken is --github-token as a variable. Unlike GITHUB_TOKEN it is nobody's but ours, and so it is a wish to report.
const reportToken = "PENSTOCK_GITHUB_TOKEN"

// findHub reads what GitHub Actions says. Outside of it a run is shown on GitHub when --github-token or its variable asks for
// it; where, is said by GITHUB_REPOSITORY or by the remote origin: a token that happens to lie in a developer's environment is no wish to report.
func (r *run) findHub(ctx context.Context) error {
	streams, flags := r.shared.streams, r.flags.hub
	if r.shared.hub != nil {
		given := *r.shared.hub
		r.hub, given.commands = &given, actions.NewCommander(streams.Err)
		var err error
		given.folder, err = snapshot.Top(ctx, r.folder)
		return err
	}
	inActions := github.InActions(streams.Env)
	if flags.token == "" {
		flags.token = streams.Env(reportToken)
	}
	if !inActions && (flags.token == "" || flags.off) {
		return nil
	}
	env := streams.Env
	if !inActions && env("GITHUB_REPOSITORY") == "" {
		repository, err := r.shared.repositoryOf(ctx, r.folder)
		if err != nil { // no reason not to deploy
			r.hub = &hub{why: "nothing is reported to GitHub: " + err.Error() + "; set GITHUB_REPOSITORY to owner/name", commands: actions.NewCommander(streams.Err)}
			return nil
		}
		env = func(name string) string {
			if name == "GITHUB_REPOSITORY" {
				return repository
			}
			return streams.Env(name)
		}
	}
	place, err := github.FindPlace(env)
	if err != nil {
		return fail(ExitUsage, "in GitHub Actions these come from the runner; elsewhere leave out --github-token, or set GITHUB_REPOSITORY and GITHUB_SHA", err)
	}
	h := &hub{place: place, jobs: []string{place.Tried, place.Commit}, inActions: inActions, token: flags.token, commands: actions.NewCommander(streams.Err)}
	if h.token == "" {
		h.token = streams.Env("GITHUB_TOKEN")
	}
	if h.folder, err = snapshot.Top(ctx, r.folder); err != nil {
		return err
	}
	switch {
	case flags.off:
		h.why = "--no-github"
	case h.token == "":
		h.why = "nothing is reported to GitHub but the job's summary and annotations: give the step `env: GITHUB_TOKEN: ${{ github.token }}`"
	}
	r.hub = h
	return nil
}

// judgedBy is the folder whose pipeline and gates judge this run: the app's own, or in a pull request that of its base, so
// that nobody can change the pipeline that judges their change.
func (r *run) judgedBy(ctx context.Context, state string) (string, error) {
	if r.resumes != nil { // what began it decided that, and a pull request must not become its own judge by waiting
		if base := r.resumes.run.Info.Rules; base != "" {
			into, err := r.rulesAt(ctx, state, base)
			if err != nil {
				return "", fail(ExitBlocked, "fetch that commit into "+r.folder+", then run the same command again", fmt.Errorf("the run was judged by the pipeline of commit %.12s, which cannot be read: %w", base, err))
			}
			return into, nil
		}
		return r.root, bringGates(r.folder, r.root)
	}
	if r.hub == nil || r.hub.place.Base == "" {
		if r.flags.hub.ownPolicy && r.hub != nil {
			return "", fail(ExitUsage, "leave out --own-policy", errors.New("this is no pull request: it is judged by its own pipeline anyway"))
		}
		return r.root, nil
	}
	place := r.hub.place
	if r.flags.hub.ownPolicy {
		if place.Fork {
			return "", fail(ExitUsage, "leave out --own-policy", fmt.Errorf("pull request %d comes from a fork: it is judged by the pipeline of %s", place.Pull, place.BaseRef))
		}
		return r.root, nil
	}
	into, err := r.rulesAt(ctx, state, place.Base)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fail(ExitUsage, "let actions/checkout fetch it, with `fetch-depth: 0`",
			fmt.Errorf("%s is judged by the pipeline of %s, which cannot be read: %w", r.hub.subject(), place.BaseRef, err))
	}
	return into, nil
}

// rulesAt unpacks the app's folder as it is at a commit, with the gates that its lock file pins.
func (r *run) rulesAt(ctx context.Context, state, commit string) (string, error) {
	root := filepath.Join(state, "policy")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("make room for the pipeline of a commit: %w", err)
	}
	into, err := os.MkdirTemp(root, "base-")
	if err != nil {
		return "", fmt.Errorf("make room for the pipeline of a commit: %w", err)
	}
	r.ending(func(context.Context) error { return os.RemoveAll(into) })
	top := r.folder
	for range strings.Split(r.place, "/") {
		if r.place != "" { // what the workspace says counts too
			top = filepath.Dir(top)
		}
	}
	if err := snapshot.WriteCommit(ctx, top, commit, into); err != nil {
		return "", err
	}
	r.rulesCommit = commit
	rules := filepath.Join(into, filepath.FromSlash(r.place))
	if err := os.MkdirAll(rules, 0o755); err != nil { // where the commit has no such folder
		return "", fmt.Errorf("make room for the pipeline of a commit: %w", err)
	}
	return rules, bringGates(r.folder, rules)
}

// bringGates copies gate binaries that the base's penstock.lock pins and git does not keep from the app's folder. What they
// must be is in the lock file: another binary is refused when it is started.
func bringGates(from, into string) error {
	locked, err := gatehost.ReadLock(filepath.Join(into, "penstock.lock"))
	if err != nil {
		return nil // without a lock file there is nothing to bring; what is wrong with one is said by who opens the gates
	}
	root, err := os.OpenRoot(into) // a source can hold links, and nothing is written where they lead out of it
	if err != nil {
		return fmt.Errorf("bring the gate sets: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing is written through it any more
	for _, set := range locked {
		relative, err := filepath.Rel(into, set.Path)
		if err != nil || !filepath.IsLocal(relative) {
			continue
		}
		if _, err := os.Stat(set.Path); err == nil {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, relative))
		if errors.Is(err, fs.ErrNotExist) {
			continue // said by who opens it
		}
		if err != nil {
			return fmt.Errorf("read the gate set %s: %w", set.Set, err)
		}
		if err := root.MkdirAll(filepath.Dir(relative), 0o755); err != nil {
			return fmt.Errorf("bring the gate set %s: %w", set.Set, err)
		}
		if err := root.WriteFile(relative, content, 0o755); err != nil {
			return fmt.Errorf("bring the gate set %s: %w", set.Set, err)
		}
	}
	return nil
}

// unfitPolicy words what is wrong with the files that the pipeline is made of.
func (r *run) unfitPolicy(err error) error {
	if r.rules == r.root {
		return unfit(r.folder, err)
	}
	if r.resumes != nil { // wherever it began, this need not be GitHub
		return fail(ExitUsage, "`penstock deploy` begins anew", fmt.Errorf("what judges run %s (the pipeline at %.12s):\n%w", r.resumes.run.ID, r.rulesCommit, err))
	}
	next := "mend what is named on " + r.hub.place.BaseRef + " first"
	if !r.hub.place.Fork {
		next += ", or judge this pull request by its own pipeline with --own-policy"
	}
	return fail(ExitUsage, next, fmt.Errorf("what judges %s (%s at %.12s):\n%w", r.hub.subject(), r.hub.place.BaseRef, r.hub.place.Base, err))
}

// openHub returns who is told of the run for GitHub's sake; it has a bus of its own, so that it can cost neither the record
// nor the view anything.
func (r *run) openHub() event.Observer {
	h := r.hub
	if h == nil {
		return fanOut(nil)
	}
	observers := fanOut{event.ObserverFunc(h.account.Apply)}
	if h.progress != nil {
		observers = append(observers, event.ObserverFunc(h.tellProgress))
	}
	if h.inActions {
		observers = append(observers, actions.NewAnnotations(h.commands, h.folder))
		if !r.shared.json { // else the standard error may be somebody's file
			for _, value := range r.secrets.all() {
				h.commands.Mask(value)
			}
		}
	}
	if h.why == "" {
		if commit := r.commit(); h.place.Commit == "" || (r.resumes != nil && commit != "") {
			// A run that goes on is about what it began with, wherever this job was started.
			h.place.Commit, h.place.Tried, h.place.Pull = commit, commit, 0
		}
		reporter, err := github.New(github.Options{
			Place: h.place, Token: h.token, Version: buildinfo.Version, Folder: h.folder, Patience: r.hubPatience,
			Deploys: r.environment.Name != localTarget, // which is nobody else's
		})
		if err != nil {
			h.why = "nothing is reported to GitHub: " + err.Error()
		} else {
			h.reporter = reporter
			observers = append(observers, reporter)
		}
	}
	h.bus = engine.NewBus(r.id, observers)
	r.ending(func(ctx context.Context) error { r.closeHub(ctx); return nil })
	return h.bus
}

// tellProgress tells when stages are over and when gates begin to answer; GitHub takes few such reports.
func (h *hub) tellProgress(e event.Event) {
	switch {
	case e.Type == event.RunStarted:
		h.progress("running stages")
	case e.Type == event.BundleBuilt:
		h.progress("stages passed; asking the gates")
	case e.Type == event.PlanMade:
		h.progress("planned; asking the gates of the plan")
	}
}

// subject is what is judged by another commit's pipeline.
func (h *hub) subject() string {
	if h.place.Pull != 0 {
		return fmt.Sprintf("pull request %d", h.place.Pull)
	}
	return "this deployment"
}

// hidden is what must not be shown: secrets, and the token that reports.
func (r *run) hidden() map[string]string {
	values := r.secrets.all()
	if r.hub != nil && r.hub.token != "" {
		values["GITHUB_TOKEN"] = r.hub.token
	}
	return values
}

func (r *run) commit() string {
	if r.source == nil {
		return ""
	}
	return r.source.Commit
}

// noteHub says what a person should know about this run and GitHub.
func (r *run) noteHub() {
	if r.hub == nil {
		return
	}
	if r.hub.place.Base != "" && !r.flags.hub.ownPolicy {
		r.note("info", fmt.Sprintf("judged by the pipeline and gates of %s at %.12s, not by those of %s", r.hub.place.BaseRef, r.hub.place.Base, r.hub.subject()))
	}
	if r.hub.why != "" && !r.flags.hub.off {
		r.note("warning", r.hub.why)
	}
}

// closeHub sends what is left to GitHub, writes the job's summary and says what could not be told. It never fails the run.
// It is idempotent.
func (r *run) closeHub(ctx context.Context) {
	h := r.hub
	if h == nil || h.bus == nil || h.closed {
		return
	}
	h.closed = true
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	var problems []string
	// What is wrong with the record is said by whoever ends the run.
	if err := errors.Join(r.bus.Close(bounded), h.bus.Close(bounded)); err != nil {
		problems = append(problems, err.Error())
	}
	if h.reporter != nil {
		sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
		if ctx.Err() != nil {
			sending, cancel = context.WithTimeout(sending, stoppedPatience)
		}
		problems = append(problems, h.reporter.Close(sending)...)
		cancel()
	}
	if h.inActions && h.account.Result != nil {
		problems = append(problems, r.writeJobFiles(ctx, problems)...)
	}
	for _, problem := range problems {
		text := r.hide("GitHub was not told everything: " + problem)
		fmt.Fprintf(actions.NewGuard(r.shared.streams.Err), "penstock: %s\n", markdown.Plain(text))
		if h.inActions {
			h.commands.Annotate(actions.Warning, "", 0, 0, "penstock", text)
		}
	}
}

// writeJobFiles writes the job's summary and the step's outputs.
func (r *run) writeJobFiles(ctx context.Context, unsent []string) (problems []string) {
	h, env := r.hub, r.shared.streams.Env
	if path := env("GITHUB_STEP_SUMMARY"); path != "" {
		links := markdown.Links{Run: h.place.RunURL, Folder: h.folder, Source: fmt.Sprintf("%s/%s/blob/%s/", h.place.Server, h.place.Repository, h.place.Commit)}
		text := markdown.Summary(&h.account, links, 4*markdown.Limit)
		for _, problem := range unsent {
			text += "\n> GitHub was not told everything: " + markdown.Text(problem) + "\n"
		}
		if err := actions.WriteSummary(path, text); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if path := env("GITHUB_OUTPUT"); path != "" {
		result := h.account.Result
		outputs := []actions.Output{
			{Name: "outcome", Value: result.Outcome}, {Name: "exit-code", Value: strconv.Itoa(result.ExitCode)}, {Name: "url", Value: result.URL},
			{Name: "version", Value: result.Version}, {Name: "run", Value: r.id},
		}
		if h.account.Plan != nil {
			outputs = append(outputs, actions.Output{Name: "plan", Value: h.account.Plan.Digest})
		}
		if h.account.Ending() == account.Waiting {
			outputs = append(outputs, actions.Output{Name: mayPassOutput, Value: r.hide(r.mayPass(ctx))})
		}
		if err := actions.WriteOutputs(path, outputs); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems
}
