package appfacts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/pipelines"
)

// readDeployScript reads what the app's own deploy script tells wrangler besides the config: the entry file and options that
// change what is uploaded. They are given in the script's own words. What would change where or as what it is deployed is told: Penstock goes
// by the config there.
func (r *reading) readDeployScript() (options []string) {
	const script = "deploy"
	found, ok := r.callOf(script)
	if !ok || found.program() != "wrangler" || len(found.words) < 2 || found.words[1] != "deploy" && found.words[1] != "publish" {
		return nil
	}
	line, column := r.manifest.place("/scripts/" + found.script)
	words := found.words[2:]
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if !strings.HasPrefix(word, "-") {
			if r.entry == "" {
				r.entry = strings.Trim(word, `"'`)
				options = append(options, word)
			}
			continue
		}
		name, _, joined := strings.Cut(word, "=")
		taken := []string{word}
		if !joined && !slices.Contains(switches, name) && len(words) > 0 && !strings.HasPrefix(words[0], "-") {
			taken, words = append(taken, words[0]), words[1:]
		}
		switch {
		case slices.Contains(bundling, name):
			options = append(options, taken...)
		case !slices.Contains(elsewhere, name):
			r.problem(pipelines.SeverityWarning, manifestName, line, column,
				fmt.Sprintf("the script %s passes %s to wrangler, and Penstock deploys what the wrangler config says", found.script, strings.Join(taken, " ")),
				"write it into the wrangler config, so that both do the same")
		}
	}
	return options
}

// The options of `wrangler deploy` by what they do here.
var (
	// bundling change what is uploaded, and are passed on.
	bundling = []string{
		"--minify", "--no-bundle", "--bundle", "--tsconfig", "--alias", "--define", "--jsx-factory", "--jsx-fragment",
		"--upload-source-maps",
	}
	// switches take no value.
	switches = []string{"--minify", "--no-bundle", "--bundle", "--upload-source-maps", "--keep-vars", "--dry-run", "--latest", "--strict", "--experimental-autoconfig"}
	// elsewhere are answered by the environments of the pipeline, or are about the command itself.
	elsewhere = []string{"--env", "-e", "--dry-run", "--outdir", "--outfile", "--metafile", "--keep-vars", "--message", "--tag", "--strict", "--cwd"}
)
