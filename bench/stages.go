package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// counts are the numbers of no-op stages, with the time that a comparison of each may use.
var counts = []struct {
	stages int
	share  time.Duration
}{{10, 4 * time.Second}, {100, 7 * time.Second}, {1000, 22 * time.Second}}

// stagesState is the state folder of the no-op pipelines.
const stagesState = "state-stages"

// measureStages compares what a stage that does nothing costs beyond what it does.
func measureStages(ctx context.Context, b *bench) (section, error) {
	result := section{
		Title: "Overhead of a stage that does nothing",
		Notes: []string{
			"a stage = (wall of N − wall of none, run just before) / N. No stage does any work: this is what having stages costs.",
			"Penstock, true: runs it inside itself. Such a stage looks at no file and leaves none, so it gets no folder and no file " +
				"in the cache. It is the least that a stage can cost, and no real stage.",
			"Penstock, echo: runs it inside itself too; the line goes to whoever watches, into a log, and with the result into the cache.",
			"Penstock, a program: it gets a fresh folder with the stage's inputs (here all 5 files of the app), which is removed again.",
			"Each of them has its key computed, and its start and end written into the ledger.",
			"make starts `true` as a program, without a shell. bash runs the line `true` inside itself, and starts a bash for each `bash -c true`.",
			"make, bash and bare Go isolate, keep and record nothing. bash has no scheduler: it appears where stages run in a row.",
		},
	}
	folder := filepath.Join(b.scratch, "stages")
	none, err := b.stageContenders(ctx, folder, 0, true)
	if err != nil {
		return result, err
	}
	b.tell("no stages")
	baseline, err := takeTurns(ctx, none, 3*time.Second)
	if err != nil {
		return result, err
	}
	result.add(group{Title: "No stage at all"}, none, baseline)
	for _, chain := range []bool{true, false} {
		for _, count := range counts {
			title := fmt.Sprintf("%d stages, %s", count.stages, shape(chain, b.jobs))
			b.tell("%s", title)
			contenders, err := b.stageContenders(ctx, folder, count.stages, chain)
			if err != nil {
				return result, err
			}
			contenders = against(none, contenders)
			outcomes, err := takeTurns(ctx, contenders, count.share)
			if err != nil {
				return result, err
			}
			result.add(group{Title: title, Things: count.stages, Thing: "stage"}, contenders, outcomes)
		}
	}
	return result, nil
}

func shape(chain bool, jobs int) string {
	if chain {
		return "in a row"
	}
	return fmt.Sprintf("independent, %d at once", jobs)
}

// stageContenders prepares everybody for n stages, always in the same order.
func (b *bench) stageContenders(ctx context.Context, folder string, n int, chain bool) ([]contender, error) {
	folder = filepath.Join(folder, fmt.Sprintf("%d-%t", n, chain))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("true")
	if err != nil {
		return nil, fmt.Errorf("find a program that does nothing: %w", err)
	}
	var contenders []contender
	for _, variant := range []struct {
		name, does string
		work       workload
	}{
		{"penstock, true", "runs it inside itself; no folder, no file", workload{n, chain, "true", nil}},
		{"penstock, echo x", "runs it inside itself; a log and a cached result", workload{n, chain, "echo x", nil}},
		{"penstock, " + program, "makes a folder, copies 5 files, starts the program", workload{n, chain, program, nil}},
	} {
		app := filepath.Join(folder, fmt.Sprintf("app-%d", len(contenders)))
		if err := makeApp(ctx, app, variant.work.files()); err != nil {
			return nil, err
		}
		contenders = append(contenders, contender{
			Name: variant.name, Does: variant.does,
			run: b.check(app, stagesState, expectation{stages: n + 1}, "--no-cache"), // one makes the bundle
		})
	}
	for _, recipe := range []string{"true", program} {
		contenders = append(contenders, b.makeContender(folder, workload{stages: n, chain: chain, run: recipe}))
	}
	for _, line := range []struct{ text, does string }{{"true", "runs it inside itself"}, {"bash -c true", "starts a bash for each"}} {
		contenders = append(contenders, b.bashContender(folder, workload{stages: n, chain: chain, run: line.text}, line.does))
	}
	atOnce := b.jobs
	if chain {
		atOnce = 1
	}
	bare := command{argv: []string{b.self, spawnCommand, strconv.Itoa(n), strconv.Itoa(atOnce), program}, dir: folder, scratch: b.scratch}
	return append(contenders, contender{Name: "Go, bare " + program, Does: "os/exec and nothing else", run: bare.run}), nil
}

func (b *bench) makeContender(folder string, work workload) contender {
	result := contender{Name: "make, @" + work.run, Does: "starts the program, without a shell"}
	program, err := exec.LookPath("make")
	if err != nil {
		result.Missing = "there is no make on this machine"
		return result
	}
	file := filepath.Join(folder, "Makefile-"+filepath.Base(filepath.Dir(work.run)))
	if err := os.WriteFile(file, []byte(work.makefile()), 0o644); err != nil {
		result.Missing = err.Error()
		return result
	}
	result.run = command{
		argv: []string{program, "-f", file, "-j", strconv.Itoa(b.jobs)}, dir: folder, scratch: b.scratch,
		environ: withoutMake(os.Environ()),
	}.run
	return result
}

func (b *bench) bashContender(folder string, work workload, does string) contender {
	result := contender{Name: "bash, " + work.run, Does: does}
	program, err := exec.LookPath("bash")
	if err != nil {
		result.Missing = "there is no bash on this machine"
		return result
	}
	if !work.chain {
		result.Missing = "it has no scheduler; see the figure in a row"
		return result
	}
	file := filepath.Join(folder, fmt.Sprintf("script-%d.sh", len(work.run)))
	if err := os.WriteFile(file, []byte(work.script()), 0o644); err != nil {
		result.Missing = err.Error()
		return result
	}
	result.run = command{argv: []string{program, file}, dir: folder, scratch: b.scratch}.run
	return result
}
