package pipelines

import (
	"fmt"
	"strings"
)

// Notes says what the shipped pipeline leaves out for this app or cannot judge, why, and what would change that. Nothing
// that is missing from a run should have to be guessed from what is not printed.
func Notes(app App) Problems {
	var notes Problems
	note := func(severity Severity, file, what, fix string) {
		notes = append(notes, Problem{Severity: severity, File: file, What: what, Fix: fix})
	}
	const manifest = "package.json"
	if app.Lockfile == "" {
		note(SeverityWarning, manifest, "there is no lock file, so every install may bring other packages, and no advisories are asked for",
			fmt.Sprintf("run `%s install` and commit the lock file that it writes", app.PackageManager))
	}
	reporting := app.reporting()
	switch {
	case !app.HasScript("test"):
		note(SeverityWarning, manifest, "there is no test script: nothing is tested, and no coverage is measured", `add "test" to the scripts`)
	case app.TestRunner == "":
		note(SeverityWarning, manifest, "the test script starts none of vitest, jest or node --test that could be recognised: whether it passes is known, the single tests and the coverage are not",
			"let the test script be one call of its runner, or describe the stage's reports in "+FileName)
	default:
		if !reporting.junit {
			what, fix := howToReport(app)
			note(SeverityWarning, manifest, "the single tests' results cannot be had: "+what, fix)
		}
		if !reporting.covers {
			what, fix := howToCover(app)
			note(SeverityWarning, manifest, "coverage cannot be measured: "+what, fix)
		}
		if app.TestRunner == "node" && reporting.covers {
			note(SeverityWarning, manifest, "node --test counts the test files among the covered code unless it is Node 22.5 or later with --test-coverage-exclude",
				"take the measured coverage as an upper bound, or use vitest")
		}
	}
	if typecheck(app).Name == "" {
		note(SeverityNote, manifest, "there is neither a script that calls tsc nor a tsconfig.json with typescript installed: types are not checked", `add "typecheck": "tsc --noEmit" to the scripts`)
	}
	switch {
	case !app.HasScript("lint"):
		note(SeverityNote, manifest, "there is no lint script: nothing is linted", `add "lint" to the scripts`)
	case !app.ESLint:
		note(SeverityNote, manifest, "the lint script is not one plain call of ESLint: its exit code is known, its findings are not", "let it be `eslint …`, without a format of its own")
	}
	switch {
	case app.wranglerBuilds():
		note(SeverityNote, app.Worker.ConfigFile, "its build command runs the build script, so the bundle stage does too and there is no build stage", "nothing, if that is meant")
	case app.Worker.Generated:
		note(SeverityNote, app.Worker.ConfigFile, "the build writes the wrangler config that is deployed, so the bundle stage builds, for each environment, and there is no build stage", "nothing, if that is meant")
	case !app.HasScript("build") && app.Worker.BuildCommand == "" && len(app.Worker.Built) > 0:
		note(SeverityError, manifest, fmt.Sprintf("there is no build script, and nothing else makes %s, which %s refers to", app.Worker.Built[0], app.Worker.ConfigFile), `add "build" to the scripts, or correct the wrangler config`)
	}
	if !app.DependsOn("wrangler") {
		note(SeverityError, manifest, "wrangler is not among the dependencies, and the bundle is made by the app's own", fmt.Sprintf("run `%s`", app.add("wrangler")))
	}
	if app.Workspace != nil && len(app.Workspace.Built) > 0 {
		note(SeverityWarning, manifest, "the app depends on packages of its workspace that have a build script, which no stage runs: "+strings.Join(app.Workspace.Built, ", "),
			"nothing, where their source is imported; otherwise build them in a prebuild script of the app, or describe a stage in "+FileName)
	}
	if app.DependsOn("@cloudflare/vite-plugin") && !app.Worker.Generated {
		note(SeverityWarning, manifest, "Cloudflare's Vite plugin is among the dependencies, and there is no build script that runs it: wrangler bundles "+app.Worker.ConfigFile+"'s main as it stands",
			`add "build": "vite build" to the scripts`)
	}
	if app.Worker.HealthPath == "" {
		note(SeverityNote, app.Worker.ConfigFile, "no health check was found in the source: the smoke test asks for / and takes any answer below 500", "describe the environments' probes in "+FileName)
	}
	if len(app.Worker.Environments) == 0 || app.Worker.Deployments["production"].Name == "" {
		note(SeverityNote, app.Worker.ConfigFile, `it has no environment "production": Penstock's production is its top level`, "add the environment if another one is meant")
	}
	return notes
}

// howToReport says why there is no report of each test, and what would change that.
func howToReport(app App) (what, fix string) {
	if app.TestRunner == "jest" {
		return "jest has no JUnit reporter of its own", fmt.Sprintf("run `%s`; nothing has to be configured", app.add("jest-junit"))
	}
	return "the test script sends the runner's reports to a file of its own", "take --outputFile out of the script"
}

// howToCover says why coverage cannot be measured, and what would change that.
func howToCover(app App) (what, fix string) {
	switch {
	case app.TestRunner == "node":
		return "node --test takes the option only when the test script is one plain command without scripts before and after it", "simplify the script"
	case app.TestRunner == "vitest" && !app.CoverageProvider:
		return "vitest has no coverage provider installed", fmt.Sprintf("run `%s`, which also works for code inside workerd", app.add("@vitest/coverage-istanbul"))
	default:
		return "the test script chooses the folder of the coverage report", "take that option out of the script"
	}
}

// add is the command that adds a development dependency.
func (a *App) add(name string) string {
	switch a.PackageManager {
	case NPM:
		return "npm install --save-dev " + name
	default:
		return string(a.PackageManager) + " add --dev " + name
	}
}
