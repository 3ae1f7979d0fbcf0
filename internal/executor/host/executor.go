package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/snapshot"
	"github.com/penstock-ci/penstock/pipelines"
)

// Options configure an [Executor]. StateDir must be set.
type Options struct {
	// StateDir is the folder for everything that is kept; see the package's documentation. It is made when missing.
	StateDir string
	// Parallelism bounds how many files are copied, linked and hashed at once; the number of processors when 0.
	Parallelism int
	// Minder is the command that runs [RunMinder]: this executable with a hidden argument. Without it, or on Windows where
	// a job object does its work, no minder is started; then a killed Penstock leaves the programs of its stages running.
	Minder []string
	// Environ is the environment of which stages get the few variables that they may have; the process's own when nil.
	Environ []string
	// Grace is how long interrupted programs have before they are killed; 5 seconds when 0.
	Grace time.Duration
	// CacheSize in bytes and CacheAge bound what is kept for later runs; 5 GiB and 30 days when 0.
	CacheSize int64
	CacheAge  time.Duration
	// LogLimit bounds one stage's log in bytes; 64 MiB when 0.
	LogLimit int64
}

// Executor runs stages as processes on this machine. Make it with [New]. Safe for concurrent use.
type Executor struct {
	options  Options
	killed   chan struct{}
	killOnce sync.Once
}

var _ engine.Executor = (*Executor)(nil)

// New makes an executor. It touches nothing until [Executor.Open].
func New(options Options) *Executor {
	if options.Parallelism <= 0 {
		options.Parallelism = runtime.GOMAXPROCS(0)
	}
	if options.Environ == nil {
		options.Environ = os.Environ()
	}
	if options.Grace <= 0 {
		options.Grace = 5 * time.Second
	}
	if options.CacheSize <= 0 {
		options.CacheSize = 5 << 30
	}
	if options.CacheAge <= 0 {
		options.CacheAge = 30 * 24 * time.Hour
	}
	if options.LogLimit <= 0 {
		options.LogLimit = 64 << 20
	}
	return &Executor{options: options, killed: make(chan struct{})}
}

// Name is "host".
func (*Executor) Name() string { return "host" }

// Kill takes the grace away from every stage that is being stopped, now and from now on: the second Ctrl-C. It does not
// stop stages by itself; their context does.
func (e *Executor) Kill() { e.killOnce.Do(func() { close(e.killed) }) }

// Open looks up every tool of every stage and prepares a run of p on the snapshot. The session is a [*Session].
func (e *Executor) Open(ctx context.Context, p *pipelines.Pipeline, source *snapshot.Snapshot) (engine.Session, error) {
	if e.options.StateDir == "" {
		return nil, errors.New("the host executor needs a state folder")
	}
	state, err := realFolder(e.options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	environment := newEnvironment(e.options.Environ, source.Root, state)
	tools, err := findTools(ctx, p.Stages, environment, filepath.Join(state, "cache"), source.Root)
	if err != nil {
		return nil, err
	}
	folder, err := runfolder.Open(state)
	if err != nil {
		return nil, err
	}
	cache, err := openCache(filepath.Join(state, "cache"), e.options)
	if err != nil {
		folder.Close()
		return nil, err
	}
	return &Session{
		executor: e, pipeline: p, source: source, state: state, folder: folder, environment: environment, tools: tools,
		cache: cache, trees: &treeStore{root: filepath.Join(cache.root, "trees"), parallelism: e.options.Parallelism},
		inputs: &inputs.Sets{Source: source}, last: lastrun.Open(cache.root, p.Name, source.Root),
		mirror: &inputs.Mirror{Source: source, Folder: filepath.Join(folder.Work, "source.snapshot"), Parallelism: e.options.Parallelism},
		mark:   newMark(), names: map[string]int{}, jobs: map[string]engine.Job{},
		redone: map[string]*redone{},
	}, nil
}

// realFolder makes the folder if need be and returns its path without links: programs that ask where they are get that one.
func realFolder(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(absolute, 0o755); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}
