package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// workload is a pipeline of no-op stages.
type workload struct {
	stages int
	chain  bool   // each needs the one before
	run    string // the command of every stage
	gates  []string
}

// bundleBody is the smallest upload that Cloudflare's API would take. Every pipeline must make one.
const bundleBody = "------bench\r\n" +
	"Content-Disposition: form-data; name=\"metadata\"\r\n\r\n" +
	`{"main_module":"index.js","compatibility_date":"2026-01-01"}` + "\r\n" +
	"------bench\r\n" +
	"Content-Disposition: form-data; name=\"index.js\"; filename=\"index.js\"\r\n" +
	"Content-Type: application/javascript+module\r\n\r\n" +
	"export default { fetch: () => new Response('ok') };\n\r\n" +
	"------bench--\r\n"

// files are those of the smallest Worker app with that pipeline.
func (w workload) files() map[string]string {
	return map[string]string{
		"package.json":   `{"name": "bench", "private": true}` + "\n",
		"wrangler.jsonc": `{"name": "bench", "main": "index.js", "compatibility_date": "2026-01-01"}` + "\n",
		"index.js":       "export default { fetch: () => new Response('ok') };\n",
		"worker.form":    bundleBody,
		"penstock.yaml":  w.pipeline(),
	}
}

func (w workload) pipeline() string {
	var text strings.Builder
	text.WriteString("pipeline: custom\nstages:\n")
	text.WriteString("  bundle:\n    inputs: [worker.form]\n    outputs: [.penstock-bundle/worker.form]\n" +
		"    run: mkdir -p .penstock-bundle && cp worker.form .penstock-bundle/worker.form\n")
	for i := range w.stages {
		fmt.Fprintf(&text, "  %s: {run: %q", stageName(i), w.run)
		if w.chain && i > 0 {
			fmt.Fprintf(&text, ", needs: [%s]", stageName(i-1))
		}
		text.WriteString("}\n")
	}
	if len(w.gates) > 0 {
		text.WriteString("gates:\n")
	}
	for _, gate := range w.gates {
		fmt.Fprintf(&text, "  %s: {enforcement: mandatory}\n", gate)
	}
	text.WriteString("environments:\n  local: {target: local}\n")
	return text.String()
}

// makefile is the same work for make, which runs a plain command without a shell.
func (w workload) makefile() string {
	var text strings.Builder
	text.WriteString(".PHONY: all")
	for i := range w.stages {
		text.WriteString(" " + stageName(i))
	}
	text.WriteString("\nall:")
	for i := range w.stages {
		text.WriteString(" " + stageName(i))
	}
	text.WriteString(" ;\n")
	for i := range w.stages {
		text.WriteString(stageName(i) + ":")
		if w.chain && i > 0 {
			text.WriteString(" " + stageName(i-1))
		}
		text.WriteString("\n\t@" + w.run + "\n")
	}
	return text.String()
}

// script is the same work for a shell: one command a line, which is in a row and cannot be otherwise.
func (w workload) script() string { return strings.Repeat(w.run+"\n", w.stages) }

func stageName(i int) string { return fmt.Sprintf("s%d", i) }

// makeApp writes the app into a new folder, as a git repository with one commit.
func makeApp(ctx context.Context, folder string, files map[string]string) error {
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return commitAll(ctx, folder)
}

// commitAll makes a folder a git repository with one commit of all that its .gitignore does not exclude, but for the paths
// in unseen, which git is told not to see.
func commitAll(ctx context.Context, folder string, unseen ...string) error {
	git := func(args ...string) error {
		command := exec.CommandContext(ctx, "git", args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("make a git repository: git %s: %w", args[0], err), errors.New(strings.TrimSpace(string(out))))
		}
		return nil
	}
	if err := git("init", "--quiet"); err != nil {
		return err
	}
	info := filepath.Join(folder, ".git", "info")
	if err := os.MkdirAll(info, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(info, "exclude"), []byte(strings.Join(unseen, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	if err := git("add", "--all"); err != nil {
		return err
	}
	return git("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "bench")
}
