package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/appfacts"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/ledger"
	"github.com/penstock-ci/penstock/internal/replay"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// replayDir is where what gates were asked is kept, in the state folder.
const replayDir = "asked"

// keepingAsked is a gatekeeper that keeps what gates are asked, for backtests. What cannot be kept fails no run.
type keepingAsked struct {
	engine.Gatekeeper
	store    *replay.Store
	hide     func(string) string
	complain func(error)
}

// Evaluate implements engine.Gatekeeper.
func (k keepingAsked) Evaluate(ctx context.Context, gate string, request gates.Request, progress func(string)) gates.Verdict {
	verdict := k.Gatekeeper.Evaluate(ctx, gate, request, progress)
	info, err := k.Gatekeeper.Describe(ctx, gate)
	if err == nil {
		request.Reports = slices.DeleteFunc(slices.Clone(request.Reports), func(report gates.Report) bool {
			return !slices.ContainsFunc(info.Description.Reports, func(read gates.Report) bool { return read.Kind == report.Kind })
		})
		err = k.store.Keep(gate, info.SetDigest, request, verdict, k.hide)
	}
	if err != nil && ctx.Err() == nil {
		k.complain(err)
	}
	return verdict
}

// backtested is one question that was put again, or why it could not be.
type backtested struct {
	Run        string        `json:"run"`
	Asked      time.Time     `json:"asked"`
	Ended      string        `json:"ended"` // how the run ended: done, blocked, rolled back, …; "" when it is on no record
	Gate       string        `json:"gate"`
	Then       gates.Outcome `json:"then"`
	Now        gates.Outcome `json:"now,omitempty"`
	Summary    string        `json:"summary,omitempty"` // of the verdict now
	WouldBlock bool          `json:"wouldBlock"`
	// Tells says that it says no and blocks nothing: in the environment of the run it is advisory now, or a dry run.
	Tells      bool   `json:"tells,omitempty"`
	FalseAlarm bool   `json:"falseAlarm,omitempty"` // it would have blocked a run that went well
	NotAsked   string `json:"notAsked,omitempty"`   // why it could not be asked again
}

// backtest is what `gates backtest --json` prints.
type backtest struct {
	Runs        int          `json:"runs"` // that were looked at
	Asked       int          `json:"asked"`
	WouldBlock  int          `json:"wouldBlock"`
	FalseAlarms int          `json:"falseAlarms"`
	NotAsked    int          `json:"notAsked"`
	Questions   []backtested `json:"questions"`
}

func newGatesBacktest(shared *common) *cobra.Command {
	var runs int
	var configFile string
	command := &cobra.Command{
		Use:   "backtest [GATE]",
		Short: "Ask a changed gate, or one with another limit, about earlier runs",
		Long: "Puts to the gates as they are now what they were asked in earlier runs of this app, and tells which runs they would have\n" +
			"blocked, and how those ended. Kept are the reports and the output of stages, without secrets, for 90 days and up to 256 MiB;\n" +
			"the source comes from its commit. A gate that asks a running version or the network, or that needs a secret, cannot be asked\n" +
			"again, nor one that answers otherwise than then with the config of then: each is listed with its reason.",
		Example: "  penstock gates backtest quality/coverage --config stricter.yaml    # limit: 90\n  penstock gates backtest --runs 50 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if runs < 0 {
				return fail(ExitUsage, "for example --runs 50; 0 takes all", fmt.Errorf("there are no %d runs", runs))
			}
			gate := ""
			if len(args) > 0 {
				gate = args[0]
			}
			config, err := readGateConfig(configFile, gate)
			if err != nil {
				return err
			}
			told, err := shared.backtest(command.Context(), gate, config, runs)
			if err != nil {
				return err
			}
			if shared.json {
				return printJSON(shared.streams.Out, told)
			}
			return showBacktest(shared.streams, told)
		},
	}
	command.Flags().StringVar(&configFile, "config", "", "a YAML or JSON `file` with the gate's config to try; else that of the run")
	command.Flags().IntVar(&runs, "runs", 20, "the `number` of earlier runs; all that are kept when 0")
	return command
}

// readGateConfig reads the config to try; nil without a file.
func readGateConfig(path, gate string) (json.RawMessage, error) {
	if path == "" {
		return nil, nil
	}
	const next = "give --config a file with the gate's config, such as {limit: 90}"
	if gate == "" {
		return nil, fail(ExitUsage, "name the gate: `penstock gates backtest quality/coverage --config FILE`", errors.New("a config is for one gate"))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(ExitUsage, next, err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fail(ExitUsage, next, fmt.Errorf("read %s: %w", path, err))
	}
	made, err := json.Marshal(config)
	if err != nil {
		return nil, fail(ExitUsage, next, fmt.Errorf("read %s: %w", path, err))
	}
	return made, nil
}

func (c *common) backtest(ctx context.Context, gate string, config json.RawMessage, limit int) (told backtest, err error) {
	told.Questions = []backtested{}
	folder, err := c.appFolder()
	if err != nil {
		return told, err
	}
	fitted, problems, err := appfacts.Fit(folder)
	if err = errors.Join(err, problems.Err()); err != nil {
		return told, unfit(folder, err)
	}
	app := fitted.Name
	state, err := c.streams.stateDir()
	if err != nil {
		return told, err
	}
	store := replay.Open(filepath.Join(state, replayDir))
	ids, err := store.Runs()
	if err != nil {
		return told, err
	}
	scratch, err := os.MkdirTemp("", "penstock-backtest-")
	if err != nil {
		return told, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	err = c.withCopies(ctx, func(records []*ledger.Ledger) error {
		return c.withGates(ctx, func(host *gatehost.Host) error {
			if gate != "" {
				if _, err := host.Describe(ctx, gate); err != nil {
					return fail(ExitUsage, "`penstock gates list` shows the gates that there are", err)
				}
			}
			asking := &backtesting{host: host, store: store, config: config, folder: folder, scratch: scratch, sources: map[string]source{}}
			for _, id := range ids {
				if limit > 0 && told.Runs == limit || ctx.Err() != nil {
					break
				}
				questions, err := store.Questions(id)
				if err != nil {
					return err
				}
				questions = slices.DeleteFunc(questions, func(q replay.Question) bool { return q.Run.App != app || (gate != "" && q.Gate != gate) })
				if len(questions) == 0 {
					continue
				}
				told.Runs++
				ended := endOf(ctx, records, id)
				for i, question := range questions {
					one := asking.again(ctx, question, filepath.Join(scratch, fmt.Sprintf("%s-%d", id, i)))
					one.Ended = ended
					if one.WouldBlock && blocksNothing(fitted, question) {
						one.WouldBlock, one.Tells = false, true
					}
					told.add(one)
				}
			}
			return nil
		})
	})
	return told, errors.Join(err, ctx.Err())
}

// blocksNothing reports whether the pipeline as it is now only listens to the gate in the environment of the run. A gate that
// it does not ask is one that is tried before it counts.
func blocksNothing(pipeline pipelines.Pipeline, question replay.Question) bool {
	fitted, err := pipeline.For(question.Run.Environment)
	if err != nil {
		fitted = &pipeline // the environment is gone
	}
	at := slices.IndexFunc(fitted.Gates, func(ref pipelines.GateRef) bool { return ref.Gate == question.Gate })
	return at >= 0 && (fitted.Gates[at].DryRun || fitted.Gates[at].Enforcement == pipelines.Advisory)
}

func (b *backtest) add(one backtested) {
	one.FalseAlarm = one.WouldBlock && one.Ended == ExitDone.Outcome()
	switch {
	case one.NotAsked != "":
		b.NotAsked++
	default:
		b.Asked++
	}
	if one.WouldBlock {
		b.WouldBlock++
	}
	if one.FalseAlarm {
		b.FalseAlarms++
	}
	b.Questions = append(b.Questions, one)
}

// endOf is how a run ended, as far as that is on record.
func endOf(ctx context.Context, records []*ledger.Ledger, id string) string {
	for _, record := range records {
		if run, err := record.Run(ctx, id); err == nil {
			return run.State
		}
	}
	return ""
}

// backtesting is one backtest.
type backtesting struct {
	host    *gatehost.Host
	store   *replay.Store
	config  json.RawMessage // nil asks with the config of the run
	folder  string          // of the app
	scratch string
	sources map[string]source // by digest
}

// source is a run's source as git still has it.
type source struct {
	dir string
	why string // why it is not there
}

// again puts one question to the gate as it is now.
func (b *backtesting) again(ctx context.Context, question replay.Question, dir string) backtested {
	told := backtested{Run: question.Run.ID, Asked: question.Asked, Gate: question.Gate, Then: question.Outcome}
	info, err := b.host.Describe(ctx, question.Gate)
	if err != nil {
		told.NotAsked = "the gate cannot be described: " + err.Error()
		return told
	}
	sameSet := info.SetDigest == question.SetDigest
	if told.NotAsked = notReplayable(info.Description, question, sameSet); told.NotAsked != "" {
		return told
	}
	request, err := b.restore(ctx, info.Description, question, dir)
	if err != nil {
		told.NotAsked = err.Error()
		return told
	}
	verdict := b.host.Evaluate(ctx, question.Gate, request, nil)
	// The same gate with the same config must say the same, else it saw then what is not kept.
	if sameSet && verdict.Outcome != question.Outcome {
		told.NotAsked = fmt.Sprintf("with the config of then it answers %s, and answered %s: %s", verdict.Outcome, question.Outcome, verdict.Summary)
		return told
	}
	if b.config != nil {
		request.Config = b.config
		verdict = b.host.Evaluate(ctx, question.Gate, request, nil)
	}
	told.Now, told.Summary, told.WouldBlock = verdict.Outcome, verdict.Summary, !verdict.Outcome.Allows()
	return told
}

// restore makes the request of a question from what is kept, in dir.
func (b *backtesting) restore(ctx context.Context, description gates.Description, question replay.Question, dir string) (gates.Request, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return gates.Request{}, err
	}
	request, err := b.store.Restore(question, dir)
	if err != nil || !description.Needs.Source {
		return request, err
	}
	found := b.source(ctx, question.Run)
	if found.why != "" {
		return request, errors.New(found.why)
	}
	request.SourceDir = found.dir
	return request, nil
}

// source writes the source of a run from the commit, once for each digest. It must be exactly what the run saw.
func (b *backtesting) source(ctx context.Context, of gates.Run) source {
	if found, known := b.sources[of.SourceDigest]; known {
		return found
	}
	found := source{dir: filepath.Join(b.scratch, fmt.Sprintf("source-%d", len(b.sources)))}
	switch {
	case of.Commit == "":
		found.why = "it reads the source, and that was in no commit"
	default:
		err := os.Mkdir(found.dir, 0o700)
		if err == nil {
			err = snapshot.WriteCommit(ctx, b.folder, of.Commit, found.dir)
		}
		var taken *snapshot.Snapshot
		if err == nil {
			taken, err = snapshot.Take(ctx, found.dir, snapshot.Options{})
		}
		switch {
		case err != nil:
			found.why = fmt.Sprintf("it reads the source, and commit %.12s is not to be had: %v", of.Commit, err)
		case taken.Digest != of.SourceDigest:
			found.why = fmt.Sprintf("it reads the source, which had changes besides commit %.12s that are not kept", of.Commit)
		}
	}
	b.sources[of.SourceDigest] = found
	return found
}

// notReplayable says what a gate needs that is not kept; "" when all that it needs may be. The history goes on, so a gate
// that may look at it is asked again only where its answer can be compared with the one of then.
func notReplayable(description gates.Description, question replay.Question, sameSet bool) string {
	var needs []string
	for _, need := range []struct {
		it   bool
		what string
	}{
		{description.Needs.History && !sameSet, "the git history as it was then"},
		{description.Needs.Version, "the version that ran then"},
		{len(description.Needs.Hosts) > 0, "the network as it was then"},
		{len(description.Needs.Secrets) > 0, "secrets"},
	} {
		if need.it {
			needs = append(needs, need.what)
		}
	}
	switch {
	case len(needs) > 0:
		return "it needs " + list(needs) + ", which is not kept"
	case len(question.Omitted) > 0:
		return strings.Join(question.Omitted, "; ")
	default:
		return ""
	}
}

func showBacktest(streams *Streams, told backtest) error {
	if told.Runs == 0 {
		_, err := fmt.Fprintln(streams.Out, "no earlier run of this app is kept; `penstock check` and `penstock deploy --env local` keep what their gates are asked")
		return err
	}
	rows := [][]string{{"RUN", "ENDED", "GATE", "THEN", "NOW", ""}}
	unasked := map[string]int{}
	for _, one := range told.Questions {
		if one.NotAsked != "" {
			unasked[one.Gate+": "+one.NotAsked]++
			continue
		}
		mark := ""
		switch {
		case one.FalseAlarm:
			mark = "would have blocked a run that went well: " + one.Summary
		case one.Tells:
			mark = "would have said no, and blocks nothing: " + one.Summary
		case one.WouldBlock && !one.Then.Allows():
			mark = "as then: " + one.Summary
		case one.WouldBlock:
			mark = "would have blocked: " + one.Summary
		}
		rows = append(rows, []string{one.Run, one.Ended, one.Gate, string(one.Then), string(one.Now), mark})
	}
	if err := streams.tabulate(rows); err != nil {
		return err
	}
	for _, why := range slices.Sorted(maps.Keys(unasked)) {
		if _, err := fmt.Fprintf(streams.Out, "not asked again (%d): %s\n", unasked[why], why); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(streams.Out, "%s, %s put again: %d would have blocked, %d of them runs that went well\n",
		gates.Counted(told.Runs, "run"), gates.Counted(told.Asked, "question"), told.WouldBlock, told.FalseAlarms)
	return err
}
