package appfacts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/penstock-ci/penstock/pipelines"
)

// lockfiles are known by name; of two of the same manager the first counts, as it does for the manager.
var lockfiles = []struct {
	name    string
	manager pipelines.PackageManager
}{
	{"npm-shrinkwrap.json", pipelines.NPM},
	{"package-lock.json", pipelines.NPM},
	{"pnpm-lock.yaml", pipelines.PNPM},
	{"yarn.lock", pipelines.Yarn},
	{"bun.lock", pipelines.Bun},
	{"bun.lockb", pipelines.Bun},
}

// readLockfile decides on the package manager: the lock file's, and where there is none or several the one that
// package.json names.
func (r *reading) readLockfile() error {
	var found []string
	owners := map[string]pipelines.PackageManager{}
	var managers []pipelines.PackageManager
	for _, lock := range lockfiles {
		if r.locked(lock.name) && !slices.Contains(managers, lock.manager) {
			found = append(found, lock.name)
			managers = append(managers, lock.manager)
			owners[lock.name] = lock.manager
		}
	}
	declared, line, column := r.declaredManager()
	switch {
	case len(found) == 0:
		r.app.PackageManager = pipelines.NPM
		if declared != "" {
			r.app.PackageManager = declared
		}
		if r.app.Workspace == nil {
			r.lockElsewhere()
		}
	case len(found) == 1:
		r.app.Lockfile, r.app.PackageManager = found[0], owners[found[0]]
		if declared != "" && declared != r.app.PackageManager {
			r.problem(pipelines.SeverityError, manifestName, line, column,
				fmt.Sprintf("packageManager is %s, and the lock file %s is %s's", declared, found[0], r.app.PackageManager),
				fmt.Sprintf("run `%s install` and delete %s, or correct packageManager", declared, found[0]))
		}
	case declared != "" && slices.Contains(managers, declared):
		r.app.PackageManager = declared
		for _, name := range found {
			if owners[name] == declared {
				r.app.Lockfile = name
				continue
			}
			r.problem(pipelines.SeverityWarning, name, 0, 0, fmt.Sprintf("is not read: packageManager is %s", declared), "delete it")
		}
	default:
		r.app.Lockfile, r.app.PackageManager = found[0], owners[found[0]]
		r.problem(pipelines.SeverityError, found[1], 0, 0,
			"there is more than one lock file ("+strings.Join(found, ", ")+"), and they need not agree", "keep the one of the package manager that you use")
	}
	return r.readLocked()
}

// declaredManager is the manager in packageManager ("pnpm@9.1.0"), "" when there is none that is known.
func (r *reading) declaredManager() (manager pipelines.PackageManager, line, column int) {
	name, _, _ := strings.Cut(r.manifest.PackageManager, "@")
	if name == "" {
		return "", 0, 0
	}
	line, column = r.manifest.place("/packageManager")
	manager = pipelines.PackageManager(name)
	if !slices.Contains([]pipelines.PackageManager{pipelines.NPM, pipelines.PNPM, pipelines.Yarn, pipelines.Bun}, manager) {
		r.problem(pipelines.SeverityWarning, manifestName, line, column, fmt.Sprintf("packageManager names %q, which is not known", name), "write npm, pnpm, yarn or bun, with a version")
		return "", 0, 0
	}
	return manager, line, column
}

// lockElsewhere says so when the app is part of a workspace whose lock file lies above it: it does not travel with the app.
func (r *reading) lockElsewhere() {
	dir, err := filepath.Abs(r.dir)
	if err != nil {
		return
	}
	for depth := 0; depth < 8; depth++ {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return // the repository's root
		}
		dir = filepath.Dir(dir)
		for _, lock := range lockfiles {
			if _, err := os.Stat(filepath.Join(dir, lock.name)); err == nil {
				r.problem(pipelines.SeverityWarning, manifestName, 0, 0,
					"the lock file "+lock.name+" lies in a folder above, and no workspace there names this folder: its packages would not be those that are locked",
					"add the folder to the workspaces of the package.json there (pnpm: pnpm-workspace.yaml), or give the app a lock file of its own")
				return
			}
		}
	}
}

// readLocked takes out of the lock file what is worth knowing before anything is installed.
func (r *reading) readLocked() error {
	switch r.app.Lockfile {
	case "package-lock.json", "npm-shrinkwrap.json":
		text, _, err := r.textIn(r.top, r.app.Lockfile)
		if err != nil {
			return err
		}
		var lock struct {
			Packages map[string]struct {
				Engines engines `json:"engines"`
			} `json:"packages"`
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			line, column, what := locate(text, err)
			r.problem(pipelines.SeverityError, r.app.Lockfile, line, column, what, "make it again with `npm install`; a merge may have left marks in it")
			return nil
		}
		wrangler := lock.Packages["node_modules/wrangler"]
		if r.app.Workspace != nil {
			if own, nested := lock.Packages[r.app.Workspace.Place+"/node_modules/wrangler"]; nested {
				wrangler = own
			}
		}
		r.app.WranglerNodeRange = wrangler.Engines.Node
	case "yarn.lock":
		text, _, err := r.textIn(r.top, r.app.Lockfile)
		if err != nil {
			return err
		}
		r.app.Berry = bytes.Contains(text, []byte("\n__metadata:"))
		if r.app.Berry {
			return r.readLinker()
		}
	}
	return nil
}

// readLinker refuses Yarn's Plug'n'Play: wrangler, vitest and tsc start from node_modules.
func (r *reading) readLinker() error {
	text, _, err := r.textIn(r.top, ".yarnrc.yml")
	if err != nil {
		return err
	}
	var settings struct {
		NodeLinker string `yaml:"nodeLinker"`
	}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		r.problem(pipelines.SeverityError, ".yarnrc.yml", 0, 0, err.Error(), "correct it; yarn cannot read it either")
		return nil
	}
	if settings.NodeLinker != "node-modules" {
		r.problem(pipelines.SeverityError, ".yarnrc.yml", 0, 0, "Yarn installs by Plug'n'Play, and the stages hand on node_modules", "add the line `nodeLinker: node-modules`")
	}
	return nil
}
