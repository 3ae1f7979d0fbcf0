package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
	"github.com/penstock-ci/penstock/internal/executor/output"
	"github.com/penstock-ci/penstock/internal/executor/runfolder"
	"github.com/penstock-ci/penstock/internal/executor/toolcache"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/pipelines"
)

const (
	// sweepAfter is how long a stage must have run for the process table to be searched at its end as a matter of course.
	// The search takes a few milliseconds; after shorter stages it waits for the end of the run.
	sweepAfter = 200 * time.Millisecond
	// hangUpTime is how long after its last command a stage waits for others to let go of its output.
	hangUpTime = 100 * time.Millisecond
)

// stageRun is one stage running once.
type stageRun struct {
	session   *Session
	job       engine.Job
	redactor  *redact.Redactor
	workspace *workspace
	family    *family
	log       *output.Log
	out, err  *stream
	started   time.Time
}

func (s *Session) newStageRun(job engine.Job, set *inputs.Set) *stageRun {
	n := s.count.Add(1)
	folder := s.nameFolder(job.Stage.Name)
	run := &stageRun{
		session: s, job: job, started: time.Now(),
		redactor: redact.New(s.hidden(job)),
		workspace: &workspace{
			session: s, job: job, set: set,
			home:    filepath.Join(s.folder.Work, folder),
			root:    filepath.Join(s.folder.Work, folder, "app"),
			temp:    filepath.Join(s.folder.Temp, fmt.Sprint(n)),
			reports: filepath.Join(s.folder.Work, folder, "reports"),
			kept:    filepath.Join(s.folder.Keep, "reports", folder),
		},
		family: &family{mark: fmt.Sprintf("%s%d.", s.mark, n), begin: s.startMinder},
		log:    &output.Log{Path: filepath.Join(s.folder.Keep, "logs", folder+".log"), Limit: s.executor.options.LogLimit},
	}
	var mu sync.Mutex
	run.out, run.err = run.newStream(&mu, false), run.newStream(&mu, true)
	return run
}

// newStream builds the way of one output: secrets out, then into the log, and line by line to the observer.
func (r *stageRun) newStream(mu *sync.Mutex, stderr bool) *stream {
	cut := &output.Lines{Emit: func(line string) {
		if r.job.Output == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		r.job.Output(line, stderr)
	}}
	return &stream{sink: &cleaned{r.redactor.Writer(io.MultiWriter(r.log, cut)), cut}}
}

// cleaned closes what it writes through from the front to the back.
type cleaned struct {
	io.WriteCloser
	lines *output.Lines
}

func (c *cleaned) Close() error { return errors.Join(c.WriteCloser.Close(), c.lines.Close()) }

// say tells people something on the stage's error output.
func (r *stageRun) say(format string, args ...any) {
	fmt.Fprintf(r.err, "penstock: "+format+"\n", args...)
}

// run runs the stage's commands and ends everything that they started.
func (r *stageRun) run(ctx context.Context) (engine.Result, error) {
	for _, name := range r.redactor.Short() {
		r.say("the secret %s is shorter than %d characters and is not taken out of output; use a longer one", name, redact.MinLength)
	}
	if r.job.Stage.Network == pipelines.NetworkNone {
		r.say("this stage asks for no network; the host executor cannot take it away")
	}
	result := engine.Result{Stage: r.job.Stage.Name, ExitCode: -1, Root: r.workspace.root}
	ended := make(chan struct{})
	stopped := make(chan error, 1)
	go func() { stopped <- r.stopWhenDone(ctx, ended) }()
	sh := &shell{workspace: r.workspace, family: r.family, variables: r.variables(), out: r.out, err: r.err}
	code, err := sh.run(ctx, r.job.Stage.Name, r.job.Stage.Run)
	close(ended)
	endErr := errors.Join(<-stopped, r.sweep(ctx))
	closeErr := errors.Join(r.out.close(), r.err.close())
	var logErr error
	result.Log, logErr = r.log.Close()
	result.Duration = time.Since(r.started)
	switch {
	case endErr != nil:
		return result, endErr
	case ctx.Err() != nil:
		result.Outcome = event.Cancelled
		return result, nil
	case err != nil:
		return result, err
	case closeErr != nil:
		return result, fmt.Errorf("read the output of stage %s: %w", r.job.Stage.Name, closeErr)
	case logErr != nil:
		return result, fmt.Errorf("write the log of stage %s: %w", r.job.Stage.Name, logErr)
	}
	result.ExitCode, result.Outcome = code, event.Passed
	if code != 0 {
		result.Outcome = event.Failed
	}
	return result, nil
}

// stopWhenDone waits for the script's end or for ctx, and then ends all processes: asked first, killed after the grace or
// at once when the executor is told to.
func (r *stageRun) stopWhenDone(ctx context.Context, ended <-chan struct{}) error {
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	r.family.close()
	r.family.interrupt()
	grace := time.NewTimer(r.session.executor.options.Grace)
	defer grace.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for waiting := true; waiting; {
		select {
		case <-look.C:
			// The script ends with the program that it waits for; others may still be putting things away.
			select {
			case <-ended:
				waiting = r.family.alive()
			default:
			}
		case <-grace.C:
			waiting = false
		case <-r.session.executor.killed:
			waiting = false
		}
	}
	return r.family.kill(context.WithoutCancel(ctx))
}

// sweep makes sure that nothing of the stage runs on. Output that somebody still holds open, a group with members, and the
// end of a longer stage are reasons to search the process table.
func (r *stageRun) sweep(ctx context.Context) error {
	if len(r.family.left()) == 0 {
		quiet := r.out.hangUp(hangUpTime) && r.err.hangUp(hangUpTime)
		if quiet && (!r.family.hasRun() || time.Since(r.started) < sweepAfter) {
			return nil
		}
	}
	if err := r.family.kill(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("end what stage %s left running: %w", r.job.Stage.Name, err)
	}
	r.out.hangUp(time.Second)
	r.err.hangUp(time.Second)
	return nil
}

// variables is the whole environment of the stage's commands.
func (r *stageRun) variables() []string {
	s, w := r.session, r.workspace
	all := map[string]string{
		"HOME": w.home, "TMPDIR": w.temp, "CI": "true", "NO_COLOR": "1",
		"PENSTOCK_REPORTS": w.reports, markVariable: r.family.mark,
		"PATH": filepath.Join(w.root, "node_modules", ".bin") + string(filepath.ListSeparator) + s.environment.path,
		// What corepack fetches is a tool, not the app's; without a shared folder every stage would fetch it again.
		"COREPACK_HOME": s.cacheFolder("corepack"), "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
	}
	if windowsHome {
		all["USERPROFILE"], all["APPDATA"], all["LOCALAPPDATA"] = w.home, w.home, w.home
		all["TEMP"], all["TMP"] = w.temp, w.temp
	}
	maps.Copy(all, s.environment.vars)
	for _, name := range r.job.Stage.Caches {
		for _, variable := range toolcache.Variables(name) {
			all[variable] = s.cacheFolder(name)
		}
	}
	maps.Copy(all, r.job.Stage.Env)
	maps.Copy(all, r.job.Env)
	for _, name := range r.job.Stage.Secrets {
		if value, ok := r.job.Secrets[name]; ok {
			all[name] = value
		}
	}
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// hidden are the values that must not be shown: the stage's secrets, and tokens that it gets from this process's
// environment.
func (s *Session) hidden(job engine.Job) map[string]string {
	if len(job.Stage.Secrets) == 0 && len(s.environment.secrets) == 0 {
		return nil
	}
	hidden := maps.Clone(s.environment.secrets)
	for _, name := range job.Stage.Secrets {
		hidden[name] = job.Secrets[name]
	}
	return hidden
}

// cacheFolder is where a tool's own cache lies, shared by all runs.
func (s *Session) cacheFolder(name string) string {
	return filepath.Join(s.state, "caches", runfolder.FileName(name))
}

// sizeOf returns a regular file's size, and whether there is one.
func sizeOf(path string) (int64, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}
