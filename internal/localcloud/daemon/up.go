package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud"
)

// Options says which local Cloudflare is wanted and how to start it.
type Options struct {
	// Dir is the folder with its state.
	Dir string
	// Exe and Args start a process that calls Serve, with its stdin as Lease and its stdout as Report. Exe empty: this
	// executable.
	Exe  string
	Args []string
	// Env is the environment of that process. Nil: this process's own.
	Env []string
	// KeepAlive keeps it running after this process, as Handle.Keep does later.
	KeepAlive bool
}

// Handle is a run's hold on a local Cloudflare. Methods are safe for concurrent use.
type Handle struct {
	Info localcloud.Info
	// StartedByUs is false when one was running already.
	StartedByUs bool

	lease   io.Closer // ends the hold when closed
	keep    func(context.Context) error
	kept    atomic.Bool
	release sync.Once
	gone    <-chan struct{} // closed when a process that we started has ended; nil otherwise
}

// Keep lets it live on after this run, until Down.
func (h *Handle) Keep(ctx context.Context) error {
	if err := h.keep(ctx); err != nil {
		return fmt.Errorf("keep the local cloudflare running: %w", err)
	}
	h.kept.Store(true)
	return h.Close(ctx)
}

// Close ends the hold; to end it twice is no error. When nobody else holds it and nobody said Keep, the local Cloudflare
// stops; if this run had started it, Close returns when it has.
func (h *Handle) Close(ctx context.Context) (err error) {
	h.release.Do(func() { err = h.lease.Close() })
	if h.gone == nil || h.kept.Load() || err != nil {
		return err
	}
	select {
	case <-h.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the local cloudflare to stop: %w", context.Cause(ctx))
	}
}

// errOvertaken says that another process took the folder between our look and our start.
var errOvertaken = errors.New("another local cloudflare has just been started for this folder")

// Up finds the local Cloudflare of a folder, or starts one, and returns when it answers. A start that fails gives the
// reason that the started process gave. When ctx ends first, what was started is stopped.
func Up(ctx context.Context, options Options) (*Handle, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder of the local cloudflare: %w", err)
	}
	for {
		handle, err := join(ctx, dir)
		if errors.Is(err, ErrNotRunning) {
			handle, err = start(ctx, dir, options)
		}
		if errors.Is(err, errOvertaken) && ctx.Err() == nil {
			continue
		}
		if err == nil && options.KeepAlive {
			err = handle.Keep(ctx)
		}
		return handle, err
	}
}

// join takes a hold on the one that runs.
func join(ctx context.Context, dir string) (*Handle, error) {
	found, info, err := find(ctx, dir)
	if err != nil {
		return nil, err
	}
	lease, err := found.hold()
	if err != nil {
		return nil, fmt.Errorf("join the running local cloudflare: %w", err)
	}
	return &Handle{Info: info, lease: lease, keep: func(ctx context.Context) error { return found.post(ctx, "/keep") }}, nil
}

// start runs the hidden sub-command in a session of its own and waits for its report.
func start(ctx context.Context, dir string, options Options) (*Handle, error) {
	if options.Exe == "" {
		var err error
		if options.Exe, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
	}
	logFile, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the local cloudflare's log: %w", err)
	}
	defer logFile.Close()
	leaseIn, lease, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer leaseIn.Close()
	report, reportOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, lease.Close())
	}
	defer report.Close()

	// Not CommandContext: the process is to outlive this call, and is stopped through its lease.
	command := exec.Command(options.Exe, options.Args...)
	command.Env = options.Env
	command.Stdin, command.Stdout, command.Stderr = leaseIn, reportOut, logFile
	detach(command)
	if err := errors.Join(command.Start(), reportOut.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("start the local cloudflare: %w", err), lease.Close())
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = command.Wait() // its reason is in the report or the log; this takes the process off the kernel's list
	}()
	handle := &Handle{StartedByUs: true, lease: lease, gone: gone, keep: func(context.Context) error {
		_, err := io.WriteString(lease, keepWord+"\n")
		return err
	}}
	err = awaitReport(ctx, report, dir)
	if err == nil {
		_, handle.Info, err = find(ctx, dir)
	}
	if err != nil {
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer done()
		if handle.Close(stopping) != nil {
			_ = command.Process.Kill() // it does not heed its lease; its reason is already told
		}
		return nil, err
	}
	return handle, nil
}

// stopTime is how long a local Cloudflare may take to stop: it drains requests for up to ten seconds.
const stopTime = 20 * time.Second

// report is the one line that a starting process writes to its parent.
type report struct {
	Ready   bool   `json:"ready"`
	Busy    bool   `json:"busy,omitempty"` // another process holds the folder
	Problem string `json:"problem,omitempty"`
}

func awaitReport(ctx context.Context, from *os.File, dir string) error {
	stopReading := context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Now()) })
	defer stopReading()
	line, err := bufio.NewReader(from).ReadBytes('\n')
	if ctx.Err() != nil {
		return fmt.Errorf("start the local cloudflare: %w", context.Cause(ctx))
	}
	said := report{}
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	switch {
	case err != nil:
		return fmt.Errorf("the local cloudflare ended before it was ready: %s", lastLines(filepath.Join(dir, logName)))
	case said.Busy:
		return errOvertaken
	case !said.Ready:
		return fmt.Errorf("start the local cloudflare: %s", said.Problem)
	}
	return nil
}

// lastLines is the end of a log, for a message to people.
func lastLines(file string) string {
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return "it left no reason in " + file
	}
	return strings.TrimSpace(string(text[max(0, len(text)-1000):])) + "\nsee " + file
}
