package pipelines

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/gates"
)

// shipped is a small pipeline to adjust.
func shipped() Pipeline {
	return Pipeline{
		Name: "app",
		Stages: []Stage{
			{Name: "install", Run: []string{"npm ci"}, Outputs: []string{"node_modules"}},
			{Name: "test", Run: []string{"npm test"}, Needs: []string{"install"}, Env: map[string]string{"CI": "1", "TZ": "UTC"}},
			{Name: "bundle", Run: []string{"wrangler"}, Needs: []string{"test"}, Outputs: []string{BundleFile}},
		},
		Gates: []GateRef{{Gate: "quality/coverage", Config: map[string]any{"limit": 80, "per": "line"}}},
		Environments: []Environment{
			{Name: "production", Smoke: Smoke{Probes: []Probe{{Path: "/health", Status: 200}}, Version: ProofRequired}},
		},
	}
}

func lines(problems Problems) []string {
	var all []string
	for _, problem := range problems {
		all = append(all, problem.String())
	}
	return all
}

func load(t *testing.T, text string) *File {
	t.Helper()
	file, problems := Load(FileName, []byte(text))
	if problems != nil {
		t.Fatal(problems)
	}
	return file
}

func TestLoadListsEveryProblemOfShape(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"many at once", `pipeline: workers
stagse: {}
stages:
  test:
    timeuot: 5m
    timeout: 5
    retries: two
    secrets:
      API_KEY: hunter2
    needs: {a: b}
    run:
  lint:
    remove: true
    run: eslint
  test: {}
  name: [1]
gates:
  quality/coverage:
    gate: x
environments:
  production:
    steps: [10%, 100]
    smoke: {probes: [{path: /, code: 200}]}
    provision: "yes"
`, []string{
			`penstock.yaml:1:1: "workers" is no pipeline, did you mean "worker"?; write worker to adjust the shipped pipeline, or custom to replace it`,
			`penstock.yaml:2:1: unknown key "stagse", did you mean "stages"?; the keys here are pipeline, name, stages, gates, environments, ledger`,
			`penstock.yaml:5:5: unknown key "timeuot", did you mean "timeout"?; the keys here are title, image, run, needs, inputs, outputs, reports, caches, env, secrets, network, timeout, maxAge, retries, when, tools, perEnvironment, remove`,
			`penstock.yaml:6:5: "5" is not a duration; write a number with its unit, such as 90s, 5m or 1h30m`,
			`penstock.yaml:7:5: retries must be a whole number, not "two"; write it without quotes and without a unit`,
			`penstock.yaml:8:5: secrets are names, without values; write a list of names; a value never belongs in this file: if one was here, consider it known`,
			`penstock.yaml:10:5: needs must be a list, not a mapping; write ` + "`- `" + ` before each element, or put them in [ ]`,
			`penstock.yaml:11:5: run has no value; write one, or take the line away`,
			`penstock.yaml:13:13: what is removed has no other keys; take them away, or the line ` + "`remove: true`",
			`penstock.yaml:15:3: "test" is already in line 4; keep one of them`,
			`penstock.yaml:16:3: name must be a mapping, not a list; write ` + "`key: value`" + ` lines, indented below it`,
			`penstock.yaml:19:5: unknown key "gate"; the keys here are phase, enforcement, enforcementIn, config, environments, timeout, dryRun, remove`,
			`penstock.yaml:22:13: element 0 of steps must be a number, not "10%"; write it without quotes and without a unit`,
			`penstock.yaml:23:32: unknown key "code"; the keys here are path, status`,
			`penstock.yaml:24:5: provision must be true or false, not "yes"; write it without quotes and without a unit`,
		}},
		{"syntax", "stages:\n  a: [\n", []string{`penstock.yaml:2: is not YAML: did not find expected node content; correct the YAML; indentation is by spaces`}},
		{"two documents", "name: a\n---\nname: b\n", []string{`penstock.yaml: holds more than one YAML document; keep one; take the line --- away`}},
		{"a list", "- a\n", []string{"penstock.yaml: the file must be a mapping, not a list; write `key: value` lines, indented below it"}},
		{"merge", "stages: {a: &a {run: x}, b: {<<: *a}}\n", []string{`penstock.yaml:1:30: merge keys (<<) are not supported; write the keys out, or use an alias for a whole value`}},
		{"an alias that holds itself", "stages: &a {b: *a}\n", []string{`penstock.yaml: means more than 50000 values or 32 levels, with its aliases written out; use fewer aliases; one must not hold itself`}},
		{"too large", strings.Repeat("#", maxFileSize+1), []string{`penstock.yaml: is larger than 256 KiB; check that it is the right file`}},
		{"no time", "stages: {a: {timeout: 0s}}", []string{`penstock.yaml:1:14: a time limit of nothing lets nothing run; write how long it may take, or take the line away for the default`}},
		{"infinite", "gates: {a/b: {config: {limit: .inf}}}\n", []string{`penstock.yaml:1:24: .inf is not a number that a gate could be told; write a finite number`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, problems := Load(FileName, []byte(test.text))
			if diff := cmp.Diff(test.want, lines(problems)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(problems.Error(), "hunter2") {
				t.Error("the value of a secret is repeated")
			}
		})
	}
}

// TestAliasesCannotMeanMillions is the billion laughs, of which a million is enough to fail without taking all memory.
func TestAliasesCannotMeanMillions(t *testing.T) {
	t.Parallel()
	text := "gates:\n  a/b:\n    config:\n      l0: &l0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
	for i := range 5 {
		previous := "*l" + string(rune('0'+i))
		text += "      l" + string(rune('1'+i)) + ": &l" + string(rune('1'+i)) + " [" + strings.Repeat(previous+",", 9) + previous + "]\n"
	}
	if _, problems := Load(FileName, []byte(text)); len(problems) != 1 || !strings.Contains(problems[0].What, "with its aliases written out") {
		t.Errorf("it was written out, and then said to be: %.500v", problems)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       func(p *Pipeline)
	}{
		{"nothing", "", func(*Pipeline) {}},
		{"a comment", "# nothing yet\n", func(*Pipeline) {}},
		{"one key of a stage", "stages: {test: {timeout: 1m30s}}", func(p *Pipeline) { p.Stages[1].Timeout = 90 * time.Second }},
		{"lists are replaced, one text is a list of one", "stages: {test: {run: make test, needs: []}}", func(p *Pipeline) {
			p.Stages[1].Run, p.Stages[1].Needs = []string{"make test"}, nil
		}},
		{"maps are merged and null takes away", "stages: {test: {env: {CI: null, PORT: 8080, DEBUG: true}}}", func(p *Pipeline) {
			p.Stages[1].Env = map[string]string{"TZ": "UTC", "PORT": "8080", "DEBUG": "true"}
		}},
		{"config is merged", "gates: {quality/coverage: {config: {limit: 92.5, exclude: [a, {b: 1}]}, enforcement: mandatory}}", func(p *Pipeline) {
			p.Gates[0].Enforcement = Mandatory
			p.Gates[0].Config = map[string]any{"limit": 92.5, "per": "line", "exclude": []any{"a", map[string]any{"b": 1}}}
		}},
		{"a new stage", "stages: {e2e: {run: [a, b], needs: bundle, when: smoke}}", func(p *Pipeline) {
			p.Stages = append(p.Stages, Stage{Name: "e2e", Run: []string{"a", "b"}, Needs: []string{"bundle"}, When: WhenSmoke})
		}},
		{"a stage taken away hands on its needs", "stages: {test: {remove: true}}", func(p *Pipeline) {
			p.Stages = []Stage{p.Stages[0], p.Stages[2]}
			p.Stages[1].Needs = []string{"install"}
		}},
		{"a gate and an environment", "gates: {quality/coverage: {remove: true}}\nenvironments: {production: {remove: true}, new: {bake: 5m}}", func(p *Pipeline) {
			p.Gates = nil
			p.Environments = []Environment{{Name: "new", Bake: 5 * time.Minute}}
		}},
		{"inside a nested value", "environments: {production: {smoke: {version: if-shown}}}", func(p *Pipeline) {
			p.Environments[0].Smoke.Version = ProofIfShown
		}},
		{"custom", "pipeline: custom\nstages: {only: {run: x}}", func(p *Pipeline) {
			*p = Pipeline{Name: "app", Stages: []Stage{{Name: "only", Run: []string{"x"}}}}
		}},
		{"aliases", "stages: {a: &a {run: x, secrets: [K]}, b: *a}", func(p *Pipeline) {
			p.Stages = append(p.Stages, Stage{Name: "a", Run: []string{"x"}, Secrets: []string{"K"}}, Stage{Name: "b", Run: []string{"x"}, Secrets: []string{"K"}})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			base, want := shipped(), shipped()
			test.want(&want)
			got, problems := load(t, test.text).Apply(base)
			if problems != nil {
				t.Fatal(problems)
			}
			if len(got.Gates) == 0 {
				got.Gates = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(shipped(), base); diff != "" {
				t.Errorf("the shipped pipeline was changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRemovingAnEnvironmentLeavesNothingOfIt: the shipped gates name the local environment, and its removal is no mistake.
func TestRemovingAnEnvironmentLeavesNothingOfIt(t *testing.T) {
	t.Parallel()
	base := shipped()
	base.Environments = append(base.Environments, Environment{Name: "local"})
	base.Gates = append(base.Gates, GateRef{Gate: "security/audit", EnforcementIn: map[string]Enforcement{"local": Advisory}})
	p, problems := Build(base, load(t, "environments:\n  local: {remove: true}\n"))
	if problems != nil {
		t.Error(problems)
	}
	if left := p.Gates[len(p.Gates)-1].EnforcementIn; len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if len(base.Gates[len(base.Gates)-1].EnforcementIn) != 1 {
		t.Error("the shipped pipeline was changed")
	}
}

// Of the gates that the shipped pipeline asks in some environments only, an environment that is taken away is none any more; and a
// gate that was for it alone is not asked everywhere instead.
func TestRemovingAnEnvironmentFromTheShippedPipeline(t *testing.T) {
	t.Parallel()
	shipped := Worker(guideApp())
	for _, gone := range shipped.Environments {
		p, problems := Build(shipped, load(t, "environments: {"+gone.Name+": {remove: true}}\n"))
		if problems.Err() != nil {
			t.Errorf("without %s: %v", gone.Name, problems)
		}
		for _, gate := range p.Gates {
			at := slices.IndexFunc(shipped.Gates, func(other GateRef) bool { return other.Gate == gate.Gate })
			for _, env := range p.Environments {
				if gate.AskedIn(env.Name) != shipped.Gates[at].AskedIn(env.Name) {
					t.Errorf("without %s, %s is asked in %s: %v", gone.Name, gate.Gate, env.Name, gate.AskedIn(env.Name))
				}
			}
		}
	}
	// What the author says themselves of an environment that is not there is a mistake of theirs.
	if _, problems := Build(shipped, load(t, "environments: {staging: {remove: true}}\ngates: {release/size: {environments: [staging]}}\n")); problems.Err() == nil {
		t.Error("a gate for an environment that is not there was accepted")
	}
}

func TestApplyNamesWhatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	_, problems := load(t, "stages:\n  tset: {remove: true}\n").Apply(shipped())
	want := []string{`penstock.yaml:2:3: "tset" is not there to be removed, did you mean "test"?; name one of install, test, bundle`}
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultFillsInAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	got := Default(Pipeline{
		Stages:       []Stage{{Name: "a"}, {Name: "b", When: WhenSmoke, Network: NetworkNone, Timeout: time.Second}},
		Gates:        []GateRef{{Gate: "a/a"}, {Gate: "b/b", Phase: "bake", Enforcement: Advisory, Timeout: time.Hour}},
		Environments: []Environment{{Name: "a"}, {Name: "b", Target: "local", Steps: []float64{10, 100}, Smoke: Smoke{Probes: []Probe{{Path: "/x"}}, Version: ProofRequired}}},
	})
	want := Pipeline{
		Stages: []Stage{
			{Name: "a", When: WhenBuild, Network: NetworkDefault, Timeout: 10 * time.Minute},
			{Name: "b", When: WhenSmoke, Network: NetworkNone, Timeout: time.Second},
		},
		Gates: []GateRef{
			{Gate: "a/a", Phase: gates.PhaseBuild, Enforcement: Overridable, Timeout: time.Minute},
			{Gate: "b/b", Phase: gates.PhaseBake, Enforcement: Advisory, Timeout: time.Hour},
		},
		Environments: []Environment{
			{Name: "a", Target: "cloudflare", Steps: []float64{100}, Smoke: Smoke{Probes: []Probe{{Path: "/"}}, Version: ProofIfShown}},
			{Name: "b", Target: "local", Steps: []float64{10, 100}, Smoke: Smoke{Probes: []Probe{{Path: "/x"}}, Version: ProofRequired}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, Default(got)); diff != "" {
		t.Errorf("a second time changes something:\n%s", diff)
	}
}

func TestValidateListsEveryProblem(t *testing.T) {
	t.Parallel()
	text := `name: My App
stages:
  install:
    needs: [bundle]
  test:
    run: ["", ok]
    needs: [instal, test, install, install]
    inputs: ["!docs/**"]
    outputs: [../up, /abs, 'a\b', .]
    reports: [{kind: junitt, path: /tmp/x}]
    caches: [No Spaces]
    env: {1A: x, PENSTOCK_URL: x, KEY: x}
    secrets: [KEY, "TOKEN=abc123"]
    timeout: -1s
    retries: 99
    maxAge: 9000h
    network: offline
    tools: [{name: "rm -rf"}]
  bundle:
    inputs: ["src/[", a]
  probe:
    run: x
    when: smoke
    outputs: [.penstock-bundle/worker.form]
  late:
    run: x
    needs: [probe]
gates:
  coverage: {enforcement: strict}
  quality/coverage:
    environments: [prod]
    timeout: 48h
  security/headers:
    phase: promote
    environments: [productoin]
    enforcementIn: {produciton: advisory, production: stern}
environments:
  production:
    target: aws
    vars: {"a b": c}
    seed: ../seed.sql
    steps: [50, 20]
    bake: 200h
    approvers: [ada, ada]
    smoke: {version: always, probes: [{path: health, status: 99}]}
  staging:
    steps: [10, 50]
`
	_, problems := Build(shipped(), load(t, text))
	got := strings.Join(lines(problems), "\n") + "\n"
	for _, want := range []string{
		`:1:1: "My App" cannot be the app's name`,
		`:4:13: stages need each other in a circle: install → bundle → test → install`,
		`:6:11: the command is empty`,
		`:7:13: stage test needs "instal", which is no stage, did you mean "install"?; name one of install, test, bundle, probe, late`,
		`:7:21: stages need each other in a circle: test → test`,
		`:7:36: stage test needs "install" twice`,
		`:8:5: exclusions alone select nothing; begin with "**"`,
		`:9:15: "../up" leads out of the app's folder`,
		`:9:22: "/abs" is absolute`,
		`:9:28: "a\\b" holds a backslash`,
		`:9:35: "." is the app's folder itself`,
		`:10:16: "junitt" is not known here, did you mean "junit"?`,
		`:10:30: "/tmp/x" is absolute`,
		`:11:14: "No Spaces" cannot be a cache's name`,
		`:12:11: "1A" cannot be a variable's name`,
		`:12:18: PENSTOCK_URL is set by Penstock itself`,
		`:13:15: KEY is both a secret and a plain variable`,
		`:13:20: this is not a secret's name`,
		`:14:5: -1s cannot be a time limit; choose more than 0 and at most 24h`,
		`:15:5: 99 more attempts; choose from 0 to 10`,
		`:16:5: 9000h cannot be an age; choose from 0 (for ever) to 8760h`,
		`:17:5: "offline" is not known here; use one of default, none`,
		`:18:14: "rm -rf" cannot be a program's name`,
		`:20:14: "src/[" is not a glob`,
		`:24:5: more than one stage makes the bundle: bundle, probe`,
		`:23:5: the bundle must exist before there is a version to ask`,
		`:27:13: stage late needs probe, which only runs when there is a version to ask`,
		`:29:3: "coverage" cannot be a gate's name`,
		`:29:14: "strict" is not known here; use one of advisory, overridable, mandatory`,
		`:31:5: quality/coverage judges the build, which is the same for all environments`,
		`:31:20: "prod" is no environment`,
		`:32:5: 48h cannot be a time limit`,
		`:35:20: "productoin" is no environment, did you mean "production"?`,
		`:36:21: "produciton" is no environment, did you mean "production"?`,
		`:36:43: "stern" is not known here; use one of advisory, overridable, mandatory`,
		`:39:5: "aws" is not known here; use one of cloudflare, local`,
		`:40:12: "a b" cannot be a variable's name`,
		`:41:5: "../seed.sql" leads out of the app's folder`,
		`:42:17: 20 does not follow 50`,
		`:43:5: 200h cannot be a time to watch`,
		`:44:22: "ada" is empty or there twice`,
		`:45:13: "always" is not known here`,
		`:45:40: "health" is not a path on the Worker`,
		`:45:54: 99 is not an HTTP status`,
		`:47:5: the last step is 50 %`,
	} {
		if !strings.Contains(got, FileName+want) {
			t.Errorf("nothing says %s", want)
		}
	}
	if strings.Contains(got, "abc123") {
		t.Error("the value of a secret is repeated")
	}
	if count := strings.Count(got, "\n"); count != 45 {
		t.Errorf("%d problems, want 45:\n%s", count, got)
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestValidateOfAPipelineInGo(t *testing.T) {
	t.Parallel()
	want := []string{
		`"" cannot be the app's name; use lower-case letters, digits, - . _ / and @`,
		`the pipeline has no stages; describe at least the one that makes .penstock-bundle/worker.form`,
		`the pipeline has no environments; name at least one place to deploy to`,
	}
	if diff := cmp.Diff(want, lines(Validate(Default(Pipeline{}), nil))); diff != "" {
		t.Error(diff)
	}
	p := Default(shipped())
	p.Gates = append(p.Gates, p.Gates[0])
	p.Stages[2].Outputs = nil
	want = []string{
		`"quality/coverage" is there twice; give one of them another name`,
		"no stage makes the bundle; let one leave what `wrangler deploy --dry-run --outfile` writes in .penstock-bundle/worker.form, and list that among its outputs",
	}
	if diff := cmp.Diff(want, lines(Validate(p, nil))); diff != "" {
		t.Error(diff)
	}
}

// TestRoundTripOfEverything fills every field, and writes what YAML likes to read as something else.
func TestRoundTripOfEverything(t *testing.T) {
	t.Parallel()
	p := Default(Pipeline{
		Name: "@scope/app",
		Stages: []Stage{{
			Name: "no", Title: "yes: # really", Image: "a@sha256:0", Run: []string{"a: b", "multi\nline\n", "  spaced ", "null", "1e3", "é \u2028 \x7f"},
			Inputs: []string{"**", "!x"}, Outputs: []string{BundleFile, "1.10"},
			Reports: []Report{{Kind: "lcov", Path: "$PENSTOCK_REPORTS/a", Optional: true}},
			Caches:  []string{"npm"}, Env: map[string]string{"A": "1.10", "B": "", "C": "~", "D": "0x1f", "E": "2024-01-01"}, Secrets: []string{"Y", "N"},
			Network: NetworkNone, Timeout: 1500 * time.Millisecond, MaxAge: 36 * time.Hour, Retries: 3, Tools: []Tool{{"node", ">=20 <23"}, {Name: "git"}}, PerEnvironment: true,
		}, {Name: "on", Run: []string{"x"}, When: WhenSmoke, Needs: []string{"no"}}},
		Gates: []GateRef{{
			Gate: "a/b", Phase: "bake", Enforcement: Advisory, Environments: []string{"Production"}, Timeout: 2 * time.Hour,
			EnforcementIn: map[string]Enforcement{"Production": Mandatory},
			Config:        map[string]any{"f": 80.0, "i": 80, "t": "80", "l": []any{1, "x", true, nil, 2.5}, "m": map[string]any{"null": nil}, "e": map[string]any{}},
		}},
		Environments: []Environment{{
			Name: "Production", Target: "local", WranglerEnv: "production", Secrets: []string{"S"}, Vars: map[string]string{"V": "true"}, Provision: true,
			Seed: "seed.sql", Backup: BackupExport, Smoke: Smoke{Probes: []Probe{{"/health", 200}, {Path: "/"}}, Version: ProofRequired}, Steps: []float64{0.5, 33, 100},
			StepBake: time.Minute, Bake: 90 * time.Minute, Approvers: []string{"ada@example.com"},
		}},
	})
	if problems := Validate(p, nil); problems != nil {
		t.Fatal(problems)
	}
	written, err := WriteYAML(p)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, p, written)
}

func FuzzLoadAndValidate(f *testing.F) {
	f.Add("pipeline: custom\nstages: {a: {run: x, needs: [a], outputs: [.penstock-bundle/worker.form]}}\nenvironments: {p: {steps: [1, 100]}}")
	f.Add("stages: {test: {remove: true}, b: &b {run: [a], env: {A: null}}, c: *b}\ngates: {a/b: {config: {x: [1, 2.5, .nan]}}}")
	f.Add("environments: {production: {smoke: {probes: [{path: /}]}, bake: 5m}}")
	f.Add("stages: &a {b: *a}")
	f.Fuzz(func(t *testing.T, text string) {
		file, problems := Load(FileName, []byte(text))
		if (file == nil) == (problems.Err() == nil) {
			t.Fatalf("file %v with problems %v", file, problems)
		}
		for _, problem := range problems {
			if problem.What == "" || problem.Fix == "" || problem.File != FileName {
				t.Errorf("incomplete: %+v", problem)
			}
		}
		if file == nil {
			return
		}
		p, problems := Build(shipped(), file)
		for _, problem := range problems {
			if problem.What == "" || problem.Fix == "" {
				t.Errorf("incomplete: %+v", problem)
			}
		}
		if problems.Err() != nil {
			return
		}
		written, err := WriteYAML(p)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, p, written)
	})
}
