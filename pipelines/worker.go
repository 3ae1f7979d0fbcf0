package pipelines

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

// Worker is the shipped pipeline for a Cloudflare Worker, fitted to an app: the guide's checklist in its order. What the
// app has no script or configuration for is left out, and [Notes] says so.
func Worker(app App) Pipeline {
	place := ""
	if app.Workspace != nil {
		place = app.Workspace.Place
	}
	return Pipeline{
		Name: app.Name, Place: place,
		Stages: present(
			install(app),   // the packages, exactly as locked
			test(app),      // all tests passing, and how much of the code they cover
			typecheck(app), // TypeScript compilation clean
			lint(app),      // lint checks passing
			audit(app),     // known vulnerabilities in the packages
			build(app),     // the app's own build
			bundle(app),    // what its own wrangler would upload: this is what ships
			bench(app),     // performance benchmarks
			smoke(app),     // the app's own questions to the running version
		),
		Gates: slices.Concat(
			testGates(app),           // all tests passing; code coverage > 80 %
			typeGates(app),           // TypeScript compilation clean
			styleGates(app),          // lint checks passing
			speedGates(app),          // performance benchmarks met
			auditGates(app),          // security audit clean
			secretGates(),            // no hardcoded credentials in code
			sourceGates(app),         // SQL injection prevention verified; input validation with Zod schemas
			dataGates(app),           // database migrated, without loss
			infrastructureGates(app), // D1 created and migrated, KV, R2, Durable Objects, queue consumers, Vectorize, domain, certificate
			healthGates(app),         // the health check answers, dependency by dependency; performance benchmarks met
			smokeGates(app),          // smoke tests run, and against the new version
			alertGates(app),          // error rate, latency, database errors, memory, queue backlog under real traffic
			releaseGates(app),        // a change that people can understand, made of what was tested
			answerGates(app),         // HTTPS enforced, CORS configured, rate limiting, XSS protection, security headers, generic errors
		),
		Environments: environments(app),
	}
}

// BundleFile is where a pipeline's bundle stage leaves the upload that wrangler made, among its outputs.
const BundleFile = ".penstock-bundle/worker.form"

// AssetsFolder is where it leaves a copy of the static files that ship with the Worker, in an app that has some.
const AssetsFolder = ".penstock-bundle/assets"

// The names of the shipped stages, by which gates and penstock.yaml refer to them.
const (
	StageInstall   = "install"
	StageTest      = "test"
	StageTypecheck = "typecheck"
	StageLint      = "lint"
	StageAudit     = "audit"
	StageBuild     = "build"
	StageBundle    = "bundle"
	StageBench     = "bench"
	StageSmoke     = "smoke"
)

func install(app App) Stage {
	commands := app.commands()
	command := commands.install
	if app.Lockfile == "" {
		command = commands.unlocked
	}
	run := []string{app.atRoot(command)}
	outputs := app.installOutputs()
	if len(outputs) > 1 {
		run = append(run, "mkdir -p "+strings.Join(outputs, " "))
	}
	return Stage{
		Name: StageInstall, Title: "install packages",
		Image: app.image(), Tools: app.tools(), Env: quietly(), Caches: []string{string(app.PackageManager)},
		Run:     run,
		Inputs:  app.installInputs(),
		Outputs: outputs,
		Retries: 1, // a registry that does not answer is no fault of the app
	}
}

func test(app App) Stage {
	if !app.HasScript("test") {
		return Stage{}
	}
	reporting := app.reporting()
	stage := app.stage(StageTest, "test", append(app.assetsForTests(), reporting.command)...)
	if reporting.covers {
		stage.Title = "test with coverage"
	}
	stage.Reports = reporting.reports
	return stage
}

// assetsForTests makes the folders of static files that the build will fill: the Workers pool of vitest refuses to start without
// them, though tests of code seldom ask for one, and a developer has them from an earlier build.
func (a *App) assetsForTests() []string {
	if !a.DependsOn("@cloudflare/vitest-pool-workers") {
		return nil
	}
	var folders []string
	for _, deployment := range a.Worker.Deployments {
		top, _, _ := strings.Cut(deployment.Assets, "/")
		if deployment.Assets != "" && slices.Contains(a.Worker.Built, top) {
			folders = append(folders, quoted(deployment.Assets))
		}
	}
	if len(folders) == 0 {
		return nil
	}
	slices.Sort(folders)
	return []string{"mkdir -p " + strings.Join(slices.Compact(folders), " ")}
}

func typecheck(app App) Stage {
	var command string
	switch {
	case app.Typecheck != "" && app.PlainTypecheck:
		// Without colours and boxes, whatever tsconfig.json says, so that findings can be read out of it.
		command = app.script(app.Typecheck, "--pretty false")
	case app.Typecheck != "":
		command = app.script(app.Typecheck, "")
	case app.TypeScript:
		command = app.program("tsc") + " --noEmit --pretty false"
	default:
		return Stage{}
	}
	return app.stage(StageTypecheck, "check types", append(app.types(), command)...)
}

// types has the types of the Worker's environment written where the source does not hold them, as every developer of the app
// does: without them the compiler knows neither the bindings nor the runtime.
func (a *App) types() []string {
	if a.TypesScript == "" {
		return nil
	}
	return []string{"[ -e " + quoted(a.TypesFile) + " ] || " + a.script(a.TypesScript, "")}
}

func lint(app App) Stage {
	if !app.HasScript("lint") {
		return Stage{}
	}
	if !app.ESLint {
		return app.stage(StageLint, "lint", app.script(app.lintScript(), ""))
	}
	// ESLint writes one format at a time. Only when it found something is it worth running again for people.
	report := reportFolder + "/eslint.json"
	stage := app.stage(StageLint, "lint",
		app.script(app.lintScript(), `--format json --output-file "`+report+`"`)+" || { "+app.script(app.lintScript(), "")+"; exit 1; }")
	stage.Reports = []Report{{Kind: "eslint", Path: report}}
	return stage
}

// audit leaves what the registry answered, and nothing when it refused: a refusal and "nothing found" must not look the
// same, and a result without its report is not kept for the next run. It passes either way, because the verdict is a
// gate's.
func audit(app App) Stage {
	if app.Lockfile == "" {
		return Stage{}
	}
	stage := app.stage(StageAudit, "ask for advisories",
		`asked=yes; `+app.atRoot(app.commands().audit)+` > "$PENSTOCK_REPORTS/audit.json" 2> "$PENSTOCK_REPORTS/audit.log" || asked="exit code $?"
if ! grep -q -e '"auditReportVersion"' -e '"advisories"' -e '"auditSummary"' "$PENSTOCK_REPORTS/audit.json"; then
  why=$(sed -n '/"message": *"/{s/.*"message": *"\([^"]*\)".*/\1/p;q;}' "$PENSTOCK_REPORTS/audit.json")
  echo "nothing is known about vulnerable packages: the registry did not answer the question for advisories (${why:-$(sed -n '/[^ ]/{p;q;}' "$PENSTOCK_REPORTS/audit.log") $asked})"
  echo "ask again when it does, or give the gate security/audit a database of advisories; all that was said is in refused.json and audit.log among the reports"
  mv "$PENSTOCK_REPORTS/audit.json" "$PENSTOCK_REPORTS/refused.json"
elif cat "$PENSTOCK_REPORTS/audit.log"; [ "$asked" = yes ]; then
  echo "the registry knew of nothing that the command counts on $(date -u +%Y-%m-%d)"
else
  echo "the registry knew of vulnerable packages on $(date -u +%Y-%m-%d): see audit.json among the reports"
fi`)
	stage.Inputs = app.installInputs()
	stage.MaxAge = auditMaxAge
	if app.PackageManager == NPM {
		stage.Needs = nil // npm goes by the lock file alone
	}
	if app.PackageManager != Bun && !app.Berry { // theirs are formats that the gate cannot read
		stage.Reports = []Report{{Kind: gates.ReportNPMAudit, Path: reportFolder + "/audit.json"}}
	}
	return stage
}

// auditMaxAge is a day: new advisories come every day, and nobody's lock file has to change for that.
const auditMaxAge = 24 * time.Hour

func build(app App) Stage {
	if !app.HasScript("build") || app.wranglerBuilds() || app.Worker.Generated {
		return Stage{}
	}
	stage := app.stage(StageBuild, "build", append(app.types(), app.script("build", ""))...)
	stage.Needs = []string{StageInstall, StageTest, StageTypecheck, StageLint, StageAudit}
	stage.Outputs = app.buildOutputs()
	return stage
}

func bundle(app App) Stage {
	stage := app.stage(StageBundle, "bundle with wrangler")
	stage.Needs = []string{StageInstall, StageTest, StageTypecheck, StageLint, StageAudit, StageBuild}
	stage.Outputs = []string{BundleFile}
	stage.PerEnvironment = true
	if app.WranglerNodeRange != "" {
		stage.Tools = append(stage.Tools, Tool{Name: "node", Version: app.WranglerNodeRange})
	}
	if app.Worker.Generated {
		stage.Title = "build, and bundle with wrangler"
		stage.Run = slices.Concat([]string{"rm -rf .wrangler/deploy"}, app.types(), []string{app.script("build", ""), generatedBundle(app)})
		stage.Outputs = append(stage.Outputs, AssetsFolder)
		return stage
	}
	// --config, because wrangler would go looking in the folders above and follow redirects that builds leave. --env "" is the
	// top level, and wrangler 3 complains of it where there are no environments.
	words := slices.Concat([]string{app.dryRun()}, app.Worker.DeployOptions, []string{"--config", app.Worker.ConfigFile})
	if len(app.Worker.Environments) > 0 {
		words = append(words, `--env "$`+EnvWranglerEnvironment+`"`)
	}
	stage.Run = []string{strings.Join(words, " ")}
	if command := app.assetsCommand(); command != "" {
		stage.Run = append(stage.Run, command)
		stage.Outputs = append(stage.Outputs, AssetsFolder)
	}
	return stage
}

// dryRun is wrangler writing its upload into the bundle file. Its notes about itself go into a folder of the stage, not into
// anybody's home.
func (a *App) dryRun() string {
	return `HOME="$PWD/.penstock-home" XDG_CONFIG_HOME="$PWD/.penstock-home" WRANGLER_LOG_PATH="$PWD/.penstock-home/logs" ` +
		a.program("wrangler") + ` deploy --dry-run --outfile ` + BundleFile
}

// generatedBundle takes the config that the app's build wrote for wrangler, as a plain `wrangler deploy` does, and where its
// static files lie. The build chose the environment, by CLOUDFLARE_ENV: one that chose another must not pass for this one, and
// wrangler must not choose again.
func generatedBundle(app App) string {
	return `if ! [ -f .wrangler/deploy/config.json ]; then
  echo "the build script left no .wrangler/deploy/config.json, in which Cloudflare's Vite plugin says what it built: let it be in the Vite config, and the build script run vite build"
  exit 1
fi
config="$(node -p 'path.join(".wrangler/deploy", JSON.parse(fs.readFileSync(".wrangler/deploy/config.json", "utf8")).configPath)')"
built="$(node -p 'const {targetEnvironment: built} = JSON.parse(fs.readFileSync(process.argv[1], "utf8")); built ?? process.env.` + EnvWranglerEnvironment + `' "$config")"
if [ "$built" != "$` + EnvWranglerEnvironment + `" ]; then
  echo "the build script built for the wrangler environment \"$built\", and this is for \"$` + EnvWranglerEnvironment + `\": let it leave ` + EnvWranglerEnvironment + ` as it is set"
  exit 1
fi
(unset ` + EnvWranglerEnvironment + `; ` + app.dryRun() + ` --config "$config")
assets="$(node -p 'const {assets} = JSON.parse(fs.readFileSync(process.argv[1], "utf8")); assets?.directory ? path.join(path.dirname(process.argv[1]), assets.directory) : ""' "$config")"
if [ -n "$assets" ]; then cp -RL "$assets" ` + AssetsFolder + `; else mkdir ` + AssetsFolder + `; fi`
}

// assetsCommand copies the static files of the environment that is built for beside the upload, after wrangler, which may run
// a build of its own: what was tested is what ships. Links become what they point to. "" when no environment has static files.
func (a *App) assetsCommand() string {
	folders := map[string]string{}
	for env, deployment := range a.Worker.Deployments {
		folders[env] = deployment.Assets
	}
	different := slices.Compact(slices.Sorted(maps.Values(folders)))
	if len(different) == 0 || slices.Equal(different, []string{""}) {
		return ""
	}
	take := func(folder string) string { return "cp -RL " + quoted("./"+folder) + " " + AssetsFolder }
	if len(different) == 1 {
		return take(different[0])
	}
	command := `case "$` + EnvWranglerEnvironment + `" in`
	for _, env := range slices.Sorted(maps.Keys(folders)) {
		if folders[env] != "" {
			command += "\n" + quoted(env) + ") " + take(folders[env]) + " ;;"
		}
	}
	return command + "\n*) mkdir " + AssetsFolder + " ;; # no static files there\nesac"
}

// quoted is a text as one word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// bench comes last, so that nothing of the pipeline's runs beside it and is measured too.
func bench(app App) Stage {
	if !app.HasScript("bench") {
		return Stage{}
	}
	stage := app.stage(StageBench, "measure", app.script("bench", ""))
	stage.Needs = []string{StageInstall, StageTest, StageTypecheck, StageLint, StageAudit, StageBuild, StageBundle}
	stage.Inputs = append(app.everything(), "!.penstock/**") // a recorded baseline changes nothing of what is measured
	stage.Reports = []Report{{Kind: gates.ReportBenchmark, Path: reportFolder + "/benchmark.json"}}
	return stage
}

func smoke(app App) Stage {
	if !app.HasScript("test:smoke") {
		return Stage{}
	}
	stage := app.stage(StageSmoke, "the app's smoke test", app.script("test:smoke", ""))
	stage.When = WhenSmoke
	stage.PerEnvironment = true
	return stage
}

// coverageLimit is the guide's: code coverage > 80 %.
const coverageLimit = 80

// testGates are mandatory where there is a report to judge by. Where there can be none, the gates' "inconclusive" must not
// be a wall that only a change to the app can open: the tests can be waived, and the missing coverage is recorded.
func testGates(app App) []GateRef {
	if !app.HasScript("test") {
		return nil
	}
	tests := GateRef{Gate: "quality/tests", Phase: "build", Enforcement: Mandatory}
	coverage := GateRef{Gate: "quality/coverage", Phase: "build", Enforcement: Overridable, Config: map[string]any{"limit": coverageLimit}}
	reporting := app.reporting()
	if !reporting.junit {
		tests.Enforcement = Overridable
	}
	if !reporting.covers {
		coverage.Enforcement = Advisory
	}
	return []GateRef{tests, coverage}
}

func typeGates(app App) []GateRef {
	if typecheck(app).Name == "" {
		return nil
	}
	return []GateRef{{Gate: "quality/typecheck", Phase: "build", Enforcement: Mandatory}}
}

func styleGates(app App) []GateRef {
	if lint(app).Name == "" {
		return nil
	}
	return []GateRef{{Gate: "quality/lint", Phase: "build", Enforcement: Overridable}}
}

// speedGates tell and do not block: a script of the app's own may leave no samples, a new app has no baseline, and a machine
// that does other things besides measures them too.
func speedGates(app App) []GateRef {
	if bench(app).Name == "" {
		return nil
	}
	return []GateRef{{Gate: "quality/benchmark", Phase: gates.PhaseBuild, Enforcement: Advisory}}
}

// localEnvironment is the one that needs no account; productionEnvironment the one that people use.
const (
	localEnvironment      = "local"
	productionEnvironment = "production"
)

// auditGates block where the world is served. On this machine nothing is served to anybody, and a registry that answers no
// audits (mirrors do not) would leave every newcomer with a wall: there the verdict is told and does not block.
func auditGates(app App) []GateRef {
	if audit(app).Name == "" {
		return nil
	}
	return []GateRef{{
		Gate: "security/audit", Phase: "build", Enforcement: Overridable,
		EnforcementIn: map[string]Enforcement{localEnvironment: Advisory},
		Config:        map[string]any{"level": auditLevel}, Timeout: 2 * time.Minute, // an OSV export of all of npm is long
	}}
}

// auditLevel is the guide's: npm audit --audit-level=high.
const auditLevel = "high"

// secretGates cannot be waived in passing: what is no secret is allowed in the gate's config, by fingerprint, with a reason
// and an end, where everybody reads it.
func secretGates() []GateRef {
	return []GateRef{{Gate: "security/secrets", Phase: "build", Enforcement: Mandatory, Timeout: 5 * time.Minute}}
}

// sourceGates read the app's own TypeScript and JavaScript; a Worker in another language has none. That values never become
// SQL holds for everybody. That all input goes through a schema is asked of apps that have schemas, as the guide's has, and
// told to the others. What is right as it stands is allowed by a comment on its line, with a reason.
func sourceGates(app App) []GateRef {
	switch path.Ext(app.Worker.Main) {
	case ".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs":
	default:
		return nil
	}
	input := GateRef{Gate: "security/input", Phase: gates.PhaseBuild, Enforcement: Advisory, Timeout: 2 * time.Minute}
	if slices.ContainsFunc([]string{"zod", "valibot", "arktype", "superstruct", "yup", "joi", "ajv", "@sinclair/typebox", "typebox"}, app.DependsOn) {
		input.Enforcement = Overridable
	}
	return []GateRef{{Gate: "security/sql", Phase: gates.PhaseBuild, Enforcement: Overridable, Timeout: 2 * time.Minute}, input}
}

// dataGates judge what would happen to the databases before anything happens to them. What is right as it stands is allowed by a
// comment in the migration, with a reason. A copy for the rehearsal is an export, during which a database answers nobody else:
// whether production is to bear that is for its people to decide.
func dataGates(app App) []GateRef {
	rehearsal := GateRef{Gate: "data/rehearsal", Phase: gates.PhasePlan, Enforcement: Overridable, Timeout: rehearsalTime}
	found := false
	for _, env := range environments(app) {
		if !app.Worker.Deployments[env.WranglerEnv].HasD1 {
			continue
		}
		found = true
		if env.Name != "production" {
			rehearsal.Environments = append(rehearsal.Environments, env.Name)
		}
	}
	if !found {
		return nil
	}
	refs := []GateRef{{Gate: "data/migrations", Phase: gates.PhasePlan, Enforcement: Overridable}}
	if len(rehearsal.Environments) > 0 { // none would mean all
		refs = append(refs, rehearsal)
	}
	return append(refs, GateRef{
		Gate: "data/backup", Phase: gates.PhasePromote, Enforcement: Overridable, EnforcementIn: map[string]Enforcement{localEnvironment: Advisory},
	})
}

// rehearsalTime is enough for the largest database that D1 exports.
const rehearsalTime = 15 * time.Minute

// infrastructureGates judge whether what the app needs exists in each environment that names it. Resources are judged when a
// first deployment has made them, before traffic; queue consumers and routes when the version takes all of it, because only then
// they are set up; certificates and drift before anything is changed.
//
// To look at certificates takes a permission that a deployment does not, and whether somebody may change what is live by hand
// is for the team to say: both tell and do not block, but for a certificate in production.
func infrastructureGates(app App) []GateRef {
	rows := []struct {
		ref GateRef
		has func(Deployment) bool
	}{
		{GateRef{Gate: "cloudflare/certificate", Phase: gates.PhasePlan, Enforcement: Advisory}, func(d Deployment) bool { return d.HasRoutes }},
		{GateRef{Gate: "cloudflare/drift", Phase: gates.PhasePlan, Enforcement: Advisory}, nil},
		{GateRef{Gate: "cloudflare/secrets", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return len(d.Secrets) > 0 }},
		{GateRef{Gate: "cloudflare/d1", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return d.HasD1 }},
		{GateRef{Gate: "cloudflare/kv", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return d.HasKV }},
		{GateRef{Gate: "cloudflare/r2", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return d.HasR2 }},
		{GateRef{Gate: "cloudflare/durable-objects", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return d.HasDurableObjects }},
		{GateRef{Gate: "cloudflare/vectorize", Phase: gates.PhasePromote, Enforcement: Overridable}, func(d Deployment) bool { return d.HasVectorize }},
		{GateRef{Gate: "cloudflare/queues", Phase: gates.PhaseBake, Enforcement: Overridable}, func(d Deployment) bool { return d.HasQueues }},
		{GateRef{Gate: "cloudflare/domain", Phase: gates.PhaseBake, Enforcement: Overridable}, func(d Deployment) bool { return d.HasRoutes }},
	}
	var refs []GateRef
	for _, row := range rows {
		ref := row.ref
		ref.Timeout = 2 * time.Minute // to look at everything takes some dozens of calls
		all := environments(app)
		for _, env := range all {
			if row.has == nil || row.has(app.Worker.Deployments[env.WranglerEnv]) {
				ref.Environments = append(ref.Environments, env.Name)
			}
		}
		switch len(ref.Environments) {
		case 0:
			continue
		case len(all):
			ref.Environments = nil
		}
		if ref.Gate == "cloudflare/certificate" {
			ref.EnforcementIn = map[string]Enforcement{productionEnvironment: Overridable}
		}
		refs = append(refs, ref)
	}
	return refs
}

// healthGates ask the new version before it takes traffic. A page that is not known to be of the guide's shape may be a bare
// "ok", in which the gate can read nothing: that is told and does not block. How long an answer takes depends on where the
// gate is asked from, so the latency is told too.
func healthGates(app App) []GateRef {
	if app.Worker.HealthPath == "" {
		return nil
	}
	config := func() map[string]any { return map[string]any{"path": app.Worker.HealthPath} }
	endpoint := GateRef{Gate: "health/endpoint", Phase: gates.PhasePromote, Enforcement: Advisory, Config: config()}
	if app.Worker.HealthChecks {
		endpoint.Enforcement = Overridable
	}
	return []GateRef{endpoint, {Gate: "health/latency", Phase: gates.PhasePromote, Enforcement: Advisory, Config: config(), Timeout: 2 * time.Minute}}
}

// releaseGates tell of what goes out where the world is served, and do not block: what is a large change, and whether a commit
// is asked for, is for the app's people to say. Approvals are asked for by the environment itself. release/window and
// release/soak need to be told of times and places, and are added in penstock.yaml.
func releaseGates(app App) []GateRef {
	var served []string
	for _, env := range environments(app) {
		if env.Name != localEnvironment {
			served = append(served, env.Name)
		}
	}
	return []GateRef{
		{Gate: "release/size", Phase: gates.PhasePlan, Enforcement: Advisory, Environments: served},
		{Gate: "release/provenance", Phase: gates.PhasePlan, Enforcement: Advisory, Environments: served},
	}
}

// smokeGates see to it that a version was asked something before it takes traffic, by the app's own smoke test where it has one.
func smokeGates(app App) []GateRef {
	ref := GateRef{Gate: "health/smoke", Phase: gates.PhasePromote, Enforcement: Overridable}
	if smoke(app).Name != "" {
		ref.Config = map[string]any{"stages": true}
	}
	return []GateRef{ref}
}

// AlertsFile is where the production guide has its alerts.
const AlertsFile = "alerts.yml"

// alertGates judge the app's own alerts while the new version takes traffic. An environment that does not watch its new version
// for long enough would never have the traffic to judge by: so it tells, until the app raises it where there is a bake.
func alertGates(app App) []GateRef {
	if app.Alerts == "" {
		return nil
	}
	ref := GateRef{Gate: "health/alerts", Phase: gates.PhaseBake, Enforcement: Advisory, Timeout: 2 * time.Minute}
	if app.Alerts != AlertsFile {
		ref.Config = map[string]any{"file": app.Alerts}
	}
	return []GateRef{ref}
}

// answerGates ask the new version before it takes traffic, and HTTPS where everybody finds it, once it does. They tell and do
// not block: the guide's headers and the shape of its errors are more than every small Worker must have. An app that
// follows the guide raises them in penstock.yaml, with its own paths.
func answerGates(app App) []GateRef {
	tell := func(gate string, config map[string]any) GateRef {
		return GateRef{Gate: gate, Phase: gates.PhasePromote, Enforcement: Advisory, Config: config, Timeout: 2 * time.Minute}
	}
	var paths map[string]any
	if app.Worker.HealthPath != "" {
		paths = map[string]any{"paths": []any{"/", app.Worker.HealthPath}}
	}
	https := tell("security/https", nil)
	https.Phase = gates.PhaseBake
	for _, env := range environments(app) {
		if env.Name != localEnvironment { // where nothing is encrypted, because nobody else hears it
			https.Environments = append(https.Environments, env.Name)
		}
	}
	return []GateRef{
		tell("security/headers", paths), tell("security/cors", nil), tell("security/errors", nil), tell("security/xss", nil),
		tell("security/ratelimit", nil), // says only that no limit is configured, until one is: it sends a burst
		https,
	}
}

// environments are the Cloudflare on this machine, production, and whatever else the wrangler config names.
func environments(app App) []Environment {
	// What runs here should be what would run in production.
	rehearsed := ""
	for _, name := range []string{"production", localEnvironment} {
		if slices.Contains(app.Worker.Environments, name) {
			rehearsed = name
		}
	}
	local := app.environment(localEnvironment, rehearsed)
	local.Target = "local"
	local.Provision = true
	if app.Worker.Deployments[rehearsed].HasD1 {
		local.Seed = app.Worker.Seed
	}
	found := []Environment{local}
	for _, name := range app.Worker.Environments {
		if name != localEnvironment {
			found = append(found, app.environment(name, name))
		}
	}
	if !slices.Contains(app.Worker.Environments, "production") {
		// The top level is then what `wrangler deploy` deploys.
		found = append(found, app.environment("production", ""))
	}
	return found
}

func (a *App) environment(name, wranglerEnv string) Environment {
	deployment := a.Worker.Deployments[wranglerEnv]
	env := Environment{
		Name: name, Target: "cloudflare", WranglerEnv: wranglerEnv,
		Secrets: deployment.Secrets,
		Smoke:   Smoke{Probes: []Probe{{Path: "/"}}, Version: ProofIfShown},
		Steps:   []float64{100},
	}
	if a.Worker.HealthPath != "" {
		env.Smoke.Probes = []Probe{{Path: a.Worker.HealthPath, Status: 200}}
	}
	if deployment.VersionMetadata && (deployment.Assets == "" || a.Worker.HealthPath != "") {
		// A static file at / is served without asking the code, which alone can show its version. Cloudflare ignores an override that matches nothing: only the id in the answer shows who answered.
		env.Smoke.Version = ProofRequired
	}
	return env
}

// stage is the form that all stages after the installation share.
func (a *App) stage(name, title string, run ...string) Stage {
	return Stage{
		Name: name, Title: title, Run: run,
		Image: a.image(), Tools: a.tools(), Env: quietly(),
		Needs:  []string{StageInstall},
		Inputs: a.everything(),
	}
}

// quietly keeps tools from asking questions and from telling others that they ran.
func quietly() map[string]string {
	return map[string]string{"CI": "1", "HUSKY": "0", "WRANGLER_SEND_METRICS": "false"}
}

// defaultNode is for an app that does not say which Node it needs: the oldest that is still maintained.
const defaultNode = "22.23.3"

func (a *App) image() string {
	return "node:" + cmp.Or(a.NodeVersion, defaultNode) + "-bookworm-slim"
}

func (a *App) tools() []Tool {
	return []Tool{{Name: "node", Version: a.NodeRange}, {Name: string(a.PackageManager)}}
}

// buildOutputs are the folders that the build makes.
func (a *App) buildOutputs() []string {
	if len(a.Worker.Built) == 0 {
		return []string{"dist"}
	}
	return a.Worker.Built
}

// wranglerBuilds reports whether wrangler itself runs the build script, as its config can ask it to.
func (a *App) wranglerBuilds() bool { return strings.Contains(a.Worker.BuildCommand, "run build") }

// present leaves out the stages that the app gave no reason for, also where others need them, and completes the rest.
func present(stages ...Stage) []Stage {
	stages = slices.DeleteFunc(stages, func(s Stage) bool { return s.Name == "" })
	for i := range stages {
		stages[i].Needs = slices.DeleteFunc(stages[i].Needs, func(name string) bool {
			return !slices.ContainsFunc(stages, func(s Stage) bool { return s.Name == name })
		})
	}
	return stages
}
