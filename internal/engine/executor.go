package engine

import (
	"context"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Executor is where stages run. An implementation is safe for concurrent use; several sessions may be open at once.
type Executor interface {
	// Name is "host" or "dagger".
	Name() string
	// Open prepares to run stages of p on the snapshot. Everything that p needs and this place lacks (a tool, a
	// version) is named in one error, a [*MissingToolsError], before anything runs.
	Open(ctx context.Context, p *pipelines.Pipeline, source *snapshot.Snapshot) (Session, error)
}

// Session runs the stages of one run.
type Session interface {
	// Run runs one stage whose needs have all passed, once. A command that exits with a code other than 0 is a result
	// with [event.Failed] and err == nil; err means that the executor could not find out.
	//
	// Output lines go to job.Output as they come. When ctx ends, the stage's processes are interrupted, then, after a
	// grace, killed with all their descendants before Run returns; the result is then [event.Cancelled].
	Run(ctx context.Context, job Job) (Result, error)
	// Close releases what the session holds. It is called once, after every Run has returned, with a context that
	// outlives the run's.
	Close(ctx context.Context) error
}

// Job is one stage to run.
type Job struct {
	Stage *pipelines.Stage
	// Needs are the results of the stages that it needs, directly or through others, in the order in which they were
	// reached. They are shared by all jobs and must not be changed.
	Needs []*Result
	// Env is added to the stage's own, for this run only: it is not part of the cache key, so a job with Env is never
	// cached.
	Env map[string]string
	// Secrets holds values for the names in Stage.Secrets.
	Secrets map[string]string
	// NoCache runs the stage even if its result is known.
	NoCache bool
	// Output is told of each line, from one goroutine at a time. Secrets' values have been taken out.
	Output func(line string, stderr bool)
}

// Result is how a stage went. Large trees do not travel: Handle names them within the executor.
type Result struct {
	Stage    string
	Outcome  event.Outcome
	ExitCode int // -1 when no command ended by itself
	TimedOut bool
	Duration time.Duration
	Cached   bool
	// Why explains the cache's decision in words: "inputs unchanged since …" or "src/index.ts changed".
	Why string
	// Key is the cache key, OutputDigest the digest over all outputs; both "sha256:…".
	Key          string
	OutputDigest string
	Log          string // path of the whole output on this machine
	Root         string // folder to which paths in logs and reports refer
	Reports      []gates.Report
	// Missing are the declared reports and outputs that the stage did not leave.
	Missing []string
	// Handle is what the executor needs to find the outputs again. Opaque to others.
	Handle string
}

// OutputReader is implemented by sessions that can hand out a stage's outputs as files.
type OutputReader interface {
	// OutputPath returns the path of one declared output of a finished stage, or of what lies below one, to be read only.
	OutputPath(ctx context.Context, result Result, output string) (string, error)
}

// SourceReader is implemented by sessions that can hand out the snapshot that the run works with as files.
type SourceReader interface {
	// SourceDir returns a folder with the snapshot's files and no others, to be read only, until the session is closed.
	SourceDir(ctx context.Context) (string, error)
}

// MissingToolsError says what the pipeline needs and this machine lacks.
type MissingToolsError struct {
	Missing []MissingTool
}

// MissingTool is one program that is absent or of the wrong version.
type MissingTool struct {
	Tool     pipelines.Tool
	Found    string // version found, "" when absent
	Stages   []string
	NextStep string
}

// Error lists every missing tool with its next step, one per line.
func (e *MissingToolsError) Error() string {
	text := "this machine lacks what the pipeline needs:"
	for _, missing := range e.Missing {
		text += "\n  " + missing.Tool.Name
		if missing.Tool.Version != "" {
			text += " " + missing.Tool.Version
		}
		if missing.Found != "" {
			text += " (found " + missing.Found + ")"
		}
		text += ": " + missing.NextStep
	}
	return text
}
