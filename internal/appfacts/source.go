package appfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"github.com/penstock-ci/penstock/pipelines"
)

// builtFolders are where builds leave their results, by convention: one may lie on a developer's disk though git ignores it.
var builtFolders = []string{"dist", "build", "out", ".output", ".svelte-kit", ".open-next", ".vinxi"}

// built remembers a path of the wrangler config that the sources do not hold.
func (r *reading) built(name string) {
	if name = folderWithin(name); name == "" {
		return
	}
	top, _, _ := strings.Cut(name, "/")
	built := slices.Contains(builtFolders, top) && r.app.HasScript("build")
	if r.exists(name) && !built {
		return
	}
	if !slices.Contains(r.app.Worker.Built, top) {
		r.app.Worker.Built = append(r.app.Worker.Built, top)
		slices.Sort(r.app.Worker.Built)
	}
}

// generates reports whether the build writes the wrangler config that is deployed: it runs Cloudflare's Vite plugin, which the
// newer adapters of frameworks bring with them.
func (r *reading) generates() bool {
	if !r.app.HasScript("build") {
		return false
	}
	astro, _ := semver.NPM.ParseConstraint(">=13.0.0-0")
	return r.app.DependsOn("@cloudflare/vite-plugin") ||
		r.app.DependsOn("@astrojs/cloudflare") && astro.Match(strings.TrimLeft(r.app.Dependencies["@astrojs/cloudflare"], "^~=v "))
}

// folderWithin cleans the path of a file or folder; "" when it does not lie within the app's folder.
func folderWithin(name string) string {
	name = path.Clean(strings.TrimPrefix(filepath.ToSlash(name), "./"))
	if name == "." || name == ".." || strings.HasPrefix(name, "../") || path.IsAbs(name) {
		return ""
	}
	return name
}

// readSource looks for alerts, a seed file and a health check.
func (r *reading) readSource() error {
	if r.exists(pipelines.AlertsFile) {
		r.app.Alerts = pipelines.AlertsFile
	}
	if err := r.findSeed(); err != nil {
		return err
	}
	return r.findHealthCheck()
}

// findSeed takes the guide's small seed, or the only one there is.
func (r *reading) findSeed() error {
	for _, name := range []string{"seed/minimal.sql", "seeds/minimal.sql", "seed.sql"} {
		if r.exists(name) {
			r.app.Worker.Seed = name
			return nil
		}
	}
	for _, folder := range []string{"seeds", "seed"} {
		entries, err := os.ReadDir(filepath.Join(r.dir, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for a seed file: %w", err)
		}
		var files []string
		for _, entry := range entries {
			if entry.Type().IsRegular() && strings.HasSuffix(entry.Name(), ".sql") {
				files = append(files, folder+"/"+entry.Name())
			}
		}
		if len(files) == 1 {
			r.app.Worker.Seed = files[0]
			return nil
		}
	}
	return nil
}

// Bounds of the search: it guides a default, and must not cost what a build costs.
const (
	maxSources    = 500
	maxSourceSize = 256 << 10
)

// healthRoute is a route in quotes, as routers and comparisons have it.
var healthRoute = regexp.MustCompile("[\"'`](/(?:api/)?(?:health|healthz|health-check|healthcheck|_health))[\"'`]")

// healthWords are what a health page in the production guide's shape is made of; all in one file.
var healthWords = []*regexp.Regexp{regexp.MustCompile(`\bchecks\b`), regexp.MustCompile(`\blatency\b`), regexp.MustCompile(`\btimestamp\b`)}

var errEnough = errors.New("enough files were searched")

// findHealthCheck looks for the route of a health check in the Worker's source; /health wins over longer ones.
func (r *reading) findHealthCheck() error {
	root := "src"
	if folder := path.Dir(r.app.Worker.Main); r.app.Worker.Main != "" && r.exists(r.app.Worker.Main) && !slices.Contains(r.app.Worker.Built, strings.Split(folder, "/")[0]) {
		root = folder
	}
	searched := 0
	var found []string
	err := filepath.WalkDir(filepath.Join(r.dir, filepath.FromSlash(root)), func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || slices.Contains(builtFolders, entry.Name()) || len(entry.Name()) > 1 && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case !isSource(entry):
			return nil
		}
		if searched++; searched > maxSources {
			return errEnough
		}
		if info, err := entry.Info(); err != nil || info.Size() > maxSourceSize {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, match := range healthRoute.FindAllSubmatch(text, -1) {
			found = append(found, string(match[1]))
		}
		saysAll := !slices.ContainsFunc(healthWords, func(word *regexp.Regexp) bool { return !word.Match(text) })
		r.app.Worker.HealthChecks = r.app.Worker.HealthChecks || saysAll
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for a health check in the source: %w", err)
	}
	slices.SortStableFunc(found, func(a, b string) int { return len(a) - len(b) })
	if len(found) > 0 {
		r.app.Worker.HealthPath = found[0]
	}
	return nil
}

func isSource(entry fs.DirEntry) bool {
	name := entry.Name()
	if !entry.Type().IsRegular() || strings.Contains(name, ".test.") || strings.Contains(name, ".spec.") {
		return false
	}
	return slices.Contains([]string{".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs"}, path.Ext(name))
}
