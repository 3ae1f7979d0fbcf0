package wrangler

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-ci/penstock/pipelines"
)

// ErrNoConfig says that the folder has no wrangler configuration.
var ErrNoConfig = errors.New("no wrangler.json, wrangler.jsonc or wrangler.toml")

// configNames are in wrangler's own order of preference.
var configNames = []string{"wrangler.json", "wrangler.jsonc", "wrangler.toml"}

// Redirect is the file by which a build tells `wrangler deploy` to take another configuration.
const Redirect = ".wrangler/deploy/config.json"

// maxConfigSize bounds what is read: real configurations have a few kilobytes.
const maxConfigSize = 1 << 20

// Find returns the name of the configuration in dir, or [ErrNoConfig]. Unlike wrangler it does not look in the folders
// above, where a stray file would win unseen; whoever runs wrangler passes --config for the same reason.
//
// The problems are warnings: about a second configuration that is ignored, and about a redirect that a build left.
func Find(dir string) (string, pipelines.Problems, error) {
	var found []string
	for _, name := range configNames {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err == nil && info.Mode().IsRegular():
			found = append(found, name)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", nil, fmt.Errorf("look for the wrangler configuration: %w", err)
		}
	}
	if len(found) == 0 {
		return "", nil, fmt.Errorf("%w in %s", ErrNoConfig, dir)
	}
	var problems pipelines.Problems
	if len(found) > 1 {
		problems = append(problems, pipelines.Problem{
			Severity: pipelines.SeverityWarning,
			File:     found[1],
			What:     fmt.Sprintf("is not read: wrangler prefers %s, which lies beside it", found[0]),
			Fix:      "delete the one that you do not mean",
		})
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(Redirect))); err == nil {
		problems = append(problems, pipelines.Problem{
			Severity: pipelines.SeverityWarning,
			File:     Redirect,
			What:     "a build left this redirect, and `wrangler deploy` would take the configuration that it names",
			Fix:      "Penstock reads " + found[0] + "; delete the .wrangler folder if a deploy by hand should do so too",
		})
	}
	return found[0], problems, nil
}

// Load finds and parses the configuration in dir. The error is [ErrNoConfig], [pipelines.Problems] when the file is not
// what wrangler would accept, or says why it could not be read.
func Load(dir string) (*Config, error) {
	name, warnings, err := Find(dir)
	if err != nil {
		return nil, err
	}
	data, err := readBounded(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	config, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	config.Warnings = append(warnings, config.Warnings...)
	return config, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// One byte more than allowed, so that Parse can tell.
	return io.ReadAll(io.LimitReader(file, maxConfigSize+1))
}

func isTOML(name string) bool { return strings.HasSuffix(name, ".toml") }
