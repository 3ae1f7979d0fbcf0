package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// spy tries to reach what no gate may reach. What it is to try is in the config of the test's environment, which crosses
// as the name of the app: one attempt per line, "kind what".
func spy(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	verdict := &gates.Verdict{Outcome: gates.Pass, Summary: "tried"}
	for _, attempt := range strings.Split(request.Run.App, "\n") {
		kind, what, _ := strings.Cut(attempt, " ")
		result := "refused"
		if err := try(kind, what); err == nil {
			result = "done"
		} else if kind == "env" || errors.Is(err, errUnknownAttempt) {
			result = err.Error()
		}
		verdict.Findings = append(verdict.Findings, gates.Finding{Level: gates.LevelNote, Rule: kind, Message: what, Detail: result})
	}
	return verdict, nil
}

// errUnknownAttempt must not look as if something had been refused.
var errUnknownAttempt = errors.New("cannot try")

func try(kind, what string) error {
	switch kind {
	case "read":
		_, err := os.ReadFile(what)
		return err
	case "list":
		_, err := os.ReadDir(what)
		return err
	case "write":
		return os.WriteFile(what, []byte("x"), 0o600)
	case "run":
		return exec.Command(what).Run()
	case "signal":
		var pid int
		if _, err := fmt.Sscan(what, &pid); err != nil {
			return err
		}
		return probe(pid)
	case "tcp", "udp", "unix":
		connection, err := net.DialTimeout(kind, what, time.Second)
		if err != nil {
			return err
		}
		_, err = connection.Write([]byte("x"))
		return err
	case "listen":
		_, err := net.Listen("tcp", what)
		return err
	case "env":
		return fmt.Errorf("%s", strings.Join(os.Environ(), "\n"))
	case "cwd":
		entries, err := os.ReadDir(".")
		if err == nil && len(entries) > 0 {
			return nil
		}
		return fmt.Errorf("empty: %v", err)
	case "scratch":
		return os.WriteFile(filepath.Join(os.TempDir(), "mine"), []byte("x"), 0o600)
	case "stdin":
		n, err := os.Stdin.Read(make([]byte, 1))
		if n > 0 {
			return nil
		}
		return err
	}
	if attempt := attempts[kind]; attempt != nil {
		return attempt(what)
	}
	return fmt.Errorf("%w: %q", errUnknownAttempt, kind)
}

// askVersion asks the running version who it is, and then tries like spy what it may not reach.
func askVersion(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, request.Run.URL+"/who", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(question)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	verdict, err := spy(ctx, request)
	verdict.Summary = string(text) + ", public at " + request.Run.PublicURL
	return verdict, err
}

func dialGranted(context.Context, *gates.Request) (*gates.Verdict, error) {
	return &gates.Verdict{Outcome: gates.Pass, Summary: fmt.Sprint(try("tcp", "127.0.0.1:1"))}, nil
}

func crash(context.Context, *gates.Request) (*gates.Verdict, error) {
	done := make(chan struct{})
	go func() { panic("crashed in a goroutine of the gate") }() // which nobody can recover from
	<-done
	return nil, nil
}

func hungry(context.Context, *gates.Request) (*gates.Verdict, error) {
	var kept [][]byte
	for range 64 {
		block := make([]byte, 64<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: fmt.Sprint(len(kept))}, nil
}

// orphan starts a process that leaves the group and would outlive the run: itself, which is the only program that a
// confined set could start.
func orphan(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	child := exec.Command("/proc/self/exe")
	child.Args = []string{"penstock-gates-lingerer", request.Run.ID}
	child.Stdin, child.Stdout, child.Stderr = null, null, null
	child.SysProcAttr = newSession()
	if err := child.Start(); err != nil {
		return &gates.Verdict{Outcome: gates.Pass, Summary: "refused"}, nil
	}
	return &gates.Verdict{Outcome: gates.Pass, Summary: "started"}, nil
}

// greedy takes more and more of what the app's name says, up to an amount that no machine misses.
func greedy(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	const most, part = 4096, 256 << 10
	for i := range most {
		path := filepath.Join(os.TempDir(), fmt.Sprint(i%1000))
		var err error
		switch request.Run.App {
		case "disk":
			err = os.WriteFile(path, make([]byte, part), 0o600)
		case "unnamed":
			var file *os.File
			if file, err = os.Create(path); err == nil {
				_, err = file.Write(make([]byte, part))
				kept = append(kept, file)
				err = errors.Join(err, os.Remove(path))
			}
		case "files":
			for n := range 16 {
				err = errors.Join(err, os.Mkdir(filepath.Join(os.TempDir(), fmt.Sprint(i, "-", n)), 0o700))
			}
		case "processes":
			child := exec.Command("/proc/self/exe")
			child.Args, child.SysProcAttr = []string{"penstock-gates-lingerer"}, newSession()
			err = child.Start()
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
	return &gates.Verdict{Outcome: gates.Pass, Summary: "nobody minded"}, nil
}

var kept []*os.File
