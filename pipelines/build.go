package pipelines

import (
	"fmt"
	"slices"
	"strings"
)

// Build makes the pipeline that runs: the shipped one, adjusted or replaced by file where there is one (nil: there is
// none), defaulted and validated. All problems of the last two steps are listed together.
func Build(shipped Pipeline, file *File) (Pipeline, Problems) {
	p, problems := shipped, Problems(nil)
	if file != nil {
		p, problems = file.Apply(shipped)
	}
	p = Default(p)
	problems = append(problems, Validate(p, file)...)
	problems.Sort()
	return p, problems
}

// Agree lists where the pipeline refers to something of the app that is not there.
func Agree(p Pipeline, file *File, app App) Problems {
	var problems Problems
	for _, env := range p.Environments {
		if env.WranglerEnv == "" || slices.Contains(app.Worker.Environments, env.WranglerEnv) {
			continue
		}
		fix := "take the line away to deploy its top level: it names no environments"
		if len(app.Worker.Environments) > 0 {
			fix = "name one of " + strings.Join(app.Worker.Environments, ", ") + ", or take the line away for the top level"
		}
		problems = append(problems, file.problem(at("environments", env.Name, "wranglerEnv"),
			fmt.Sprintf("%s has no environment %q%s", app.Worker.ConfigFile, env.WranglerEnv, didYouMean(env.WranglerEnv, app.Worker.Environments)), fix))
	}
	return problems
}
