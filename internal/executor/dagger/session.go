package dagger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	mirror   *inputs.Mirror
	logs     *logStream
	spans    *stageSpans
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
	ctx, span := s.spans.start(ctx, job.Stage.Name)
	defer func() { s.spans.end(span, result, err) }()
	return s.run(ctx, job)
}

func (s *Session) run(ctx context.Context, job engine.Job) (engine.Result, error) {
	if err := checkPaths(job.Stage); err != nil {
		return engine.Result{}, err
	}
	set, err := s.inputs.Of(job.Stage.Inputs)
	if err != nil {
		return engine.Result{}, fmt.Errorf("select the inputs of stage %s: %w", job.Stage.Name, err)
	}
	key := keyOf(job, set)
	cacheable := len(job.Env) == 0 && job.Stage.When != pipelines.WhenSmoke
	run := s.newStageRun(job, set, key)
	defer run.discard()
	why := "the engine knew no result for these inputs"
	switch {
	case !cacheable:
		why = "runs every time"
	case job.NoCache:
		why = "run without the cache"
	}
	if !cacheable || job.NoCache {
		return run.finish(ctx, why)(run.attempt(ctx, "only "+s.executor.options.Word()))
	}
	for number := range chain {
		salt := strconv.Itoa(number) + age(job.Stage, time.Now())
		result, err := run.attempt(ctx, salt)
		if err != nil || !run.left.known || result.Outcome == event.Cancelled {
			return run.finish(ctx, why)(result, err)
		}
		if result.Outcome == event.Passed && len(result.Missing) == 0 {
			result.Cached = true
			return run.finish(ctx, "inputs unchanged since "+run.left.began.Local().Format("2006-01-02 15:04:05"))(result, nil)
		}
		why = "the known result is no pass, so it runs again"
	}
	return run.finish(ctx, why)(run.attempt(ctx, "only "+s.executor.options.Word()))
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
		copied = &exportedOutput{to: filepath.Join(s.folder.Work, "outputs", strconv.Itoa(len(s.exported)), filepath.FromSlash(clean))}
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

// keyOf names a stage with all on which its result depends, as the host executor's key does: not secrets' values. The
// engine makes its own key, of the container; this one is for the record.
func keyOf(job engine.Job, set *inputs.Set) string {
	hash := sha256.New()
	put := func(parts ...string) {
		for _, part := range parts {
			fmt.Fprintf(hash, "%d:%s", len(part), part)
		}
		fmt.Fprintln(hash)
	}
	stage := job.Stage
	put("dagger 1", stage.Name, stage.Image, set.Digest)
	put(stage.Run...)
	put(stage.Outputs...)
	for _, report := range stage.Reports {
		put("report", string(report.Kind), report.Path)
	}
	for _, name := range sortedKeys(stage.Env) {
		put("env", name, stage.Env[name])
	}
	put(stage.Secrets...)
	for _, need := range job.Needs {
		put("need", need.Stage, need.OutputDigest, need.Key)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// errNoAnswer is for a container that ended and did not say how.
var errNoAnswer = errors.New("the container ended without saying how the stage went")
