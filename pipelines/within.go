package pipelines

import (
	"path"
	"strings"
)

// Workspace is what an app's package manager installs together with the app: the folder above it that holds the lock file, and the
// other packages in it. Paths are relative to the app's folder.
type Workspace struct {
	Up      string   // to the workspace's folder: "../.."
	Place   string   // from there to the app: "apps/api"
	Members []string // the folders of the other packages
	Others  []string // of those, the ones that the app does not depend on
	Built   []string // names of packages that the app depends on and that have a build script
}

// Within is the pipeline of an app that lies at place in its source ("apps/api"; "" changes nothing): its commands run in the
// app's folder, and its paths begin at the source's root, where the snapshot does. Paths that lead out of the app's folder
// lead to what lies above it in the source.
func Within(p Pipeline, place string) Pipeline {
	if place == "" {
		return p
	}
	stages := make([]Stage, len(p.Stages))
	for i, stage := range p.Stages {
		stage.Run = append([]string{`export PATH="$PWD/` + place + `/node_modules/.bin:$PWD/node_modules/.bin:$PATH"; cd ` + quoted(place)}, stage.Run...)
		stage.Inputs = moved(stage.Inputs, place)
		if len(stage.Inputs) == 0 {
			stage.Inputs = []string{place + "/**"}
		}
		stage.Outputs = moved(stage.Outputs, place)
		stage.Reports = append([]Report(nil), stage.Reports...)
		for j, report := range stage.Reports {
			if !strings.HasPrefix(report.Path, reportFolder) {
				stage.Reports[j].Path = path.Join(place, report.Path)
			}
		}
		stages[i] = stage
	}
	p.Stages = stages
	return p
}

func moved(paths []string, place string) []string {
	var all []string
	for _, name := range paths {
		if excluded, ok := strings.CutPrefix(name, "!"); ok {
			all = append(all, "!"+path.Join(place, excluded))
			continue
		}
		all = append(all, path.Join(place, name))
	}
	return all
}
