package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Session runs the stages of one run. [Executor.Open] makes it. It implements [engine.OutputReader] and [Explainer].
type Session struct {
	executor    *Executor
	pipeline    *pipelines.Pipeline
	source      *snapshot.Snapshot
	state       string
	folder      *runfolder.Folder
	environment *environment
	tools       map[string]tool
	cache       *cache
	trees       *treeStore
	inputs      *inputs.Sets
	last        *lastrun.Runs
	mirror      *inputs.Mirror
	mark        string
	count       atomic.Int64 // stage runs so far

	minderOnce sync.Once
	minder     *minder
	minderErr  error

	mu       sync.Mutex
	names    map[string]int        // runs of stages, by the name of their folder
	jobs     map[string]engine.Job // how to make a stage's outputs again
	redone   map[string]*redone    // by stage
	programs bool                  // a program was started
}

var (
	_ engine.Session      = (*Session)(nil)
	_ engine.OutputReader = (*Session)(nil)
	_ engine.SourceReader = (*Session)(nil)
)

// Run runs one stage, or answers with its known result.
func (s *Session) Run(ctx context.Context, job engine.Job) (engine.Result, error) {
	started := time.Now()
	s.mu.Lock()
	s.jobs[job.Stage.Name] = job
	s.mu.Unlock()
	p, set, err := s.partsOf(job)
	if err != nil {
		return engine.Result{}, err
	}
	key := p.Key()
	cacheable := len(job.Env) == 0 && job.Stage.When != pipelines.WhenSmoke
	var damage error
	if cacheable && !job.NoCache {
		var result *engine.Result
		if result, damage = s.recall(job, key); result != nil {
			result.Duration = time.Since(started)
			if !isResult(s.last.Of(job.Stage.Name), job.Stage, key) { // which keeps its time
				s.last.Record(job.Stage.Name, &lastrun.Run{Key: key, Parts: p, Outcome: event.Passed, Time: started}, set)
			}
			return *result, nil
		}
	}
	why := s.whyRun(job, p, set, cacheable, damage)
	result, bare, err := s.execute(ctx, job, key, p, set, cacheable)
	result.Key = key
	if result.Why == "" {
		result.Why = why
	}
	if cacheable && ctx.Err() == nil {
		outcome := result.Outcome
		if err != nil {
			outcome = event.Errored
		}
		s.last.Record(job.Stage.Name, &lastrun.Run{
			Key: key, Parts: p, Outcome: outcome, Time: started, Bare: bare, Root: result.Root, Missing: result.Missing,
		}, set)
	}
	return result, err
}

func (s *Session) whyRun(job engine.Job, p lastrun.Parts, set *inputs.Set, cacheable bool, damage error) string {
	switch {
	case damage != nil:
		return damage.Error() + ", so it runs again"
	case !cacheable:
		return "runs every time"
	case job.NoCache:
		return "run without the cache"
	default:
		return s.last.WhyNot(job.Stage.Name, p, set, gone)
	}
}

// execute runs a stage and keeps what it left. bare says that it needed and left nothing.
func (s *Session) execute(
	ctx context.Context, job engine.Job, key string, p lastrun.Parts, set *inputs.Set, cacheable bool,
) (_ engine.Result, bare bool, _ error) {
	run := s.newStageRun(job, set)
	defer run.workspace.discard()
	result, err := run.run(ctx)
	if err != nil || result.Outcome == event.Cancelled {
		return result, false, run.clean(err)
	}
	if err := run.collectReports(&result); err != nil {
		return result, false, run.clean(err)
	}
	if result.Outcome != event.Passed {
		return result, false, nil
	}
	if err := s.collectOutputs(ctx, run, &result); err != nil {
		return result, false, run.clean(err)
	}
	bare = !run.workspace.made() && result.Log == "" && len(result.Missing) == 0 && job.Stage.MaxAge == 0
	if cacheable && !bare {
		if err := s.remember(&result, key, p); err != nil {
			// The stage has passed; that its result is not kept costs the next run time.
			result.Why = run.redactor.String("passed, and could not be cached: " + err.Error())
		}
	}
	return result, bare, nil
}

// clean takes secrets out of an error's text. The error's own kind is lost only where there was a secret in it.
func (r *stageRun) clean(err error) error {
	if err == nil || r.redactor.Empty() {
		return err
	}
	if text := r.redactor.String(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

func (s *Session) collectOutputs(ctx context.Context, run *stageRun, result *engine.Result) error {
	outputs := run.job.Stage.Outputs
	if len(outputs) == 0 {
		return nil
	}
	if !run.workspace.made() {
		// Nothing was started that could have left them; an input may be declared as an output all the same.
		if err := run.workspace.prepare(ctx); err != nil {
			return err
		}
	}
	t, missing, err := s.trees.collect(ctx, run.workspace.root, outputs)
	if err != nil {
		return fmt.Errorf("keep the outputs of stage %s: %w", run.job.Stage.Name, err)
	}
	result.Missing = append(result.Missing, missing...)
	if t != nil {
		result.Handle, result.OutputDigest = t.digest, "sha256:"+t.digest
		s.cache.stored.Add(t.size)
	}
	return nil
}

// remember puts a passed result into the cache. One without all its outputs and reports is no result to build upon: what
// kept it from leaving them may be gone the next time.
func (s *Session) remember(result *engine.Result, key string, p lastrun.Parts) error {
	if len(result.Missing) > 0 {
		return nil
	}
	e := &entry{
		Stage: result.Stage, Key: key, Made: time.Now(), Duration: result.Duration, Root: result.Root, Parts: p,
		Missing: result.Missing, Tree: result.Handle, OutputDigest: result.OutputDigest,
	}
	if result.Log != "" || len(result.Reports) > 0 {
		e.Blobs = fmt.Sprintf("%s-%d", s.folder.ID, s.count.Load())
		e.Blobs += "-" + runfolder.FileName(result.Stage)
	}
	if result.Log != "" {
		b, err := s.cache.keepBlob(e, result.Log, "", "log")
		if err != nil {
			return err
		}
		e.Log = &b
	}
	for _, report := range result.Reports {
		b, err := s.cache.keepBlob(e, report.Path, report.Kind, filepath.Base(report.Path))
		if err != nil {
			return err
		}
		e.Reports = append(e.Reports, b)
	}
	return s.cache.put(e)
}

// recall answers with the known result of a key, if there is one that is whole. damage says why one that was there is of
// no use.
func (s *Session) recall(job engine.Job, key string) (result *engine.Result, damage error) {
	if last := s.last.Of(job.Stage.Name); isResult(last, job.Stage, key) {
		return &engine.Result{
			Stage: job.Stage.Name, Outcome: event.Passed, Cached: true, Why: unchangedSince(last.Time), Key: key, Root: last.Root,
		}, nil
	}
	e, err := s.cache.lookup(key)
	if err == nil && e != nil {
		err = s.usable(job.Stage, e)
	}
	if err == nil && e != nil {
		result, err = s.restore(job, e)
	}
	if err != nil {
		s.cache.drop(key)
		return nil, err
	}
	return result, nil
}

// usable reports why an entry is of no use: something of it is missing, or it is too old for the stage. The files of its
// outputs are looked at when they are used.
func (s *Session) usable(stage *pipelines.Stage, e *entry) error {
	if stage.MaxAge > 0 {
		age := time.Since(e.Made)
		if age < 0 {
			return errors.New("the known result is from the future, and the stage's results grow old")
		}
		if age > stage.MaxAge {
			return fmt.Errorf("the known result is %s old, and at most %s are allowed", gates.Span(age), gates.Span(stage.MaxAge))
		}
	}
	if e.Tree != "" && !s.trees.has(e.Tree) {
		return errors.New("the outputs of the known result are gone")
	}
	return nil
}

// restore brings an entry's log and reports into this run's folder, where they stay whatever happens to the cache.
func (s *Session) restore(job engine.Job, e *entry) (*engine.Result, error) {
	result := &engine.Result{
		Stage: job.Stage.Name, Outcome: event.Passed, Cached: true, Why: unchangedSince(e.Made),
		Key: e.Key, OutputDigest: e.OutputDigest, Handle: e.Tree, Root: e.Root, Missing: e.Missing,
	}
	name := s.nameFolder(job.Stage.Name)
	if e.Log != nil {
		result.Log = filepath.Join(s.folder.Keep, "logs", name+".log")
		if err := s.cache.takeBlob(e, e.Log, result.Log); err != nil {
			return nil, err
		}
	}
	for i := range e.Reports {
		to := filepath.Join(s.folder.Keep, "reports", name, e.Reports[i].Name)
		if err := s.cache.takeBlob(e, &e.Reports[i], to); err != nil {
			return nil, err
		}
		result.Reports = append(result.Reports, gates.Report{Kind: e.Reports[i].Kind, Stage: job.Stage.Name, Path: to, Root: e.Root})
	}
	return result, nil
}

// linkOutputs puts a stage's outputs into a folder. Outputs that were changed in the store since are made again.
func (s *Session) linkOutputs(ctx context.Context, result engine.Result, into string) error {
	if result.Handle == "" {
		return nil
	}
	return s.withOutputs(ctx, result, func(handle string) error { return s.trees.link(ctx, handle, into) })
}

// OutputPath returns the path of one declared output in the store, after comparing its content with its digest. It must
// not be written to.
func (s *Session) OutputPath(ctx context.Context, result engine.Result, output string) (string, error) {
	clean, err := outputPath(output)
	if err != nil {
		return "", err
	}
	if result.Handle == "" {
		return "", fmt.Errorf("stage %s left no outputs", result.Stage)
	}
	path := ""
	err = s.withOutputs(ctx, result, func(handle string) error {
		t, err := s.trees.load(handle)
		if err != nil {
			return err
		}
		if !t.holds(filepath.ToSlash(clean)) {
			return fmt.Errorf("stage %s left no output %s", result.Stage, output)
		}
		path = s.trees.file(handle, filepath.ToSlash(clean))
		return s.trees.verify(ctx, handle, filepath.ToSlash(clean))
	})
	return path, err
}

// withOutputs uses a stage's outputs, and once more after making them again when they turn out to be damaged.
func (s *Session) withOutputs(ctx context.Context, result engine.Result, use func(handle string) error) error {
	handle, made := s.current(result)
	err := use(handle)
	var damage *damagedError
	if !errors.As(err, &damage) {
		return err
	}
	fresh, redoErr := s.redo(ctx, result, made, damage)
	if redoErr != nil {
		return redoErr
	}
	return use(fresh)
}

// current is the handle under which a stage's outputs are to be had now, and how often they were made again.
func (s *Session) current(result engine.Result) (handle string, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if again := s.redone[result.Stage]; again != nil && again.made > 0 {
		return again.handle, again.made
	}
	return result.Handle, 0
}

// redone is a stage's outputs that had to be made again. The stage may have made the very same, so that the handle does not tell.
type redone struct {
	making sync.Mutex // held while they are made
	handle string     // guarded, as made is, by the session's mu
	made   int
}

// redo drops a damaged tree and runs its stage again, unless another stage that needs it has done so since they were made so
// many times.
func (s *Session) redo(ctx context.Context, of engine.Result, made int, damage *damagedError) (string, error) {
	stage := of.Stage
	// One lock for each stage: a stage that is run again may find what it needs damaged too.
	s.mu.Lock()
	if s.redone[stage] == nil {
		s.redone[stage] = &redone{}
	}
	again := s.redone[stage]
	s.mu.Unlock()
	again.making.Lock()
	defer again.making.Unlock()
	handle, now := s.current(of)
	if now != made {
		return handle, nil // somebody else was first
	}
	s.mu.Lock()
	job, known := s.jobs[stage]
	s.mu.Unlock()
	if !known {
		return "", fmt.Errorf("%w; run again with --no-cache", damage)
	}
	s.trees.drop(handle)
	job.NoCache = true
	if job.Output != nil {
		job.Output(fmt.Sprintf("penstock: %v, so %s runs again", damage, stage), true)
	}
	p, set, err := s.partsOf(job)
	if err != nil {
		return "", err
	}
	result, _, err := s.execute(ctx, job, p.Key(), p, set, true)
	if err != nil {
		return "", fmt.Errorf("%w; make them again: %w", damage, err)
	}
	if result.Outcome != event.Passed || result.Handle == "" {
		return "", fmt.Errorf("%w, and stage %s, run again to make them anew, %s", damage, stage, result.Outcome)
	}
	s.mu.Lock()
	again.handle, again.made = result.Handle, made+1
	s.mu.Unlock()
	return result.Handle, nil
}

// SourceDir returns a folder with the snapshot as the run was started with, to be read only, until Close.
func (s *Session) SourceDir(ctx context.Context) (string, error) { return s.mirror.Path(ctx) }

// nameFolder makes a name for the folder of one run of a stage: the stage's own, and with a number when it runs again in
// this session (retries, smoke after the switch).
func (s *Session) nameFolder(stage string) string {
	name := runfolder.FileName(stage)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name]++
	if n := s.names[name]; n > 1 {
		return fmt.Sprintf("%s~%d", name, n)
	}
	return name
}

// startMinder is called before every program, and starts the minder before the first.
func (s *Session) startMinder() (*minder, error) {
	s.minderOnce.Do(func() {
		s.minder, s.minderErr = startMinder(s.executor.options.Minder, s.mark)
		s.mu.Lock()
		s.programs = true
		s.mu.Unlock()
	})
	return s.minder, s.minderErr
}

// Close ends what stages left running, writes what the next run wants to know, and removes the workspaces.
func (s *Session) Close(ctx context.Context) error {
	var err error
	if s.ranPrograms() {
		err = killMarked(ctx, s.mark, nil)
	}
	s.minder.close()
	// A later run explains less without these, and nothing else.
	_ = s.last.Save()
	s.folder.Close()
	return errors.Join(err, s.cache.close())
}

func (s *Session) ranPrograms() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.programs
}
