package dagger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dagger.io/dagger"

	"github.com/penstock-ci/penstock/pipelines"
)

// Where things lie in a stage's container.
const (
	base       = "/penstock"
	appDir     = base + "/app"
	reportsDir = base + "/reports"
	cachesDir  = base + "/caches"
	leftDir    = base + "/left" // what is known of the stage afterwards
	scriptsDir = base + "/scripts"
	scriptFile = scriptsDir + "/stage.sh"
	runFile    = scriptsDir + "/run.sh"
)

// wordVariable holds the session's word. The stage itself does not see it.
const wordVariable = "PENSTOCK_SESSION_WORD"

// scripts are the stage's scripts as a directory of the engine. They go there as files: what a query says shows in Dagger's
// own view, where pages of shell would hide what matters.
func (s *Session) scripts(stage *pipelines.Stage, mark string) (*dagger.Directory, error) {
	sum := sha256.Sum256([]byte(mark))
	folder := filepath.Join(s.folder.Work, "scripts", hex.EncodeToString(sum[:8]))
	err := errors.Join(
		os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, filepath.Base(scriptFile)), []byte(stageScript(stage)), 0o644),
		os.WriteFile(filepath.Join(folder, filepath.Base(runFile)), []byte(runScript(stage, mark)), 0o644),
	)
	if err != nil {
		return nil, fmt.Errorf("write the scripts of stage %s: %w", stage.Name, err)
	}
	return s.client.Host().Directory(folder), nil
}

// stageScript is the stage's commands as one script, so that "cd" and variables carry over.
func stageScript(stage *pipelines.Stage) string { return strings.Join(stage.Run, "\n") + "\n" }

// runScript runs the stage's script and writes down how it went. It always succeeds: what the stage left must be to be
// had whatever the stage came to, and the engine gives nothing out of a container that failed. mark is the first line of
// the output, by which the output is known.
func runScript(stage *pipelines.Stage, mark string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `mkdir -p "$HOME" "$TMPDIR" %[1]s %[2]s/reports
printf '%%s' "$%[3]s" >%[2]s/word
unset %[3]s
date +%%s >%[2]s/began
echo %[4]s
if shell=$(command -v bash); then :
elif (set -o pipefail) 2>/dev/null; then shell=$(command -v sh)
else
  echo 'penstock: this image has no shell that knows pipefail; use one with bash' >&2
  exit 0
fi
PATH="%[5]s/node_modules/.bin:$PATH" "$shell" -euo pipefail %[6]s </dev/null
echo $? >%[2]s/code
report() {
  real=$(readlink -f -- "$2" 2>/dev/null) || real=
  case "$real" in
  %[5]s/*|%[1]s/*) if [ -f "$real" ] && cp -- "$real" "%[2]s/reports/$1"; then echo "report $1 kept"; else echo "report $1 missing"; fi ;;
  '') echo "report $1 missing" ;;
  *) if [ -e "$real" ]; then echo "report $1 outside"; else echo "report $1 missing"; fi ;;
  esac
}
output() {
  if [ -d "$2" ]; then echo "output $1 dir"; elif [ -e "$2" ]; then echo "output $1 file"; else echo "output $1 missing"; fi
}
{
:
`, reportsDir, leftDir, wordVariable, quote(mark), appDir, scriptFile)
	for i, report := range stage.Reports {
		fmt.Fprintf(&b, "report %d %s\n", i, quote(inContainer(report.Path)))
	}
	for i, output := range stage.Outputs {
		fmt.Fprintf(&b, "output %d %s\n", i, quote(inContainer(output)))
	}
	fmt.Fprintf(&b, "} >%s/found\nexit 0\n", leftDir)
	return b.String()
}

// reportsPrefix begins the path of a report in the stage's own report folder.
const reportsPrefix = "$PENSTOCK_REPORTS/"

// inContainer is where a declared report or output lies.
func inContainer(path string) string {
	if rest, ok := strings.CutPrefix(path, reportsPrefix); ok {
		return reportsDir + "/" + rest
	}
	return appDir + "/" + strings.TrimPrefix(path, "./")
}

// quote makes one word for a POSIX shell of any text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
