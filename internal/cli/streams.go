package cli

import (
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/term"
)

// Streams is the world that a command sees: its arguments, environment and files. Tests pass their own.
type Streams struct {
	Args       []string // without the program's name
	Env        func(name string) string
	In         io.Reader
	Out        io.Writer // results
	Err        io.Writer // progress and complaints
	Executable string    // path of this binary: gate sets lie beside it, and the background parts are this binary again

	// Closed by the first and by the second interrupt; nil when nobody interrupts.
	stopping, killed chan struct{}
}

// terminalSize returns the columns and rows of w, and whether w is a terminal at all.
func terminalSize(w io.Writer) (columns, rows int, isTerminal bool) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, 0, false
	}
	columns, rows, err := term.GetSize(int(file.Fd()))
	if err != nil || columns <= 0 || rows <= 0 { // one that does not know, as in some containers
		return 80, 24, true
	}
	return columns, rows, true
}

// colour follows https://no-color.org and the common CLICOLOR_FORCE.
func (s *Streams) colour(isTerminal bool) bool {
	if s.Env("NO_COLOR") != "" || s.Env("TERM") == "dumb" {
		return false
	}
	return isTerminal || s.Env("CLICOLOR_FORCE") == "1"
}

// stateDir is where runs, caches, the ledger and the local Cloudflare are kept: $PENSTOCK_STATE_DIR, else the user's state
// folder (XDG base directory specification; on Windows the local application data).
func (s *Streams) stateDir() (string, error) {
	if dir := s.Env("PENSTOCK_STATE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := s.Env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "penstock"), nil
	}
	if runtime.GOOS == "windows" {
		if dir := s.Env("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "penstock"), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fail(ExitUsage, "set PENSTOCK_STATE_DIR to a folder that Penstock may write to", err)
	}
	return filepath.Join(home, ".local", "state", "penstock"), nil
}
