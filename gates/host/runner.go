package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// runner starts one process for go-plugin, which knows how to shake hands but not how to confine. It implements
// go-plugin's runner.Runner.
type runner struct {
	binary      *image
	folder      folder
	granted     grant
	limits      Limits
	environment []string // set by go-plugin before Start
	socket      *os.File // on which the set is asked, open while it is started; nil on Windows

	sandbox        SandboxReport
	stdout, stderr *os.File
	greeting       greeting
	output         *output
	pid            int
	exitCode       int           // -1 unless it ended by itself; to be read once exited is closed
	exited         chan struct{} // closed when the process is gone
	drained        chan struct{} // closed when what it printed has been read, too

	excess atomic.Pointer[string] // why it was ended for taking too much

	mu      sync.Mutex
	process *os.Process // nil before the start and once it is gone
	killed  bool        // also before the start: then there is none
}

func newRunner(binary *image, folder folder, granted grant, limits Limits, output *output) *runner {
	return &runner{binary: binary, folder: folder, granted: granted, limits: limits, output: output, exited: make(chan struct{}), drained: make(chan struct{})}
}

// drainTime is how long what a process printed last may still be read when it is gone. Where nobody else holds the pipes, they
// end before that; what is not read by then is lost, so that it must do for a machine that is busy.
const drainTime = 2 * time.Second

// noNamespaces is set once this system has let this user make no namespaces: then the next start need not try.
var noNamespaces atomic.Bool

// errNoNamespaces says that the system lets this user make no namespaces.
var errNoNamespaces = errors.New("no namespaces")

// Start starts the process.
func (r *runner) Start(context.Context) error {
	socket, said, err := listen(r.folder)
	if err != nil {
		return err
	}
	r.socket, r.environment = socket, append(r.environment, said...)
	if socket != nil {
		// With the set then ends the last who listens, and nobody connects in vain.
		defer socket.Close()
	}
	if !noNamespaces.Load() {
		err := r.startOnThread(true)
		if !errors.Is(err, errNoNamespaces) {
			return err
		}
		noNamespaces.Store(true)
	}
	return r.startOnThread(false)
}

func (r *runner) startOnThread(namespaces bool) error {
	started := make(chan error)
	go r.live(namespaces, started)
	return <-started
}

// live is the whole life of the process, on a thread of its own. That thread is confined before it starts the process,
// which inherits that, and it is never given back: the goroutine ends while it is locked, so the runtime ends the thread.
// It must also outlive the process, because Linux sends the signal that announces a parent's death when the thread that
// started the child ends.
func (r *runner) live(namespaces bool, started chan<- error) {
	runtime.LockOSThread()

	var ours, theirs [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, file := range files {
			if file != nil {
				_ = file.Close() // read or never written: nothing can be lost
			}
		}
	}
	var err error
	if theirs[0], err = os.Open(os.DevNull); err == nil {
		if ours[1], theirs[1], err = os.Pipe(); err == nil {
			ours[2], theirs[2], err = os.Pipe()
		}
	}
	if err != nil {
		closeAll(ours)
		closeAll(theirs)
		started <- fmt.Errorf("open its streams: %w", err)
		return
	}
	r.stdout, r.stderr = ours[1], ours[2]

	confined, err := confine(r.binary, r.folder, r.granted, namespaces)
	if err == nil {
		r.sandbox = confined
		err = r.spawn(theirs[:], namespaces)
	}
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		started <- err
		return
	}
	defer close(r.exited)
	process := r.process
	started <- nil
	go r.watch(process.Pid)

	state, err := reap(process, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		killTree(process) // what it left behind in its group
		r.process = nil
	})
	r.exitCode = -1
	if err == nil {
		r.exitCode = state.ExitCode()
		fmt.Fprintf(r.output, "(the process ended: %s)\n", state)
	}
	// A descendant that got away may hold the other ends of the pipes for ever; go-plugin must not wait for it.
	deadline := time.Now().Add(drainTime)
	_ = r.stdout.SetReadDeadline(deadline)
	_ = r.stderr.SetReadDeadline(deadline)
}

func (r *runner) spawn(streams []*os.File, namespaces bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errors.New("it was stopped before it started")
	}
	environment := append([]string{
		"TMPDIR=" + r.folder.scratch, "TMP=" + r.folder.scratch, "TEMP=" + r.folder.scratch, "HOME=" + r.folder.work,
		// A Go program then collects its garbage harder before it meets the limit that would end it.
		fmt.Sprintf("GOMEMLIMIT=%d", r.limits.Memory*3/4),
		"GOTRACEBACK=single", // of a crash, the goroutine that did it is enough
	}, r.environment...)
	if r.granted.history != "" {
		environment = append(environment, gitEnvironment()...)
	}
	streams = slices.Clone(streams)
	if r.socket != nil {
		streams = append(streams, r.socket) // the fourth, which is wire.ListenerDescriptor
	}
	process, err := startProcess(r.binary, environment, r.folder.work, streams, namespaces, &r.sandbox)
	if err != nil {
		return err
	}
	r.process, r.pid = process, process.Pid
	if err := limit(process.Pid, r.limits.Memory, &r.sandbox); err != nil {
		killTree(process)
		_, waitErr := process.Wait()
		r.process = nil
		return errors.Join(fmt.Errorf("limit its memory: %w", err), waitErr)
	}
	return nil
}

// killTree kills the process and whatever it started. It may be called at any time, also before Start.
func (r *runner) killTree() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.process != nil {
		killTree(r.process)
	}
}

func (r *runner) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// awaitPrinted waits until all that the process printed has been read, which is soon after its end, and no longer than that may take.
func (r *runner) awaitPrinted() {
	select {
	case <-r.drained:
	case <-time.After(drainTime):
	}
}

// Wait returns once the process is gone. go-plugin calls it once, after both streams have ended.
func (r *runner) Wait(context.Context) error {
	<-r.exited
	close(r.drained)
	return errors.Join(r.stdout.Close(), r.stderr.Close())
}

// Kill is killTree in go-plugin's words.
func (r *runner) Kill(context.Context) error {
	r.killTree()
	return nil
}

// Stdout is where go-plugin reads the handshake. It is shown the first line and no more: of what follows it would give up reading
// at a line that is too long, and a set that prints one would wait for ever.
func (r *runner) Stdout() io.ReadCloser {
	r.greeting.from, r.greeting.rest = r.stdout, r.output
	return &r.greeting
}

// Stderr is read by go-plugin into the output that is kept.
func (r *runner) Stderr() io.ReadCloser { return r.stderr }

// Name names the process in go-plugin's log, which is off.
func (r *runner) Name() string { return filepath.Base(r.binary.path) }

// ID is the process id; go-plugin kills nothing while it is empty.
func (r *runner) ID() string {
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}

// Diagnose adds nothing: explain says it better.
func (r *runner) Diagnose(context.Context) string { return "" }

// PluginToHost decides where go-plugin may connect. The address comes from the process, and the host is not to be sent
// anywhere by it: only a socket in the process's own folder will do, or a loopback port where there are no such sockets.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	switch {
	case network == "unix" && runtime.GOOS != "windows":
		// Landlock lets it make no link there; elsewhere at least what lies there now is no link to another's socket.
		relative, err := filepath.Rel(r.folder.sockets, address)
		if err != nil || !filepath.IsLocal(relative) {
			break
		}
		if info, err := os.Lstat(address); err == nil && info.Mode().Type() == fs.ModeSocket {
			return network, address, nil
		}
	case network == "tcp" && runtime.GOOS == "windows":
		if host, _, err := net.SplitHostPort(address); err == nil && host == "127.0.0.1" {
			return network, address, nil
		}
	}
	return "", "", fmt.Errorf("it listens where it may not: %s %s", line(network, 20), line(address, 200))
}

// HostToPlugin changes nothing: both live on one machine.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// explain says in our words why go-plugin could not shake hands.
func (r *runner) explain(err error) error {
	said := r.greeting.String()
	fields := strings.Split(said, "|")
	switch {
	case said == "":
		return fmt.Errorf("it ended or fell silent before it said anything: %w", err)
	case len(fields) < 4:
		return fmt.Errorf("it printed something other than a handshake on standard output (%q): a gate set must not print before it calls Serve",
			line(said, 120))
	case fields[1] != strconv.Itoa(wire.ProtocolVersion):
		return fmt.Errorf("%w: it speaks version %s of the gate protocol, and this penstock (gate SDK %s) speaks version %d: "+
			"update the older of the two", ErrIncompatible, line(fields[1], 20), gates.SDKVersion, wire.ProtocolVersion)
	default:
		return fmt.Errorf("shake hands with it: %s", line(err.Error(), maxSummary))
	}
}

// maxGreeting bounds the first line. A handshake takes some hundred bytes, with a certificate of the set's own some thousand.
const maxGreeting = 16 << 10

// greeting reads the first line of a stream and keeps it. What follows goes elsewhere, which the reader sees as the stream's end.
type greeting struct {
	from io.ReadCloser
	rest io.Writer
	over bool // the first line is; for the reader alone

	mu   sync.Mutex
	text []byte
}

func (g *greeting) Read(into []byte) (int, error) {
	if g.over {
		_, err := io.Copy(g.rest, g.from)
		return 0, errors.Join(err, io.EOF)
	}
	n, err := g.from.Read(into)
	g.mu.Lock()
	defer g.mu.Unlock()
	first := into[:n]
	end := bytes.IndexByte(first, '\n')
	switch {
	case end >= 0:
		first, g.over = into[:end+1], true
	case len(g.text)+n > maxGreeting:
		g.over = true
	}
	g.text = append(g.text, first[:min(len(first), maxGreeting-len(g.text))]...)
	if len(first) < n {
		if _, err := g.rest.Write(into[len(first):n]); err != nil {
			return 0, err
		}
	}
	return len(first), err
}

func (g *greeting) Close() error { return g.from.Close() }

func (g *greeting) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.TrimSpace(string(g.text))
}
