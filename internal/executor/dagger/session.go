package dagger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"dagger.io/dagger"
	"dagger.io/dagger/engineconn"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/pipelines"
)

// Session runs the stages of one run. [Executor.Open] makes it. It implements [engine.OutputReader] and
// [engine.SourceReader].
type Session struct {
	executor *Executor
	pipeline *pipelines.Pipeline
	client   *dagger.Client
	conn     engineconn.EngineConn
	folder   *runfolder.Folder
	inputs   *inputs.Sets
	last     *lastrun.Runs
	mirror   *inputs.Mirror
	logs     *logStream
	spans    *listener
	word     string

	mu       sync.Mutex
	names    map[string]int             // runs of stages, by the name of their folder
	sources  map[string]*sourceFolder   // by the inputs' digest
	exported map[string]*exportedOutput // by handle and path
	ran      map[string]bool            // marks of what ran in this session and may be in the engine's cache since
}

var (
	_ engine.Session      = (*Session)(nil)
	_ engine.OutputReader = (*Session)(nil)
	_ engine.SourceReader = (*Session)(nil)
)

// chain bounds how many kept failures of the same stage are looked at before it runs under a number of its own.
const chain = 32

// Run runs one stage, or answers with the result that the engine knows.
func (s *Session) Run(ctx context.Context, job engine.Job) (result engine.Result, err error) {
	ctx, span := s.spans.startStage(ctx, job.Stage.Name)
	defer func() { s.spans.endStage(span, result, err) }()
	return s.run(ctx, job)
}

func (s *Session) run(ctx context.Context, job engine.Job) (engine.Result, error) {
	if err := checkPaths(job.Stage); err != nil {
		return engine.Result{}, err
	}
	parts, set, err := s.partsOf(job)
	if err != nil {
		return engine.Result{}, err
	}
	cacheable := len(job.Env) == 0 && job.Stage.When != pipelines.WhenSmoke
	run := s.newStageRun(job, set, parts.Key())
	defer run.discard()
	switch {
	case !cacheable:
		return run.finish("runs every time")(run.attempt(ctx, "only "+s.executor.options.Word()))
	case job.NoCache:
		result, err := run.finish("run without the cache")(run.attempt(ctx, "only "+s.executor.options.Word()))
		s.remember(ctx, run, parts, result, err)
		return result, err
	}
	result, err := s.known(ctx, run, s.last.WhyNot(job.Stage.Name, parts, set, gone))
	s.remember(ctx, run, parts, result, err)
	return result, err
}

// gone is why a stage runs when nothing changed.
const gone = "the engine does not have the result"

// known asks the engine for a result of the stage that is a pass, and has it run when there is none.
func (s *Session) known(ctx context.Context, run *stageRun, why string) (engine.Result, error) {
	stage := run.job.Stage
	for number := range chain {
		salt := strconv.Itoa(number) + age(stage, time.Now())
		result, err := run.attempt(ctx, salt)
		if err != nil || !run.left.known || result.Outcome == event.Cancelled {
			return run.finish(why)(result, err)
		}
		if result.Outcome == event.Passed && len(result.Missing) == 0 {
			result.Cached = true
			return run.finish("inputs unchanged since "+run.left.began.Local().Format("2006-01-02 15:04:05"))(result, nil)
		}
		if s.last.Of(stage.Name) == nil { // else why says more: what changed, or that the last run was no pass
			why = "the known result is no pass, so it runs again"
		}
	}
	return run.finish(why)(run.attempt(ctx, "only "+s.executor.options.Word()))
}

// age is a part of the salt that changes before a result is older than the stage allows. Counted in steps of the allowed
// age, not from the result on, a result is used for less than that, never for longer.
func age(stage *pipelines.Stage, now time.Time) string {
	if stage.MaxAge <= 0 {
		return ""
	}
	return " " + strconv.FormatInt(now.UnixNano()/int64(stage.MaxAge), 10)
}

// OutputPath copies one declared output, or what lies below one, out of the engine and returns its path.
func (s *Session) OutputPath(ctx context.Context, result engine.Result, output string) (string, error) {
	clean, err := localPath("output", output)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	copied := s.exported[result.Handle+"\x00"+clean]
	if copied == nil {
		to := filepath.Join(s.folder.Work, "outputs", strconv.Itoa(len(s.exported)), filepath.FromSlash(clean))
		copied = &exportedOutput{to: to, kept: &kept{filepath.Join(s.executor.options.StateDir, "dagger", "kept")}}
		s.exported[result.Handle+"\x00"+clean] = copied
	}
	s.mu.Unlock()
	return copied.path(ctx, s.client, result, clean)
}

// SourceDir returns a folder with the snapshot as the run was started with, to be read only, until Close.
func (s *Session) SourceDir(ctx context.Context) (string, error) { return s.mirror.Path(ctx) }

// Close ends the session with the engine and removes the copies of the source.
func (s *Session) Close(ctx context.Context) error {
	s.logs.close()
	s.spans.close(ctx)
	// A later run explains less without these, and nothing else.
	_ = s.last.Save()
	err := s.conn.Close()
	s.folder.Close()
	if err != nil {
		return fmt.Errorf("end the Dagger session: %w", err)
	}
	return nil
}

// sourceFolder is a set of inputs as files, from which they get into the engine. The engine knows them by their content.
type sourceFolder struct {
	once sync.Once
	path string
	err  error
}

// source returns the set as a directory of the engine.
func (s *Session) source(ctx context.Context, set *inputs.Set) (*dagger.Directory, error) {
	s.mu.Lock()
	folder := s.sources[set.Digest]
	if folder == nil {
		folder = &sourceFolder{path: filepath.Join(s.folder.Work, "inputs", fmt.Sprint(len(s.sources)))}
		s.sources[set.Digest] = folder
	}
	s.mu.Unlock()
	folder.once.Do(func() {
		// The copy is for the whole run; one stage's end must not spoil it for the others.
		ctx := context.WithoutCancel(ctx)
		if folder.err = os.MkdirAll(folder.path, 0o755); folder.err == nil {
			folder.err = s.mirror.Copy(ctx, set, folder.path)
		}
	})
	if folder.err != nil {
		return nil, fmt.Errorf("copy the inputs: %w", folder.err)
	}
	return s.client.Host().Directory(folder.path), nil
}

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

// first reports whether a mark is met for the first time in this session.
func (s *Session) first(mark string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.ran[mark]
	s.ran[mark] = true
	return !before
}

// checkPaths makes sure that what a stage declares lies within its folders.
func checkPaths(stage *pipelines.Stage) error {
	for _, output := range stage.Outputs {
		if _, err := localPath("output", output); err != nil {
			return err
		}
	}
	for _, report := range stage.Reports {
		if _, err := localPath("report", trimReports(report.Path)); err != nil {
			return fmt.Errorf("stage %s: %w or begin with %s", stage.Name, err, reportsPrefix)
		}
	}
	return nil
}

func localPath(kind, path string) (string, error) {
	clean := filepath.Clean(filepath.FromSlash(path))
	if !filepath.IsLocal(clean) || clean == "." {
		return "", fmt.Errorf("%s %q must be a file or folder within the app's folder", kind, path)
	}
	return filepath.ToSlash(clean), nil
}

// errNoAnswer is for a container that ended and did not say how.
var errNoAnswer = errors.New("the container ended without saying how the stage went")
