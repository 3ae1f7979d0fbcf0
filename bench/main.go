// Command bench measures the built penstock from outside, beside make, bash and bare process starts, on this machine and in
// one run. `make bench` builds and runs it; docs/performance.md keeps what it printed. Nothing imports it.
//
// Every figure is the median of several runs with the least and the greatest. Contenders take turns, run by run, so that
// whatever else this machine does meets all of them alike. What could not be measured is said in its place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == spawnCommand {
		if err := spawn(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// parts are what can be measured, in the order of the report.
var parts = []struct {
	name    string
	measure func(context.Context, *bench) (section, error)
}{
	{"stages", measureStages},
	{"warm", measureWarm},
	{"gates", measureGates},
}

// bench is what all parts share.
type bench struct {
	penstock string // path of the binary under test
	self     string // path of this program, which is also the bare Go contender
	root     string // of Penstock's source tree
	scratch  string // removed at the end
	jobs     int    // how many things every contender may do at once
	progress io.Writer
}

// tell writes a line of progress.
func (b *bench) tell(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

// environ is what penstock runs with: this machine's environment, and a state folder of its own.
func (b *bench) environ(state string) []string {
	return append(os.Environ(), "PENSTOCK_STATE_DIR="+filepath.Join(b.scratch, state), "CI=true", "NO_COLOR=1")
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	binary := flags.String("penstock", "", "the `binary` to measure; bin/penstock of this source tree when empty")
	only := flags.String("only", "", "measure only these `parts`, separated by commas: stages, warm, gates")
	asJSON := flags.Bool("json", false, "print JSON instead of tables")
	jobs := flags.Int("jobs", runtime.NumCPU(), "how many stages run at `once`, for every contender that can")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	wanted, err := chosen(*only)
	if err != nil {
		return err
	}
	b := &bench{jobs: *jobs, progress: progress}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.root, err = sourceTree(ctx); err != nil {
		return err
	}
	if b.penstock = *binary; b.penstock == "" {
		b.penstock = filepath.Join(b.root, "bin", "penstock"+exeSuffix())
	}
	if b.penstock, err = filepath.Abs(b.penstock); err != nil {
		return err
	}
	if _, err := os.Stat(b.penstock); err != nil {
		return fmt.Errorf("find the binary to measure: %w: build it with `make build`", err)
	}
	if b.scratch, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(b.scratch)) }()

	began := time.Now()
	result := report{Machine: describeMachine(ctx, b), Elsewhere: elsewhere}
	for _, part := range parts {
		if !slices.Contains(wanted, part.name) {
			continue
		}
		b.tell("== %s", part.name)
		measured, err := part.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("measure %s: %w", part.name, err)
		}
		result.Sections = append(result.Sections, measured)
	}
	result.Seconds = time.Since(began).Seconds()
	if *asJSON {
		return result.writeJSON(out)
	}
	return result.writeText(out)
}

// chosen reads the flag -only.
func chosen(only string) ([]string, error) {
	var all []string
	for _, part := range parts {
		all = append(all, part.name)
	}
	if only == "" {
		return all, nil
	}
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("-only %s: there is no part %q; there are %s", only, name, strings.Join(all, ", "))
		}
	}
	return names, nil
}

// sourceTree finds the root of Penstock's module: `go run` leaves the program far from it, but not the working folder.
func sourceTree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w: run it there, with `make bench`", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// removeAll removes a folder in which a contender may have left read-only folders.
func removeAll(folder string) error {
	err := os.RemoveAll(folder)
	if err == nil {
		return nil
	}
	walkErr := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	if err := os.RemoveAll(folder); err != nil {
		return errors.Join(fmt.Errorf("remove %s, which you can do by hand: %w", folder, err), walkErr)
	}
	return nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
