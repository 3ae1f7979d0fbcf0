package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// Bounds of the kit. They are generous: a machine may be busy, and none of them is what a good set takes.
const (
	patience     = 30 * time.Second       // one question
	letGo        = 5 * time.Second        // for a gate to stop once its question is withdrawn
	beforeRecall = 200 * time.Millisecond // how long a question stands before it is withdrawn
	atOnce       = 4                      // how often the same question is put side by side
)

// Options say how a set is tried.
type Options struct {
	// Configs give gates the config to be asked with, by name. A gate without one is asked with the least that its own
	// schema allows.
	Configs map[string]json.RawMessage
	// ScratchDir is where folders of the trial are made; the system's temporary one when empty.
	ScratchDir string
	// Limits are the host's; zero values mean the host's own.
	Limits host.Limits
}

// kit is one trial.
type kit struct {
	options Options
	ref     host.PluginRef
	host    *host.Host
	source  string // an empty folder, for gates that read the source
	report  Report
}

// Run tries the set that ref pins. A set that does not conform is a report, not an error: an error means that it could not
// be tried at all. It leaves no process and no file behind.
func Run(ctx context.Context, ref host.PluginRef, options Options) (report Report, err error) {
	scratch, err := os.MkdirTemp(options.ScratchDir, "conformance-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder to try the gate set %s: %w", ref.Set, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	k := &kit{options: options, ref: ref, source: filepath.Join(scratch, "source"), report: Report{Set: ref.Set, Digest: "sha256:" + ref.Pin.SHA256}}
	if err := os.Mkdir(k.source, 0o700); err != nil {
		return Report{}, fmt.Errorf("make a folder to try the gate set %s: %w", ref.Set, err)
	}
	limits := options.Limits
	if limits.Evaluate == 0 {
		limits.Evaluate = patience
	}
	if limits.Starts == 0 {
		limits.Starts = 1000 // it is ended on purpose, to see all that it printed
	}
	k.host = host.New(host.Options{Sets: []host.PluginRef{ref}, ScratchDir: filepath.Join(scratch, "host"), Limits: limits})
	defer func() { k.add(k.stopped(ctx)); report = k.report }()

	k.add(k.byHand(ctx))
	info, started := k.start(ctx)
	k.add(started)
	if started.State == Failed {
		return k.report, ctx.Err()
	}
	for _, description := range info.Gates {
		k.try(ctx, description)
	}
	return k.report, ctx.Err()
}

func (k *kit) add(results ...Result) { k.report.Results = append(k.report.Results, results...) }

func passed(check, detail string, args ...any) Result {
	return Result{Check: check, State: Passed, Detail: fmt.Sprintf(detail, args...)}
}

func failed(check, nextStep, detail string, args ...any) Result {
	return Result{Check: check, State: Failed, Detail: fmt.Sprintf(detail, args...), NextStep: nextStep}
}

func notApplicable(check, why string) Result {
	return Result{Check: check, State: NotApplicable, Detail: why}
}

// byHand: a person who starts a set as a command must learn what it is, and a program must see that nothing was done.
func (k *kit) byHand(ctx context.Context) Result {
	const check = "started by hand"
	const next = "when PENSTOCK_GATES is not set, say on standard error what the program is, print nothing else, and exit with status 2 (gates.Serve does)"
	said, err := k.host.StartByHand(ctx, k.ref.Set)
	switch {
	case err != nil:
		return failed(check, "see what the message says", "it could not be started: %v", err)
	case said.ExitCode == -1:
		return failed(check, next, "it does not end by itself")
	case said.ExitCode != 2:
		return failed(check, next, "it exits with status %d, and 2 is wanted", said.ExitCode)
	case said.Stdout != "":
		return failed(check, next, "it prints on standard output: %.80q", said.Stdout)
	case strings.TrimSpace(said.Stderr) == "":
		return failed(check, next, "it says nothing on standard error")
	}
	return passed(check, "it says what it is and exits with status 2")
}

// start: handshake and Describe, in time.
func (k *kit) start(ctx context.Context) (host.SetInfo, Result) {
	const check = "start"
	began := time.Now()
	info, err := k.host.DescribeSet(ctx, k.ref.Set)
	if err != nil {
		result := failed(check, "see docs/gates.md, \"The wire\"; whatever the program prints goes to standard error", "%v", err)
		result.Output = k.host.OutputOf(err)
		return info, result
	}
	k.report.Version, k.report.SDK, k.report.Started, k.report.Sandbox = info.Version, info.SDKVersion, time.Since(began), info.Sandbox
	return info, passed(check, "version %s, gate SDK %s, %s", info.Version, info.SDKVersion, gates.Counted(len(info.Gates), "gate"))
}

// stopped: nothing of the set may outlive the host.
func (k *kit) stopped(ctx context.Context) Result {
	const check = "stop"
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := k.host.Close(ctx); err != nil {
		return failed(check, "do not leave the process group, and write only below TMPDIR", "%v", err)
	}
	return passed(check, "it ended with everything that it had started")
}

// try tries one gate.
func (k *kit) try(ctx context.Context, description gates.Description) {
	add := func(result Result) {
		result.Gate = description.Name
		k.add(result)
	}
	config, result := k.config(description)
	add(result)
	if result.State == Failed {
		return
	}
	request := k.about(description, config)
	name := k.ref.Set + "/" + description.Name

	first := k.host.Try(ctx, name, request)
	answer := k.answer(first)
	add(answer)
	if answer.State == Failed {
		return // the rest would fail for the same reason, and take as long each time
	}
	add(evidence(description, first))
	add(k.sameAgain(ctx, name, request, first))
	add(k.secrets(description, first))
	add(k.withdrawn(ctx, name, request))
}

// config: the schema must stand alone, refuse what it does not name, and allow a config that can be made up from it.
func (k *kit) config(description gates.Description) (json.RawMessage, Result) {
	const check = "config"
	if err := host.CheckSchema(description.Config); err != nil {
		return nil, failed(check, "mend the gate's config schema", "%v", err)
	}
	if _, err := host.CheckConfig(description.Config, json.RawMessage(`{"a-key-that-no-gate-has": true}`)); err == nil {
		return nil, failed(check, `say "additionalProperties": false`, "its schema allows a key that it does not name")
	}
	config, given := k.options.Configs[description.Name]
	if !given {
		config = leastConfig(description.Config)
	}
	accepted, err := host.CheckConfig(description.Config, config)
	if err != nil {
		return nil, failed(check, "give the gate a config to be tried with, or its schema \"default\" or \"examples\"", "%s is not what its schema allows: %v", config, err)
	}
	return accepted, passed(check, "its schema refuses unknown keys; asked with %s", accepted)
}

// about is a question about nothing: no stages, no reports, an empty source, a version that does not answer, and a value
// for every secret that the gate asks for.
func (k *kit) about(description gates.Description, config json.RawMessage) gates.Request {
	request := gates.Request{Phase: description.Phases[0], Config: config, SourceDir: k.source, Secrets: map[string]string{}}
	request.Run = gates.Run{
		ID: "01CONFORMANCE", App: "conformance", Environment: "test", SourceDigest: "sha256:" + strings.Repeat("0", 64),
		URL: "http://127.0.0.1:9", PublicURL: "http://127.0.0.1:9", // the discard port, where nobody listens
	}
	for _, secret := range description.Needs.Secrets {
		request.Secrets[secret] = "a-secret-of-the-conformance-kit-" + strings.ToLower(secret)
	}
	return request
}

// answer: one verdict, of this gate, about this question, in time, that holds together.
func (k *kit) answer(trial host.Trial) Result {
	const check = "answer"
	switch {
	case errors.Is(trial.Err, context.DeadlineExceeded):
		result := failed(check, "return soon after the context ends, and say what takes long with request.Progress", "it did not answer within %s", k.limit())
		result.Output = trial.Output
		return result
	case trial.Err != nil:
		result := failed(check, "answer each question with exactly one verdict", "%v", trial.Err)
		result.Output = trial.Output
		return result
	case !trial.Verdict.Outcome.Allows() && trial.Verdict.Outcome != gates.Pending && trial.Verdict.NextStep == "":
		return failed(check, "set Verdict.NextStep: what can a person do?", "it answers %s without a next step: %s", trial.Verdict.Outcome, trial.Verdict.Summary)
	}
	return passed(check, "%s: %s", trial.Verdict.Outcome, trial.Verdict.Summary)
}

func (k *kit) limit() time.Duration {
	if k.options.Limits.Evaluate != 0 {
		return k.options.Limits.Evaluate
	}
	return patience
}

// evidence: a gate that was shown nothing of what it reads cannot know that all is well.
func evidence(description gates.Description, trial host.Trial) Result {
	const check = "no evidence"
	var without []string
	if len(description.Reports) > 0 {
		without = append(without, "reports or stages")
	}
	if description.Needs.Version {
		without = append(without, "a version that answers")
	}
	if len(without) == 0 {
		return notApplicable(check, "it reads no reports and asks no version")
	}
	if trial.Verdict.Outcome.Allows() {
		return failed(check, "answer inconclusive when there is nothing to judge", "without %s it answers %s: %s",
			strings.Join(without, " and without "), trial.Verdict.Outcome, trial.Verdict.Summary)
	}
	return passed(check, "without %s it answers %s", strings.Join(without, " and without "), trial.Verdict.Outcome)
}

// sameAgain: a gate keeps nothing between questions, and is asked from several goroutines at once.
func (k *kit) sameAgain(ctx context.Context, name string, request gates.Request, first host.Trial) Result {
	const check = "asked again"
	trials := make(chan host.Trial, atOnce)
	for range atOnce {
		go func() { trials <- k.host.Try(ctx, name, request) }()
	}
	for range atOnce {
		trial := <-trials
		switch {
		case trial.Err != nil:
			result := failed(check, "let Evaluate be called from several goroutines at once", "asked %d times at once: %v", atOnce, trial.Err)
			result.Output = trial.Output
			return result
		case trial.Verdict.Outcome != first.Verdict.Outcome:
			return failed(check, "keep nothing between questions", "the same question is answered %s and then %s", first.Verdict.Outcome, trial.Verdict.Outcome)
		}
	}
	return passed(check, "%d times at once: %s each time", atOnce, first.Verdict.Outcome)
}

// secrets: what a gate was trusted with stays with it. The host removes it from what is shown; that is no excuse.
func (k *kit) secrets(description gates.Description, trial host.Trial) Result {
	const check = "secrets"
	switch {
	case len(description.Needs.Secrets) == 0:
		return notApplicable(check, "it asks for none")
	case len(trial.Leaked) > 0:
		return failed(check, "never put a secret into a verdict, a progress message or the output", "it says the value of %s", strings.Join(trial.Leaked, ", "))
	}
	return passed(check, "it says none of %s", strings.Join(slices.Sorted(slices.Values(description.Needs.Secrets)), ", "))
}

// withdrawn: who asks may change their mind, and the gate must not go on working.
func (k *kit) withdrawn(ctx context.Context, name string, request gates.Request) Result {
	const check = "withdrawn"
	seen, err := k.host.Withdraw(ctx, name, request, beforeRecall, letGo)
	switch {
	case err != nil:
		return failed(check, "return soon after the context ends, and keep serving", "%v", err)
	case seen.Answered:
		return notApplicable(check, fmt.Sprintf("it answers within %s, before a question can be withdrawn", beforeRecall))
	case !seen.LetGo:
		return failed(check, "return soon after the context ends", "it still works on a question %s after that was withdrawn", letGo)
	}
	return passed(check, "it stops working on a question that is withdrawn")
}
