package pipelines

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// guideApp is an app as the guide describes it.
func guideApp() App {
	return App{
		Name: "atomic-guide", PackageManager: NPM, Lockfile: "package-lock.json", NodeRange: ">=20.3", WranglerNodeRange: ">=20.3.0",
		NodeVersion: "20.20.2",
		Scripts: map[string]string{
			"test": "vitest run", "check": "tsc --noEmit", "lint": "eslint .", "build": "esbuild src/index.ts", "bench": "node scripts/bench.mjs", "test:smoke": "node smoke.mjs",
		},
		Dependencies: map[string]string{"wrangler": "4.86.0", "vitest": "4.1.12", "@vitest/coverage-istanbul": "4.1.12", "typescript": "5.9.3", "zod": "4.1.12"},
		TestRunner:   "vitest", TestCommand: "vitest run", CoverageProvider: true,
		Typecheck: "check", PlainTypecheck: true, ESLint: true, TypeScript: true, Alerts: AlertsFile,
		Worker: WorkerFacts{
			ConfigFile: "wrangler.jsonc", Name: "atomic-guide", Main: "dist/index.js", Built: []string{"dist"},
			Environments: []string{"production", "staging"},
			Deployments: map[string]Deployment{
				"": {Name: "atomic-guide", HasD1: true},
				"production": {
					Name: "atomic-guide-production", HasD1: true, HasKV: true, HasR2: true, HasDurableObjects: true, HasQueues: true, HasRoutes: true,
					VersionMetadata: true, Secrets: []string{"JWT_SECRET"},
				},
				"staging": {Name: "atomic-guide-staging", HasD1: true},
			},
			Seed: "seed/minimal.sql", HealthPath: "/health", HealthChecks: true,
		},
	}
}

// bareApp is the least that can be deployed.
func bareApp() App {
	return App{
		Name: "bare", PackageManager: NPM, Lockfile: "package-lock.json",
		Dependencies: map[string]string{"wrangler": "4"},
		Worker:       WorkerFacts{ConfigFile: "wrangler.toml", Name: "bare", Main: "src/index.js"},
	}
}

func stageNames(p Pipeline) []string { return names(p.Stages, func(s Stage) string { return s.Name }) }
func gateNames(p Pipeline) []string {
	return names(p.Gates, func(g GateRef) string { return g.Gate + " " + string(g.Enforcement) })
}

func TestWorkerReadsLikeTheGuide(t *testing.T) {
	t.Parallel()
	p, problems := Build(Worker(guideApp()), nil)
	if problems != nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"install", "test", "typecheck", "lint", "audit", "build", "bundle", "bench", "smoke"}, stageNames(p)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"quality/tests mandatory", "quality/coverage overridable", "quality/typecheck mandatory", "quality/lint overridable", "quality/benchmark advisory",
		"security/audit overridable", "security/secrets mandatory", "security/sql overridable", "security/input overridable",
		"data/migrations overridable", "data/rehearsal overridable", "data/backup overridable",
		"cloudflare/certificate advisory", "cloudflare/drift advisory", "cloudflare/secrets overridable", "cloudflare/d1 overridable", "cloudflare/kv overridable",
		"cloudflare/r2 overridable", "cloudflare/durable-objects overridable", "cloudflare/queues overridable", "cloudflare/domain overridable",
		"health/endpoint overridable", "health/latency advisory", "health/smoke overridable", "health/alerts advisory", "release/size advisory", "release/provenance advisory",
		"security/headers advisory", "security/cors advisory", "security/errors advisory", "security/xss advisory", "security/ratelimit advisory", "security/https advisory",
	}, gateNames(p)); diff != "" {
		t.Error(diff)
	}
	golden(t, "guide.yaml", p)
	if notes := Notes(guideApp()); len(notes) != 0 {
		t.Errorf("the guide's app lacks nothing, and yet: %v", notes)
	}
}

// golden compares the pipeline as penstock init writes it, and reads it back.
func golden(t *testing.T, name string, p Pipeline) {
	t.Helper()
	written, err := WriteYAML(p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(written)); diff != "" {
		t.Errorf("%s is out of date (-want +got); run go test -update:\n%s", path, diff)
	}
	roundTrip(t, p, written)
}

func roundTrip(t *testing.T, p Pipeline, written []byte) {
	t.Helper()
	file, problems := Load(FileName, written)
	if problems != nil {
		t.Fatalf("what was written does not load: %v\n%s", problems, written)
	}
	read, problems := Build(Pipeline{}, file)
	if problems != nil {
		t.Fatalf("what was written is not valid: %v\n%s", problems, written)
	}
	if diff := cmp.Diff(p, read); diff != "" {
		t.Errorf("written and read back (-want +got):\n%s", diff)
	}
}

func TestWorkerTakesStaticFilesAlong(t *testing.T) {
	t.Parallel()
	app := bareApp()
	app.Worker.Deployments = map[string]Deployment{"": {Name: "site", Assets: "pub lic", VersionMetadata: true}}
	p, problems := Build(Worker(app), nil)
	if problems != nil {
		t.Fatal(problems)
	}
	stage := p.Stage(StageBundle)
	if diff := cmp.Diff([]string{BundleFile, AssetsFolder}, stage.Outputs); diff != "" {
		t.Error(diff)
	}
	if last := stage.Run[len(stage.Run)-1]; last != "cp -RL './pub lic' "+AssetsFolder {
		t.Errorf("it runs %q", last)
	}
	for _, env := range p.Environments {
		if env.Smoke.Version != ProofIfShown {
			t.Errorf("%s: a file at / cannot show a version", env.Name)
		}
	}
	app.Worker.Environments = []string{"it's", "plain"}
	app.Worker.Deployments["it's"], app.Worker.Deployments["plain"] = Deployment{Assets: "dist"}, Deployment{}
	want := `case "$` + EnvWranglerEnvironment + `" in
'') cp -RL './pub lic' .penstock-bundle/assets ;;
'it'\''s') cp -RL './dist' .penstock-bundle/assets ;;
*) mkdir .penstock-bundle/assets ;; # no static files there
esac`
	if diff := cmp.Diff(want, app.assetsCommand()); diff != "" {
		t.Error(diff)
	}
}

func TestWorkerLeavesOutWhatTheAppLacks(t *testing.T) {
	t.Parallel()
	p, problems := Build(Worker(bareApp()), nil)
	if problems != nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"install", "audit", "bundle"}, stageNames(p)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"install", "audit"}, p.Stage("bundle").Needs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"security/audit overridable", "security/secrets mandatory", "security/sql overridable", "security/input advisory", "cloudflare/drift advisory", "health/smoke overridable", "release/size advisory", "release/provenance advisory",
		"security/headers advisory", "security/cors advisory", "security/errors advisory", "security/xss advisory", "security/ratelimit advisory", "security/https advisory",
	}, gateNames(p)); diff != "" {
		t.Errorf("gates that have something to judge: %s", diff)
	}
	golden(t, "bare.yaml", p)
	var said []string
	for _, note := range Notes(bareApp()) {
		said = append(said, string(note.Severity)+" "+note.String())
	}
	for _, want := range []string{"nothing is tested", "types are not checked", "nothing is linted", "takes any answer below 500"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("nothing says that %s:\n%s", want, strings.Join(said, "\n"))
		}
	}
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		named []string
		want  []string // name, target, wrangler environment
	}{
		{"none", nil, []string{"local local ", "production cloudflare "}},
		{"staging alone", []string{"staging"}, []string{"local local ", "staging cloudflare staging", "production cloudflare "}},
		{"production", []string{"production"}, []string{"local local production", "production cloudflare production"}},
		{"its own local", []string{"local", "production"}, []string{"local local local", "production cloudflare production"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := bareApp()
			app.Worker.Environments = test.named
			var got []string
			for _, env := range Worker(app).Environments {
				got = append(got, env.Name+" "+env.Target+" "+env.WranglerEnv)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProofIsRequiredWhereTheVersionCanBeShown(t *testing.T) {
	t.Parallel()
	p := Worker(guideApp())
	for name, want := range map[string]VersionProof{"local": ProofRequired, "production": ProofRequired, "staging": ProofIfShown} {
		if got := p.Environment(name).Smoke.Version; got != want {
			t.Errorf("%s: proof %s, want %s", name, got, want)
		}
	}
	if p.Environment("production").Seed != "" || p.Environment("local").Seed != "seed/minimal.sql" {
		t.Error("only the local database is seeded unasked")
	}
}

// TestForOneEnvironment shows that the bundle knows its environment and that the rest, with its cached results, is shared.
func TestForOneEnvironment(t *testing.T) {
	t.Parallel()
	p := Worker(guideApp())
	production, err := p.For("production")
	if err != nil {
		t.Fatal(err)
	}
	staging, err := p.For("staging")
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range p.Stages {
		same := cmp.Equal(production.Stage(stage.Name), staging.Stage(stage.Name))
		if wanted := !stage.PerEnvironment; same != wanted {
			t.Errorf("stage %s is the same in both: %v, want %v", stage.Name, same, wanted)
		}
	}
	if got := production.Stage("bundle").Env[EnvWranglerEnvironment]; got != "production" {
		t.Errorf("the bundle is made for %q", got)
	}
	if _, marked := p.Stage("bundle").Env[EnvWranglerEnvironment]; marked {
		t.Error("the pipeline itself was changed")
	}
	weighs := func(p *Pipeline, gate string) Enforcement {
		return p.Gates[slices.IndexFunc(p.Gates, func(g GateRef) bool { return g.Gate == gate })].Enforcement
	}
	local, err := p.For("local")
	if err != nil {
		t.Fatal(err)
	}
	if weighs(local, "security/audit") != Advisory || weighs(production, "security/audit") != Overridable || weighs(local, "security/secrets") != Mandatory {
		t.Errorf("the gates weigh %v on this machine and %v in production", local.Gates, production.Gates)
	}
	if _, err := p.For("prodution"); err == nil || !strings.Contains(err.Error(), `did you mean "production"?`) {
		t.Errorf("unknown environment: %v", err)
	}
}

func TestCommandsOfEachPackageManager(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		manager PackageManager
		berry   bool
		lock    string
		want    []string // install, lint
	}{
		{NPM, false, "package-lock.json", []string{"npm ci ", "npm run lint -- --format json"}},
		{NPM, false, "", []string{"npm install ", "npm run lint -- --format json"}},
		{PNPM, false, "pnpm-lock.yaml", []string{"pnpm install --frozen-lockfile", "pnpm run lint --format json"}},
		{Yarn, false, "yarn.lock", []string{"yarn install --frozen-lockfile", "yarn run lint --format json"}},
		{Yarn, true, "yarn.lock", []string{"yarn install --immutable", "yarn run lint --format json"}},
		{Bun, false, "bun.lock", []string{"bun install --frozen-lockfile", "bun run lint --format json"}},
	} {
		app := guideApp()
		app.PackageManager, app.Berry, app.Lockfile = test.manager, test.berry, test.lock
		p := Worker(app)
		for i, name := range []string{"install", "lint"} {
			if run := p.Stage(name).Run[0]; !strings.Contains(run, test.want[i]) {
				t.Errorf("%s (lock %q): %s runs %s, want %s", test.manager, test.lock, name, run, test.want[i])
			}
		}
		if test.lock != "" && !slices.Contains(p.Stage("install").Inputs, test.lock) {
			t.Errorf("%s: the lock file is no input of the installation: %v", test.manager, p.Stage("install").Inputs)
		}
	}
}

func TestInstallationDependsOnAllFilesWhenItRunsTheAppsScripts(t *testing.T) {
	t.Parallel()
	app := guideApp()
	p := Worker(app)
	if inputs := p.Stage("install").Inputs; slices.Contains(inputs, "**") {
		t.Errorf("an edit of a source file would install again: %v", inputs)
	}
	app.InstallScripts = true
	p = Worker(app)
	if inputs := p.Stage("install").Inputs; !slices.Contains(inputs, "**") {
		t.Errorf("a postinstall script may read any file: %v", inputs)
	}
}

func TestReportsOfEachRunner(t *testing.T) {
	t.Parallel()
	const reports = "$PENSTOCK_REPORTS"
	for _, test := range []struct {
		name    string
		change  func(*App)
		want    string
		kinds   []string
		tests   Enforcement
		measure Enforcement
	}{
		{
			"vitest", func(*App) {},
			`npm run test -- --reporter=verbose --reporter=junit --outputFile.junit="` + reports + `/junit.xml" --coverage --coverage.reportOnFailure ` +
				`--coverage.reporter=text-summary --coverage.reporter=json --coverage.reporter=json-summary --coverage.reportsDirectory="` + reports + `/coverage"`,
			[]string{"junit", "istanbul-summary", "istanbul"}, Mandatory, Overridable,
		},
		{
			"vitest that watches, without coverage provider", func(a *App) { a.WatchMode, a.CoverageProvider = true, false },
			`npm run test -- --reporter=verbose --reporter=junit --outputFile.junit="` + reports + `/junit.xml" --run`,
			[]string{"junit"}, Mandatory, Advisory,
		},
		{
			"vitest that has some of the options already",
			func(a *App) {
				a.TestScript, a.TestOptions = "unit", []string{"run", "--coverage", "--coverage.reportOnFailure=true"}
			},
			`npm run unit -- --reporter=verbose --reporter=junit --outputFile.junit="` + reports + `/junit.xml" ` +
				`--coverage.reporter=text-summary --coverage.reporter=json --coverage.reporter=json-summary --coverage.reportsDirectory="` + reports + `/coverage"`,
			[]string{"junit", "istanbul-summary", "istanbul"}, Mandatory, Overridable,
		},
		{
			"vitest whose reports go elsewhere",
			func(a *App) { a.TestOptions = []string{"run", "--outputFile=x", "--coverage.reportsDirectory=y"} },
			"npm run test", nil, Overridable, Advisory,
		},
		{
			"jest", func(a *App) { a.TestRunner = "jest" },
			`npm run test -- --ci --coverage --coverageReporters=text-summary --coverageReporters=json --coverageReporters=json-summary --coverageDirectory="` + reports + `/coverage"`,
			[]string{"istanbul-summary", "istanbul"}, Overridable, Overridable,
		},
		{
			"jest with jest-junit", func(a *App) { a.TestRunner = "jest"; a.Dependencies["jest-junit"] = "16" },
			`JEST_JUNIT_OUTPUT_FILE="` + reports + `/junit.xml" npm run test -- --ci --coverage --coverageReporters=text-summary --coverageReporters=json ` +
				`--coverageReporters=json-summary --coverageDirectory="` + reports + `/coverage" --reporters=default --reporters=jest-junit`,
			[]string{"junit", "istanbul-summary", "istanbul"}, Mandatory, Overridable,
		},
		{
			"node", func(a *App) {
				a.TestRunner, a.TestCommand, a.WatchMode = "node", "TZ=UTC node --watch --test test/*.js", true
			},
			`TZ=UTC PATH="$PWD/node_modules/.bin:$PATH" node --test-reporter=spec --test-reporter-destination=stdout --test-reporter=junit ` +
				`--test-reporter-destination="` + reports + `/junit.xml" --experimental-test-coverage --test-reporter=lcov --test-reporter-destination="` + reports + `/lcov.info" --test test/*.js`,
			[]string{"junit", "lcov"}, Mandatory, Overridable,
		},
		{
			"node after something else", func(a *App) { a.TestRunner, a.TestCommand = "node", "" },
			`NODE_OPTIONS="--test-reporter=spec --test-reporter-destination=stdout --test-reporter=junit --test-reporter-destination=\"` + reports + `/junit.xml\"" npm run test`,
			[]string{"junit"}, Mandatory, Advisory,
		},
		{"unknown", func(a *App) { a.TestRunner = "" }, `npm run test`, nil, Overridable, Advisory},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := guideApp()
			test.change(&app)
			p := Worker(app)
			stage := p.Stage("test")
			if diff := cmp.Diff([]string{test.want}, stage.Run); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			var kinds []string
			for _, report := range stage.Reports {
				kinds = append(kinds, string(report.Kind))
			}
			if diff := cmp.Diff(test.kinds, kinds); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
			if p.Gates[0].Enforcement != test.tests || p.Gates[1].Enforcement != test.measure {
				t.Errorf("gates %v, want %s and %s", gateNames(p), test.tests, test.measure)
			}
		})
	}
}

// TestGatesAreAskedWhereTheyBelong: a limit to environments never takes a build gate out, because the bundle goes anywhere.
func TestGatesAreAskedWhereTheyBelong(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		ref         GateRef
		environment string
		want        bool
	}{
		{GateRef{Phase: "build", Environments: []string{"production"}}, "local", true},
		{GateRef{Phase: "promote"}, "local", true},
		{GateRef{Phase: "promote", Environments: []string{"production"}}, "local", false},
		{GateRef{Phase: "bake", Environments: []string{"production"}}, "production", true},
		{GateRef{Phase: "bake", Environments: []string{"production"}}, "", true},
		{GateRef{Phase: "misspelt", Environments: []string{"production"}}, "local", true},
	} {
		if got := row.ref.AskedIn(row.environment); got != row.want {
			t.Errorf("%+v in %q: %v", row.ref, row.environment, got)
		}
	}
}

// A database that only production has is not copied for a rehearsal unasked.
func TestProductionIsNotRehearsedUnasked(t *testing.T) {
	t.Parallel()
	app := guideApp()
	app.Worker.Environments = []string{"local", "production"}
	app.Worker.Deployments = map[string]Deployment{"": {}, "local": {}, "production": {HasD1: true}}
	for _, gate := range Worker(app).Gates {
		if gate.Gate == "data/rehearsal" && gate.AskedIn("production") {
			t.Errorf("%+v", gate)
		}
	}
}
