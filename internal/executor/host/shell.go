package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell runs a stage's commands: one shell for all of them, so that "cd" and variables carry over, with -e -u -o pipefail.
type shell struct {
	workspace *workspace
	family    *family
	variables []string // "name=value"
	out, err  *stream
}

// inert are the builtins that do nothing outside the shell. Everything else waits for the workspace: programs, and
// builtins that look at files, also "test" and "command -v".
var inert = map[string]bool{
	":": true, "true": true, "false": true, "echo": true, "printf": true, "exit": true, "set": true, "shopt": true, "export": true,
	"unset": true, "shift": true, "return": true, "break": true, "continue": true, "local": true, "declare": true, "readonly": true,
}

// run runs the commands. The exit code is that of the command that ended the script; err is for what is no answer of a
// command: a workspace that could not be made, a script that cannot be parsed, ctx.
func (s *shell) run(ctx context.Context, name string, commands []string) (exitCode int, err error) {
	script, needsFiles, err := parse(name, commands)
	if err != nil {
		return -1, err
	}
	if needsFiles {
		if err := s.workspace.prepare(ctx); err != nil {
			return -1, err
		}
	}
	runner, err := interp.New(
		func(r *interp.Runner) error {
			r.Dir = s.workspace.root // interp.Dir wants it to be there already
			return nil
		},
		interp.Env(expand.ListEnviron(s.variables...)),
		interp.StdIO(nil, s.out, s.err),
		interp.Params("-e", "-u", "-o", "pipefail"),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.OpenHandler(func(ctx context.Context, path string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
			if path != os.DevNull {
				if err := s.workspace.prepare(ctx); err != nil {
					return nil, err
				}
			}
			return interp.DefaultOpenHandler()(ctx, path, flag, perm)
		}),
		interp.ReadDirHandler2(func(ctx context.Context, path string) ([]fs.DirEntry, error) {
			if err := s.workspace.prepare(ctx); err != nil {
				return nil, err
			}
			return interp.DefaultReadDirHandler2()(ctx, path)
		}),
		interp.StatHandler(func(ctx context.Context, path string, follow bool) (fs.FileInfo, error) {
			if err := s.workspace.prepare(ctx); err != nil {
				return nil, err
			}
			return interp.DefaultStatHandler()(ctx, path, follow)
		}),
	)
	if err != nil {
		return -1, fmt.Errorf("start the shell: %w", err)
	}
	err = runner.Run(ctx, script)
	// Whatever still runs in the background gets no more programs.
	s.family.close()
	var status interp.ExitStatus
	var host *hostError
	switch {
	case ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case s.workspace.failure() != nil:
		return -1, s.workspace.failure()
	case err == nil:
		return 0, nil
	case errors.As(err, &host):
		return -1, err
	case errors.As(err, &status):
		return int(status), nil
	default:
		// The shell gave up on the script: an unset variable, a bad substitution. It has said so.
		fmt.Fprintln(s.err, err)
		return 1, nil
	}
}

// parse makes one script of the commands, each parsed by itself so that an error is about the right one. needsFiles says
// that the script does something that no handler sees before it touches the file system.
func parse(name string, commands []string) (_ *syntax.File, needsFiles bool, _ error) {
	script := &syntax.File{Name: name}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for i, command := range commands {
		file, err := parser.Parse(strings.NewReader(command), "")
		if err != nil {
			return nil, false, fmt.Errorf("command %d of stage %s is no valid shell script, at %w", i+1, name, err)
		}
		script.Stmts = append(script.Stmts, file.Stmts...)
	}
	syntax.Walk(script, func(node syntax.Node) bool {
		if _, ok := node.(*syntax.ProcSubst); ok {
			needsFiles = true // a named pipe in TMPDIR
		}
		return true
	})
	return script, needsFiles, nil
}

// call sees every simple command before it runs, builtins too.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	if s.family.isClosed() {
		return nil, errFamilyClosed // a background shell that outlived the script
	}
	if inert[args[0]] {
		return args, nil
	}
	return args, s.workspace.prepare(ctx)
}

// exec runs a program.
func (s *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		fmt.Fprintf(hc.Stderr, "penstock: %s: not found on the stage's PATH; is it an output of a stage that this one needs, or missing among its tools?\n", args[0])
		return interp.ExitStatus(127)
	}
	stdout, err := s.handedOver(hc.Stdout)
	if err != nil {
		return err
	}
	stderr, err := s.handedOver(hc.Stderr)
	if err != nil {
		return err
	}
	command := func(path string, args []string) *exec.Cmd {
		return &exec.Cmd{
			Path: path, Args: args, Env: exported(hc.Env), Dir: hc.Dir, Stdin: stdin(hc.Stdin), Stdout: stdout, Stderr: stderr,
		}
	}
	cmd := command(path, args)
	err = s.family.start(cmd)
	for pause := time.Millisecond; isBusy(err) && pause < 300*time.Millisecond; pause *= 2 {
		time.Sleep(pause)
		cmd = command(path, args)
		err = s.family.start(cmd)
	}
	if isNotExecutable(err) {
		cmd = command("/bin/sh", append([]string{"sh", path}, args[1:]...))
		err = s.family.start(cmd)
	}
	var host *hostError
	if errors.Is(err, errFamilyClosed) || errors.As(err, &host) {
		return err
	}
	if err != nil {
		fmt.Fprintf(hc.Stderr, "penstock: %s: %v\n", args[0], err)
		return interp.ExitStatus(126)
	}
	err = cmd.Wait()
	s.family.reaped(cmd.Process.Pid)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return interp.ExitStatus(exitCodeOf(exit))
	default:
		return &hostError{fmt.Errorf("wait for %s: %w", args[0], err)}
	}
}

// handedOver turns one of the stage's own streams into the file that programs get. A file (of a shell pipe, a redirection)
// and the buffer of a command substitution stay what they are.
func (s *shell) handedOver(w io.Writer) (io.Writer, error) {
	if stream, ok := w.(*stream); ok {
		return stream.file()
	}
	return w, nil
}

// stdin keeps a nil file from becoming an input that is not nil.
func stdin(r io.Reader) io.Reader {
	if file, ok := r.(*os.File); ok && file == nil {
		return nil
	}
	return r
}

// exported lists the variables that programs get.
func exported(env expand.Environ) []string {
	var list []string
	env.Each(func(name string, value expand.Variable) bool {
		if value.Exported && value.IsSet() && value.Kind == expand.String {
			list = append(list, name+"="+value.Str)
		}
		return true
	})
	return list
}
