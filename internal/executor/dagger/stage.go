package dagger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/output"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/pipelines"
)

// stageRun is one stage running once, in as many attempts as the engine's cache makes necessary.
type stageRun struct {
	session  *Session
	job      engine.Job
	set      *inputs.Set
	key      string
	redactor *redact.Redactor
	name     string // of its folders
	folder   string // what it left, as files
	left     left
	started  time.Time
	warned   bool
}

func (s *Session) newStageRun(job engine.Job, set *inputs.Set, key string) *stageRun {
	hidden := map[string]string{"the session's word": s.word}
	for _, name := range job.Stage.Secrets {
		hidden[name] = job.Secrets[name]
	}
	name := s.nameFolder(job.Stage.Name)
	return &stageRun{
		session: s, job: job, set: set, key: key, redactor: redact.New(hidden), name: name,
		folder: filepath.Join(s.folder.Work, "left", name), started: time.Now(),
	}
}

func (r *stageRun) discard() { runfolder.RemoveAll(r.folder) }

// say tells people something on the stage's error output.
func (r *stageRun) say(format string, args ...any) {
	if r.job.Output != nil {
		r.job.Output("penstock: "+fmt.Sprintf(format, args...), true)
	}
}

// newStreams are the ways of the two outputs to people: secrets out, then line by line.
func (r *stageRun) newStreams() [2]io.WriteCloser {
	var mu sync.Mutex
	way := func(stderr bool) io.WriteCloser {
		cut := &output.Lines{Emit: func(line string) {
			if r.job.Output == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			r.job.Output(line, stderr)
		}}
		return &cleaned{r.redactor.Writer(cut), cut}
	}
	return [2]io.WriteCloser{way(false), way(true)}
}

// cleaned closes what it writes through from the front to the back.
type cleaned struct {
	io.WriteCloser
	lines *output.Lines
}

func (c *cleaned) Close() error { return errors.Join(c.WriteCloser.Close(), c.lines.Close()) }

// warn says once what this executor cannot do for the stage.
func (r *stageRun) warn() {
	if r.warned {
		return
	}
	r.warned = true
	for _, name := range r.redactor.Short() {
		r.say("the secret %s is shorter than %d characters and is not taken out of output; use a longer one", name, redact.MinLength)
	}
	if r.job.Stage.Network == pipelines.NetworkNone {
		r.say("this stage asks for no network; the Dagger executor cannot take it away")
	}
}

// attempt has the engine run the stage's container, or answer from its cache, and reads how the stage went.
func (r *stageRun) attempt(ctx context.Context, salt string) (engine.Result, error) {
	s := r.session
	result := engine.Result{Stage: r.job.Stage.Name, ExitCode: -1, Root: appDir, Key: r.key}
	mark := markOf(r.job.Stage.Name, r.key, salt)
	first := s.first(mark)
	container, err := s.container(ctx, r.job, r.set, mark)
	if err != nil {
		return result, err
	}
	r.warn()
	follower := s.logs.follow(mark, r.newStreams())
	defer s.logs.forget(mark, follower)
	runfolder.RemoveAll(r.folder)
	_, err = container.Directory(leftDir).Export(ctx, r.folder)
	if ctx.Err() != nil {
		result.Outcome = event.Cancelled
		return result, nil
	}
	if err != nil {
		return result, r.clean(fmt.Errorf("run stage %s in a container of %s: %w", r.job.Stage.Name, r.job.Stage.Image, plainer(err)))
	}
	if r.left, err = readLeft(r.folder, s.word); err != nil {
		return result, fmt.Errorf("stage %s: %w", r.job.Stage.Name, err)
	}
	if !first {
		r.left.known = true // this session's word, and all the same no new result
	}
	if err := r.readOutput(ctx, container, follower, &result); err != nil {
		return r.stopped(ctx, result, err)
	}
	if r.left.code < 0 {
		return result, fmt.Errorf("stage %s: %w", r.job.Stage.Name, errNoAnswer)
	}
	result.ExitCode, result.Outcome = r.left.code, event.Passed
	if r.left.code != 0 {
		result.Outcome = event.Failed
	}
	if err := r.collectReports(&result); err != nil {
		return result, err
	}
	if result.Outcome != event.Passed {
		return result, nil
	}
	if err := r.collectOutputs(ctx, container, &result); err != nil {
		return r.stopped(ctx, result, err)
	}
	return result, nil
}

// stopped tells a stopped run from an engine that could not answer.
func (r *stageRun) stopped(ctx context.Context, result engine.Result, err error) (engine.Result, error) {
	if ctx.Err() != nil {
		result.Outcome, result.ExitCode = event.Cancelled, -1
		return result, nil
	}
	return result, r.clean(err)
}

// finish completes a result: how long it took, why it is what it is.
func (r *stageRun) finish(why string) func(engine.Result, error) (engine.Result, error) {
	return func(result engine.Result, err error) (engine.Result, error) {
		result.Duration = time.Since(r.started)
		if result.Why == "" && err == nil && result.Outcome != event.Cancelled {
			result.Why = why
		}
		return result, err
	}
}

// clean takes secrets out of an error's text. The error's own kind is lost only where there was a secret in it.
func (r *stageRun) clean(err error) error {
	if text := r.redactor.String(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// plainer makes what the engine says about a container that it could not run readable: the command's own output is shown
// already.
func plainer(err error) error {
	var failed *dagger.ExecError
	if errors.As(err, &failed) {
		return fmt.Errorf("it ended with exit code %d before the stage was done (out of memory?): %w", failed.ExitCode, errNoAnswer)
	}
	return err
}

// markOf is the first line that a stage's container says, by which its output is known in the session's log.
func markOf(stage, key, salt string) string {
	sum := sha256.Sum256([]byte(key + "\x00" + salt))
	return "penstock: stage " + stage + " · " + hex.EncodeToString(sum[:8])
}

// readOutput writes the stage's whole output to its log, and shows what the log stream has not shown yet.
func (r *stageRun) readOutput(ctx context.Context, container *dagger.Container, follower *follower, result *engine.Result) error {
	all, err := container.CombinedOutput(ctx)
	if err != nil {
		return fmt.Errorf("read the output of stage %s: %w", r.job.Stage.Name, err)
	}
	log := &output.Log{Path: filepath.Join(r.session.folder.Keep, "logs", r.name+".log"), Limit: r.session.executor.options.LogLimit}
	clean := r.redactor.Writer(log)
	_, writeErr := io.WriteString(clean, withoutMark(all))
	closeErr := clean.Close()
	path, logErr := log.Close()
	if err := errors.Join(writeErr, closeErr, logErr); err != nil {
		return fmt.Errorf("write the log of stage %s: %w", r.job.Stage.Name, err)
	}
	result.Log = path
	if r.left.known {
		return nil
	}
	if follower.ended(ctx, outputWait) {
		return nil
	}
	// The stream broke off, or this engine has none.
	out, err := container.Stdout(ctx)
	if err != nil {
		return fmt.Errorf("read the output of stage %s: %w", r.job.Stage.Name, err)
	}
	errs, err := container.Stderr(ctx)
	if err != nil {
		return fmt.Errorf("read the error output of stage %s: %w", r.job.Stage.Name, err)
	}
	follower.rest(out, errs)
	return nil
}

// outputWait is how long the end of the log stream may lag behind the end of the stage.
const outputWait = 3 * time.Second

// withoutMark leaves out the line that is not the stage's.
func withoutMark(all string) string {
	before, after, found := strings.Cut(all, "\n")
	if strings.HasPrefix(before, "penstock: stage ") {
		return after
	}
	// What a program in the background says first is not at the end of its line; the mark is somewhere.
	if found {
		return before + "\n" + after
	}
	return all
}

// left is what a container tells of the stage that ran in it.
type left struct {
	known bool      // the result is of another session, or of before in this one
	code  int       // -1 when the stage's shell never came to an end
	began time.Time // by the engine's clock
	found map[string]string
}

func readLeft(folder, word string) (left, error) {
	l := left{code: -1, found: map[string]string{}}
	said, err := os.ReadFile(filepath.Join(folder, "word"))
	if err != nil {
		return l, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	l.known = string(said) != word
	if began, err := os.ReadFile(filepath.Join(folder, "began")); err == nil {
		if seconds, err := strconv.ParseInt(strings.TrimSpace(string(began)), 10, 64); err == nil {
			l.began = time.Unix(seconds, 0)
		}
	}
	if code, err := os.ReadFile(filepath.Join(folder, "code")); err == nil {
		if l.code, err = strconv.Atoi(strings.TrimSpace(string(code))); err != nil {
			return l, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
	}
	found, err := os.ReadFile(filepath.Join(folder, "found"))
	if err != nil && l.code >= 0 {
		return l, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	for line := range strings.Lines(string(found)) {
		if at := strings.LastIndexByte(strings.TrimSpace(line), ' '); at > 0 {
			l.found[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return l, nil
}

// collectReports brings the declared reports into the run's folder, without secrets. Reports that are not there are named
// in the result unless they are optional.
func (r *stageRun) collectReports(result *engine.Result) error {
	stage := r.job.Stage
	for i, report := range stage.Reports {
		switch r.left.found[fmt.Sprintf("report %d", i)] {
		case "kept":
			to := filepath.Join(r.session.folder.Keep, "reports", r.name, fmt.Sprintf("%d-%s", i, filepath.Base(trimReports(report.Path))))
			if err := r.keepReport(filepath.Join(r.folder, "reports", strconv.Itoa(i)), to); err != nil {
				return fmt.Errorf("keep the report %s of stage %s: %w", report.Path, stage.Name, err)
			}
			result.Reports = append(result.Reports, gates.Report{Kind: report.Kind, Stage: stage.Name, Path: to, Root: appDir})
		case "missing":
			if !report.Optional {
				result.Missing = append(result.Missing, report.Path)
			}
		case "outside":
			return fmt.Errorf("report %q of stage %s is a link that leads out of the stage's folders", report.Path, stage.Name)
		default:
			return fmt.Errorf("report %q of stage %s: %w", report.Path, stage.Name, errNoAnswer)
		}
	}
	return nil
}

func (r *stageRun) keepReport(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	runfolder.RemoveAll(to) // of an attempt before
	if err := inputs.CopyFile(from, to, 0o644); err != nil {
		return err
	}
	return r.redactor.File(to)
}

func trimReports(path string) string { return strings.TrimPrefix(path, reportsPrefix) }

// collectOutputs names what the stage left for others. It stays in the engine.
func (r *stageRun) collectOutputs(ctx context.Context, container *dagger.Container, result *engine.Result) error {
	stage := r.job.Stage
	var outputs []leftOutput
	digests := sha256.New()
	for i, declared := range stage.Outputs {
		clean, err := localPath("output", declared)
		if err != nil {
			return err
		}
		o, digest := leftOutput{Path: clean}, ""
		switch r.left.found[fmt.Sprintf("output %d", i)] {
		case "dir":
			o.Dir = true
			dir := container.Directory(appDir + "/" + clean)
			id, idErr := dir.ID(ctx)
			o.ID, err = string(id), idErr
			if err == nil {
				digest, err = dir.Digest(ctx)
			}
		case "file":
			file := container.File(appDir + "/" + clean)
			id, idErr := file.ID(ctx)
			o.ID, err = string(id), idErr
			if err == nil {
				digest, err = file.Digest(ctx)
			}
		case "missing":
			result.Missing = append(result.Missing, declared)
			continue
		default:
			err = errNoAnswer
		}
		if err != nil {
			return fmt.Errorf("output %s of stage %s: %w", declared, stage.Name, err)
		}
		outputs = append(outputs, o)
		fmt.Fprintf(digests, "%s\x00%s\n", clean, digest)
	}
	if len(outputs) == 0 {
		return nil
	}
	handle, err := json.Marshal(outputs)
	if err != nil {
		return fmt.Errorf("name the outputs of stage %s: %w", stage.Name, err)
	}
	result.Handle, result.OutputDigest = string(handle), "sha256:"+hex.EncodeToString(digests.Sum(nil))
	return nil
}
