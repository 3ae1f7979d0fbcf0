package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// gateCount is how many gates bench/gateset serves.
const gateCount = 20

// measureGates compares being judged with what starting the judges' processes costs by itself.
func measureGates(ctx context.Context, b *bench) (section, error) {
	result := section{
		Title: "Gates",
		Notes: []string{
			"a gate = (wall − wall of the same run without gates, just before) / gates. The gates pass without looking at anything.",
			"Penstock copies and checks the set's binary, confines and starts it, shakes hands over mutual TLS, has it describe itself, and asks.",
			"by hand: the same binary is started until it prints its handshake, then killed; nothing is checked, confined or asked.",
			"20 gates of one set share a process; 20 sets are 20 processes.",
		},
	}
	sets, err := b.buildSets(ctx)
	if err != nil {
		return result, err
	}
	none, err := b.gateContenders(ctx, sets, 0, 0)
	if err != nil {
		return result, err
	}
	b.tell("no gate")
	baseline, err := takeTurns(ctx, none, 3*time.Second)
	if err != nil {
		return result, err
	}
	result.add(group{Title: "No gate"}, none, baseline)
	for _, of := range []struct {
		title        string
		sets, perSet int
		share        time.Duration
	}{
		{"One gate", 1, 1, 4 * time.Second},
		{fmt.Sprintf("%d gates of one set", gateCount), 1, gateCount, 4 * time.Second},
		{fmt.Sprintf("%d gates of %d sets", gateCount, gateCount), gateCount, 1, 12 * time.Second},
	} {
		b.tell("%s", of.title)
		contenders, err := b.gateContenders(ctx, sets, of.sets, of.perSet)
		if err != nil {
			return result, err
		}
		contenders = against(none, contenders)
		outcomes, err := takeTurns(ctx, contenders, of.share)
		if err != nil {
			return result, err
		}
		result.add(group{Title: of.title, Things: of.sets * of.perSet, Thing: "gate"}, contenders, outcomes)
	}
	return result, nil
}

// gateSet is one binary of the twenty gates, under a name of its own.
type gateSet struct {
	name, path, digest string
}

// buildSets builds bench/gateset once and copies it under every set's name.
func (b *bench) buildSets(ctx context.Context) ([]gateSet, error) {
	folder := filepath.Join(b.scratch, "sets")
	first := filepath.Join(folder, "built"+exeSuffix())
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", first, "./bench/gateset")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the gate set to measure with: %w", err), errors.New(string(out)))
	}
	binary, err := os.ReadFile(first)
	if err != nil {
		return nil, err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(binary))
	var sets []gateSet
	for i := range gateCount {
		set := gateSet{name: fmt.Sprintf("bench-%d", i), digest: digest}
		set.path = filepath.Join(folder, set.name+exeSuffix())
		if err := os.WriteFile(set.path, binary, 0o755); err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// gateContenders prepares a run with perSet gates of each of the first howMany sets, and the same starts by hand.
func (b *bench) gateContenders(ctx context.Context, sets []gateSet, howMany, perSet int) ([]contender, error) {
	folder := filepath.Join(b.scratch, fmt.Sprintf("gates-%d-%d", howMany, perSet))
	work := workload{}
	lock := "version: 1\nsets:\n"
	for _, set := range sets[:howMany] {
		lock += fmt.Sprintf("  - {name: %s, version: 1.0.0, path: %q, sha256: {%s/%s: %s}}\n", set.name, set.path, runtime.GOOS, runtime.GOARCH, set.digest)
		for i := range perSet {
			work.gates = append(work.gates, fmt.Sprintf("%s/gate-%d", set.name, i))
		}
	}
	files := maps.Clone(work.files())
	if howMany > 0 {
		files["penstock.lock"] = lock
	}
	if err := makeApp(ctx, folder, files); err != nil {
		return nil, err
	}
	want := expectation{stages: 1, gates: len(work.gates)}
	contenders := []contender{{
		Name: "penstock check", Does: "verifies, confines, starts, asks, stops",
		run: b.check(folder, "state-gates", want, "--no-cache"),
	}}
	for _, atOnce := range []int{1, b.jobs} {
		byHand := contender{Name: fmt.Sprintf("started by hand, %d at once", atOnce), Does: "until the handshake is printed"}
		if howMany == 0 {
			byHand.Missing = "there is nothing to start"
		} else {
			byHand.run = func(ctx context.Context) (sample, error) { return startByHand(ctx, sets[:howMany], atOnce) }
		}
		contenders = append(contenders, byHand)
	}
	return contenders, nil
}

// The cookie that gates.Serve looks for, as in gates/internal/wire, where this program cannot reach it. Were it another
// one, the binary would refuse to start, and so would this measurement.
const cookie = "PENSTOCK_GATES=c1d2f0a1-penstock-gates-over-grpc"

// startByHand starts each set's binary once, so many at once, and kills it after its handshake.
func startByHand(ctx context.Context, sets []gateSet, atOnce int) (sample, error) {
	turns := make(chan gateSet, len(sets))
	for _, set := range sets {
		turns <- set
	}
	close(turns)
	problems := make([]error, atOnce)
	peaks := make([]int64, atOnce)
	began := time.Now()
	var workers sync.WaitGroup
	for i := range atOnce {
		workers.Go(func() {
			for set := range turns {
				peak, err := startOneByHand(ctx, set)
				peaks[i] = max(peaks[i], peak)
				problems[i] = errors.Join(problems[i], err)
			}
		})
	}
	workers.Wait()
	taken := sample{wall: time.Since(began)}
	for _, peak := range peaks {
		taken.peak = max(taken.peak, peak)
	}
	return taken, errors.Join(problems...)
}

func startOneByHand(ctx context.Context, set gateSet) (peak int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	shown, err := identity()
	if err != nil {
		return 0, err
	}
	process := exec.CommandContext(ctx, set.path)
	process.Env = append([]string{cookie, "PLUGIN_PROTOCOL_VERSIONS=1", "TMPDIR=" + filepath.Dir(set.path)}, shown...)
	if runtime.GOOS != "windows" {
		socket, err := handSocket(process)
		if err != nil {
			return 0, fmt.Errorf("start the gate set %s by hand: %w", set.name, err)
		}
		defer socket.Close()
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := process.Start(); err != nil {
		return 0, fmt.Errorf("start the gate set %s by hand: %w", set.name, err)
	}
	line, readErr := bufio.NewReader(stdout).ReadString('\n')
	killErr := process.Process.Kill()
	_ = process.Wait() // it was killed, and says so
	if readErr != nil || strings.Count(line, "|") < 4 {
		return 0, errors.Join(fmt.Errorf("start the gate set %s by hand: it printed %q and no handshake", set.name, line), readErr, killErr)
	}
	return peakOf(process.ProcessState), nil
}

// handSocket makes the process inherit a socket on which it would be asked, as any host has to.
func handSocket(process *exec.Cmd) (*os.File, error) {
	dir, err := os.MkdirTemp("", "psb")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // nobody connects, so that its name is not needed
	address := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	listener, err := net.ListenUnix("unix", address)
	if err != nil {
		return nil, err
	}
	defer listener.Close() //nolint:errcheck // its copy stays open
	socket, err := listener.File()
	if err != nil {
		return nil, err
	}
	process.ExtraFiles = []*os.File{socket} // the first is descriptor 3
	process.Env = append(process.Env, "PENSTOCK_SET_SOCKET="+address.Name)
	return socket, nil
}
