package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/inputs"
)

// reportsPrefix begins the path of a report in the stage's own report folder.
const reportsPrefix = "$PENSTOCK_REPORTS/"

// collectReports brings the declared reports of a finished stage into the run's folder, without secrets. Reports that are
// not there are named in the result unless they are optional.
func (r *stageRun) collectReports(result *engine.Result) error {
	for i, report := range r.job.Stage.Reports {
		from, err := r.reportPath(report.Path)
		if err != nil {
			return err
		}
		if _, ok := sizeOf(from); !ok || !r.workspace.made() {
			if !report.Optional {
				result.Missing = append(result.Missing, report.Path)
			}
			continue
		}
		to := filepath.Join(r.workspace.kept, fmt.Sprintf("%d-%s", i, filepath.Base(from)))
		if err := r.keepReport(from, to); err != nil {
			return fmt.Errorf("keep the report %s of stage %s: %w", report.Path, r.job.Stage.Name, err)
		}
		result.Reports = append(result.Reports, gates.Report{Kind: report.Kind, Stage: r.job.Stage.Name, Path: to, Root: result.Root})
	}
	return nil
}

// keepReport copies: the same file may be an output too, and what is done to the report must not be done to that.
func (r *stageRun) keepReport(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := inputs.CopyFile(from, to, 0o644); err != nil {
		return err
	}
	return r.redactor.File(to)
}

// reportPath finds a report. A link must not lead out of the stage's own folders: a report is shown to gates and people.
func (r *stageRun) reportPath(path string) (string, error) {
	root := r.workspace.root
	if rest, ok := strings.CutPrefix(path, reportsPrefix); ok {
		root, path = r.workspace.reports, rest
	}
	clean := filepath.FromSlash(path)
	if !filepath.IsLocal(clean) {
		return "", fmt.Errorf("report %q of stage %s must lie within the app's folder or begin with %s", path, r.job.Stage.Name, reportsPrefix)
	}
	full := filepath.Join(root, clean)
	real, err := filepath.EvalSymlinks(full)
	if errors.Is(err, os.ErrNotExist) {
		return full, nil
	}
	if err != nil {
		return "", fmt.Errorf("find the report %s: %w", path, err)
	}
	for _, folder := range []string{r.workspace.root, r.workspace.reports} {
		if resolved, err := filepath.EvalSymlinks(folder); err == nil && within(resolved, real) {
			return real, nil
		}
	}
	return "", fmt.Errorf("report %q of stage %s is a link that leads out of the stage's folders", path, r.job.Stage.Name)
}
