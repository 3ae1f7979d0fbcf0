package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// launch says how to start one workerd.
type launch struct {
	name    string // for messages
	binary  string
	config  string   // path of the capnp text file
	sockets []string // names of the sockets that must listen before the process counts as started
	env     []string // the whole environment of the process: it inherits nothing
	key     string   // what the entry worker wants to see before it answers
	limit   time.Duration
	output  func(line string) // gets every line that the process writes, from two goroutines
}

// process is one running workerd.
type process struct {
	cmd     *exec.Cmd
	ports   map[string]int
	key     string
	started time.Time
	exited  chan struct{} // closed once the process has been reaped
}

// headerKey carries the secret that an entry worker asks for, so that no other local process can use its socket.
const headerKey = "x-penstock-key"

// readyMark is what our workers print to the standard error stream when they are asked whether they are ready.
const readyMark = "penstock: ready"

// stopGrace is how long a workerd may take over SIGTERM. It only has to close its listening sockets and idle connections:
// requests were drained before, and its databases survive a SIGKILL.
const stopGrace = 500 * time.Millisecond

// startupOutputLimit bounds what a StartError quotes, in bytes.
const startupOutputLimit = 4 << 10

// start runs workerd and returns once every socket listens and the entry worker answered. Otherwise the process is gone
// when it returns, and the error is a *StartError if workerd said why.
func (l launch) start(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()

	control, controlWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start workerd for %s: %w", l.name, err)
	}
	defer control.Close()

	said := &startupOutput{}
	heard := make(chan struct{})
	hear := sync.OnceFunc(func() { close(heard) })
	sink := func(line string) {
		if line == readyMark {
			hear()
			return
		}
		said.add(line)
		l.output(line)
	}
	stdout, stderr := &lineWriter{emit: sink}, &lineWriter{emit: sink}
	cmd := exec.Command(l.binary, "serve", "--experimental", "--control-fd=3", l.config)
	cmd.Env = l.env
	cmd.ExtraFiles = []*os.File{controlWrite}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second
	err = startChild(cmd)
	controlWrite.Close()
	if err != nil {
		return nil, fmt.Errorf("start workerd for %s: %w", l.name, err)
	}

	p := &process{cmd: cmd, ports: map[string]int{}, key: l.key, started: time.Now(), exited: make(chan struct{})}
	go func() {
		// The state is not needed: an exit that nobody asked for is a crash, whatever its code.
		_ = cmd.Wait()
		stdout.flush()
		stderr.flush()
		close(p.exited)
	}()

	err = p.awaitReady(ctx, control, l.sockets)
	if err == nil {
		// Warnings come by another pipe than readiness; the mark is behind them.
		err = p.awaitMark(ctx, heard)
	}
	if err != nil {
		p.stop()
		if output := said.text(); output != "" && ctx.Err() == nil {
			return nil, &StartError{Script: l.name, Output: output}
		}
		return nil, fmt.Errorf("start workerd for %s: %w", l.name, err)
	}
	if complaint := said.missingClass(); complaint != "" {
		p.stop()
		return nil, &StartError{Script: l.name, Output: complaint}
	}
	said.stop()
	return p, nil
}

// awaitReady reads workerd's port reports until all sockets have one, then asks the entry worker for a sign of life.
func (p *process) awaitReady(ctx context.Context, control *os.File, sockets []string) error {
	// Closing is the only way to end a read on the pipe; a second Close by the caller is harmless.
	stopWatching := context.AfterFunc(ctx, func() { control.Close() })
	defer stopWatching()
	lines := bufio.NewScanner(control)
	for !p.listensOn(sockets) {
		if !lines.Scan() {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("wait for its sockets: %w", err)
			}
			select {
			case <-p.exited: // the pipe closes when the process ends; wait for its last words
				return errors.New("it exited before it listened")
			case <-ctx.Done():
				return fmt.Errorf("wait for its end: %w", ctx.Err())
			}
		}
		var report struct {
			Event  string `json:"event"`
			Socket string `json:"socket"`
			Port   int    `json:"port"`
		}
		if err := json.Unmarshal(lines.Bytes(), &report); err != nil {
			return fmt.Errorf("read its port report: %w", err)
		}
		if report.Event == "listen" {
			p.ports[report.Socket] = report.Port
		}
	}
	return p.ping(ctx)
}

func (p *process) awaitMark(ctx context.Context, heard <-chan struct{}) error {
	select {
	case <-heard:
		return nil
	case <-p.exited:
		return errors.New("it exited while it started")
	case <-ctx.Done():
		return fmt.Errorf("wait for its output: %w", ctx.Err())
	}
}

func (p *process) listensOn(sockets []string) bool {
	for _, s := range sockets {
		if p.ports[s] == 0 {
			return false
		}
	}
	return true
}

func (p *process) address(socket string) string {
	return "127.0.0.1:" + strconv.Itoa(p.ports[socket])
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop ends the process and returns when it is gone: SIGTERM, a short grace, SIGKILL to its group.
func (p *process) stop() {
	if !p.alive() {
		return
	}
	terminateChild(p.cmd)
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		killChild(p.cmd)
		<-p.exited
	}
}

// startupOutput keeps what workerd wrote until it was ready.
type startupOutput struct {
	mu      sync.Mutex
	lines   []string
	size    int
	stopped bool
}

func (s *startupOutput) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.size > startupOutputLimit || isStackLine(line) {
		return
	}
	s.lines = append(s.lines, line)
	s.size += len(line) + 1
}

func (s *startupOutput) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.lines = nil
}

func (s *startupOutput) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimSpace(strings.Join(s.lines, "\n"))
	text = serviceName.ReplaceAllString(text, "")
	if len(text) > startupOutputLimit {
		text = text[:startupOutputLimit]
	}
	return text
}

// serviceName is how workerd begins a message about a worker; the name is ours and says nothing to the app's author.
var serviceName = regexp.MustCompile(`(?m)^service [0-9a-zA-Z-]+: `)

var unexportedClass = regexp.MustCompile(`A DurableObjectNamespace in the config referenced the class "([^"]*)", but no such`)

// missingClass returns a message if workerd warned about a Durable Object class that the code does not export. workerd
// starts all the same and fails each call; Cloudflare refuses such an upload, so it must not look deployed here.
func (s *startupOutput) missingClass() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if m := unexportedClass.FindStringSubmatch(line); m != nil {
			return fmt.Sprintf("the class %q is bound as a Durable Object, but the code does not export it; "+
				"export a class of that name that extends DurableObject", m[1])
		}
	}
	return ""
}
