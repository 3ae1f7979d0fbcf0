package dagger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"dagger.io/dagger"
	"dagger.io/dagger/engineconn"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Options configure an [Executor]. StateDir must be set.
type Options struct {
	// StateDir is the folder for logs, reports and copies of the source. It is made when missing.
	StateDir string
	// Parallelism bounds how many files are copied at once; the number of processors when 0.
	Parallelism int
	// LogLimit bounds one stage's log in bytes; 64 MiB when 0.
	LogLimit int64
	// Waiting is told what is waited for when no engine has answered for Patience; nobody is when nil. 10 s when 0.
	Waiting  func(what string)
	Patience time.Duration
	// Connect opens a session with an engine; when nil, [Connect] does.
	Connect func(ctx context.Context) (engineconn.EngineConn, error)
	// Word makes the word by which a session knows its own results; random when nil. For tests that replay a session.
	Word func() string
}

// Executor runs stages as containers. Make it with [New]. Safe for concurrent use.
type Executor struct{ options Options }

var _ engine.Executor = (*Executor)(nil)

// New makes an executor. It touches nothing until [Executor.Open].
func New(options Options) *Executor {
	if options.Parallelism <= 0 {
		options.Parallelism = runtime.GOMAXPROCS(0)
	}
	if options.LogLimit <= 0 {
		options.LogLimit = 64 << 20
	}
	if options.Connect == nil {
		options.Connect = Connect
	}
	if options.Patience <= 0 {
		options.Patience = 10 * time.Second
	}
	if options.Word == nil {
		options.Word = rand.Text
	}
	return &Executor{options: options}
}

// Name is "dagger".
func (*Executor) Name() string { return "dagger" }

// Connect finds an engine as every program with Dagger's SDK does: the session that this process runs in, else the Dagger
// CLI (of this SDK's version, which is fetched when _EXPERIMENTAL_DAGGER_CLI_BIN names none) with the engine that it is
// configured for, on this machine or elsewhere (_EXPERIMENTAL_DAGGER_RUNNER_HOST).
func Connect(ctx context.Context) (engineconn.EngineConn, error) {
	conn, err := engineconn.Get(ctx, &engineconn.Config{})
	if err != nil {
		return nil, fmt.Errorf("connect to a Dagger engine: %w", withoutProgress(err))
	}
	return conn, nil
}

// The SDK's error ends with all that the CLI printed: numbered lines of progress in colors, and its own error where it has one.
var (
	cliColor    = regexp.MustCompile("\x1b\\[[0-9;]*m")
	cliProgress = regexp.MustCompile(`(?s):\s+\d+ *: .*`)
	cliError    = regexp.MustCompile(`(?m)^Error: (.*?)(?: \[traceparent:\S*\])?$`)
)

// withoutProgress leaves of an error what it says.
func withoutProgress(err error) error {
	text := cliColor.ReplaceAllString(err.Error(), "")
	if said := cliError.FindStringSubmatch(text); said != nil {
		return errors.New(said[1])
	}
	if plain := cliProgress.ReplaceAllString(text, ""); plain != err.Error() {
		return errors.New(plain)
	}
	return err
}

// connect opens a session, and says so when that takes long: an engine that is not there does not refuse, it is waited for.
func (e *Executor) connect(ctx context.Context) (engineconn.EngineConn, error) {
	if e.options.Waiting != nil {
		late := time.AfterFunc(e.options.Patience, func() {
			engine := os.Getenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST")
			if engine == "" {
				engine = "that the Dagger CLI starts"
			}
			e.options.Waiting("waiting for the Dagger engine " + engine + ", which has not answered yet")
		})
		defer late.Stop()
	}
	type connected struct {
		conn engineconn.EngineConn
		err  error
	}
	answer := make(chan connected, 1)
	go func() {
		conn, err := e.options.Connect(ctx)
		answer <- connected{conn, err}
	}()
	select {
	case got := <-answer:
		return got.conn, got.err
	case <-ctx.Done(): // the SDK waits on for minutes
		go func() {
			if got := <-answer; got.err == nil {
				_ = got.conn.Close() // nobody wants it any more
			}
		}()
		return nil, ctx.Err()
	}
}

// NoImageError says which stages name no image to run in.
type NoImageError struct{ Stages []string }

// Error names the stages.
func (e *NoImageError) Error() string {
	return fmt.Sprintf("the Dagger executor needs an image for each stage, and there is none for %s", strings.Join(e.Stages, ", "))
}

// Open connects to an engine and prepares a run of p on the snapshot. The session is a [*Session]. What the stages need is
// in their images, so no tool is looked for.
func (e *Executor) Open(ctx context.Context, p *pipelines.Pipeline, source *snapshot.Snapshot) (engine.Session, error) {
	if e.options.StateDir == "" {
		return nil, errors.New("the Dagger executor needs a state folder")
	}
	var bare []string
	for i := range p.Stages {
		if p.Stages[i].Image == "" {
			bare = append(bare, p.Stages[i].Name)
		}
	}
	if len(bare) > 0 {
		return nil, &NoImageError{Stages: bare}
	}
	state, err := filepath.Abs(e.options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	client, err := dagger.Connect(ctx, dagger.WithConn(conn))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to a Dagger engine: %w", err), conn.Close())
	}
	folder, err := runfolder.Open(state)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &Session{
		executor: e, pipeline: p, client: client, conn: conn, folder: folder, word: e.options.Word(),
		inputs: &inputs.Sets{Source: source}, last: lastrun.Open(filepath.Join(state, "dagger"), p.Name, source.Root),
		mirror: &inputs.Mirror{Source: source, Folder: filepath.Join(folder.Work, "source.snapshot"), Parallelism: e.options.Parallelism},
		names:  map[string]int{}, sources: map[string]*sourceFolder{}, exported: map[string]*exportedOutput{}, ran: map[string]bool{},
	}
	s.logs = followLogs(conn)
	s.spans = findListener(ctx)
	return s, nil
}
