package pipelines

import (
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock-ci/penstock/gates"
)

// Validate lists everything that is wrong with a defaulted pipeline. file is the penstock.yaml that it came from, for the
// positions; nil for a pipeline that was written in Go.
func Validate(p Pipeline, file *File) Problems {
	v := validation{pipeline: p, file: file}
	if !appForm.MatchString(p.Name) {
		v.problem(at("name"), fmt.Sprintf("%q cannot be the app's name", p.Name), "use lower-case letters, digits, - . _ / and @")
	}
	if len(p.Stages) == 0 {
		v.problem(at("stages"), "the pipeline has no stages", "describe at least the one that makes "+BundleFile)
	}
	v.unique("stages", names(p.Stages, func(s Stage) string { return s.Name }))
	v.unique("gates", names(p.Gates, func(g GateRef) string { return g.Gate }))
	v.unique("environments", names(p.Environments, func(e Environment) string { return e.Name }))
	for _, stage := range p.Stages {
		v.stage(stage)
	}
	v.cycles()
	v.bundle()
	for _, gate := range p.Gates {
		v.gate(gate)
	}
	if len(p.Environments) == 0 {
		v.problem(at("environments"), "the pipeline has no environments", "name at least one place to deploy to")
	}
	v.ledger(p.Ledger, at("ledger"))
	for _, env := range p.Environments {
		v.environment(env)
	}
	v.problems.Sort()
	return v.problems
}

// Limits that keep a slip of the finger from looking like a configuration.
const (
	maxTimeout = 24 * time.Hour
	maxRetries = 10
	maxBake    = 7 * 24 * time.Hour
	maxWaiting = 90 * 24 * time.Hour
	maxMaxAge  = 365 * 24 * time.Hour
)

var (
	appForm      = regexp.MustCompile(`^[a-z0-9@][a-z0-9@/._-]{0,99}$`) // npm's package names
	wordForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)
	gateForm     = regexp.MustCompile(`^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	cacheForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	databaseForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$`)
	bucketForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`) // developers.cloudflare.com/r2/buckets/create-buckets
	toolForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
)

// The values that an enumeration may have; penstock.schema.json has the same.
var (
	reportKinds = []gates.ReportKind{
		gates.ReportJUnit, gates.ReportIstanbul, gates.ReportIstanbulSummary, gates.ReportLCOV, gates.ReportCobertura, gates.ReportSARIF,
		gates.ReportESLint, gates.ReportNPMAudit, gates.ReportOSV, gates.ReportCycloneDX, gates.ReportBenchmark, gates.ReportLighthouse, gates.ReportWebVitals,
	}
	phases       = []gates.Phase{gates.PhaseBuild, gates.PhasePlan, gates.PhasePromote, gates.PhaseBake}
	backups      = []BackupKind{BackupNone, BackupBookmark, BackupExport}
	enforcements = []Enforcement{Advisory, Overridable, Mandatory}
	moments      = []When{WhenBuild, WhenSmoke, WhenIntegration}
	strategies   = []Strategy{StrategyVersions, StrategySlots}
	networks     = []Network{NetworkDefault, NetworkNone}
	proofs       = []VersionProof{ProofRequired, ProofIfShown}
	targets      = []string{"cloudflare", "local"}
)

type validation struct {
	pipeline Pipeline
	file     *File
	problems Problems
}

// at is the path of a value: at("stages", "test", "needs", "0").
func at(steps ...string) []string { return steps }

func within(place []string, steps ...string) []string { return append(slices.Clone(place), steps...) }

func (v *validation) problem(place []string, what, fix string) {
	v.problems = append(v.problems, v.file.problem(place, what, fix))
}

func names[T any](items []T, name func(T) string) []string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = name(item)
	}
	return all
}

func (v *validation) unique(section string, all []string) {
	seen := map[string]bool{}
	for _, name := range all {
		if seen[name] {
			v.problem(at(section, name), fmt.Sprintf("%q is there twice", name), "give one of them another name")
		}
		seen[name] = true
	}
}

// word checks the name of a stage or an environment: it appears in folder names, on command lines and in commit statuses.
func (v *validation) word(name string, place []string) {
	if !wordForm.MatchString(name) {
		v.problem(place, fmt.Sprintf("%q cannot be a name here", name), "use letters, digits, - . _ and :, at most 64 of them")
	}
}

func oneOf[T ~string](v *validation, place []string, value T, allowed []T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	v.problem(place, fmt.Sprintf("%q is not known here%s", value, didYouMean(string(value), words)), "use one of "+strings.Join(words, ", "))
}

func (v *validation) stage(stage Stage) {
	place := at("stages", stage.Name)
	v.word(stage.Name, place)
	if len(stage.Run) == 0 {
		v.problem(within(place, "run"), fmt.Sprintf("stage %s runs nothing", stage.Name), "give it at least one command")
	}
	for i, command := range stage.Run {
		if strings.TrimSpace(command) == "" {
			v.problem(within(place, "run", strconv.Itoa(i)), "the command is empty", "write it, or take it away")
		}
		if strings.ContainsRune(command, 0) {
			v.problem(within(place, "run", strconv.Itoa(i)), "the command holds a NUL character", "take it out")
		}
	}
	v.needs(stage, place)
	v.globs(stage.Inputs, within(place, "inputs"))
	for i, output := range stage.Outputs {
		v.inSource(output, within(place, "outputs", strconv.Itoa(i)))
	}
	for i, report := range stage.Reports {
		here := within(place, "reports", strconv.Itoa(i))
		oneOf(v, within(here, "kind"), report.Kind, reportKinds)
		v.relative(strings.TrimPrefix(report.Path, reportFolder+"/"), within(here, "path"))
	}
	for i, cache := range stage.Caches {
		if !cacheForm.MatchString(cache) {
			v.problem(within(place, "caches", strconv.Itoa(i)), fmt.Sprintf("%q cannot be a cache's name", cache), "use lower-case letters, digits and -")
		}
	}
	v.variables(stage.Env, within(place, "env"))
	v.secrets(stage.Secrets, stage.Env, within(place, "secrets"))
	oneOf(v, within(place, "network"), stage.Network, networks)
	oneOf(v, within(place, "when"), stage.When, moments)
	v.timeout(stage.Timeout, within(place, "timeout"))
	if stage.MaxAge < 0 || stage.MaxAge > maxMaxAge {
		v.problem(within(place, "maxAge"), fmt.Sprintf("%s cannot be an age", text(stage.MaxAge)), "choose from 0 (for ever) to "+text(maxMaxAge))
	}
	if stage.Retries < 0 || stage.Retries > maxRetries {
		v.problem(within(place, "retries"), fmt.Sprintf("%d more attempts", stage.Retries), fmt.Sprintf("choose from 0 to %d", maxRetries))
	}
	for i, tool := range stage.Tools {
		if !toolForm.MatchString(tool.Name) {
			v.problem(within(place, "tools", strconv.Itoa(i), "name"), fmt.Sprintf("%q cannot be a program's name", tool.Name), "write what one types to start it")
		}
	}
}

func (v *validation) needs(stage Stage, place []string) {
	for i, need := range stage.Needs {
		here := within(place, "needs", strconv.Itoa(i))
		needed := v.pipeline.Stage(need)
		switch {
		case needed == nil:
			known := names(v.pipeline.Stages, func(s Stage) string { return s.Name })
			v.problem(here, fmt.Sprintf("stage %s needs %q, which is no stage%s", stage.Name, need, didYouMean(need, known)), "name one of "+strings.Join(known, ", "))
		case slices.Contains(stage.Needs[:i], need):
			v.problem(here, fmt.Sprintf("stage %s needs %q twice", stage.Name, need), "name it once")
		case needed.When != "" && needed.When != WhenBuild && stage.When != needed.When:
			v.problem(here, fmt.Sprintf("stage %s needs %s, which only runs when there is a version to ask", stage.Name, need), "turn it round, or give "+stage.Name+" `when: "+string(needed.When)+"`")
		}
	}
}

// globs checks patterns of inputs.
func (v *validation) globs(patterns []string, place []string) {
	included := false
	for i, pattern := range patterns {
		here := within(place, strconv.Itoa(i))
		positive := strings.TrimPrefix(pattern, "!")
		included = included || positive == pattern
		if !doublestar.ValidatePattern(positive) {
			v.problem(here, fmt.Sprintf("%q is not a glob", pattern), "close its brackets and braces; ** means any folders")
			continue
		}
		v.inSource(positive, here)
	}
	if len(patterns) > 0 && !included {
		v.problem(place, "exclusions alone select nothing", `begin with "**"`)
	}
}

// inSource checks a path of a stage, which may lead out of the app's folder where the app is a member of a workspace.
func (v *validation) inSource(name string, place []string) {
	inside := path.Join(v.pipeline.Place, name)
	if v.pipeline.Place != "" && strings.HasPrefix(name, "../") && inside != "." && inside != ".." && !strings.HasPrefix(inside, "../") {
		name = inside
	}
	v.relative(name, place)
}

// relative checks that a path stays inside the app's folder.
func (v *validation) relative(name string, place []string) {
	switch {
	case name == "":
		v.problem(place, "the path is empty", "name a file or folder")
	case strings.Contains(name, `\`):
		v.problem(place, fmt.Sprintf("%q holds a backslash", name), "write paths with / on every system")
	case path.IsAbs(name) || len(name) > 1 && name[1] == ':':
		v.problem(place, fmt.Sprintf("%q is absolute", name), "write it relative to the app's folder")
	case slices.Contains(strings.Split(name, "/"), ".."):
		v.problem(place, fmt.Sprintf("%q leads out of the app's folder", name), "stay inside it")
	case path.Clean(name) == ".":
		v.problem(place, fmt.Sprintf("%q is the app's folder itself", name), "name something in it")
	case strings.ContainsRune(name, 0):
		v.problem(place, "the path holds a NUL character", "take it out")
	}
}

func (v *validation) variables(variables map[string]string, place []string) {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value := variables[name]
		switch {
		case !variableForm.MatchString(name):
			v.problem(within(place, name), fmt.Sprintf("%q cannot be a variable's name", name), "use letters, digits and _")
		case strings.HasPrefix(name, "PENSTOCK_"):
			v.problem(within(place, name), name+" is set by Penstock itself", "choose a name that does not begin with PENSTOCK_")
		case strings.ContainsRune(value, 0):
			v.problem(within(place, name), name+" holds a NUL character", "take it out")
		}
	}
}

// secrets checks names. A value is never repeated: it would end up in a log.
func (v *validation) secrets(secrets []string, variables map[string]string, place []string) {
	for i, name := range secrets {
		here := within(place, strconv.Itoa(i))
		_, variable := variables[name]
		switch {
		case !variableForm.MatchString(name):
			v.problem(here, "this is not a secret's name", "write names only, such as API_KEY; a value never belongs in this file: if one was here, consider it known")
		case variable:
			v.problem(here, name+" is both a secret and a plain variable", "take it out of env")
		case slices.Contains(secrets[:i], name):
			v.problem(here, name+" is there twice", "name it once")
		}
	}
}

func (v *validation) timeout(timeout time.Duration, place []string) {
	if timeout <= 0 || timeout > maxTimeout {
		v.problem(place, fmt.Sprintf("%s cannot be a time limit", text(timeout)), fmt.Sprintf("choose more than 0 and at most %s", text(maxTimeout)))
	}
}

// cycles names every circle of needs once, by its path.
func (v *validation) cycles() {
	const (
		unseen = iota
		open
		done
	)
	state := map[string]int{}
	var trail []string
	var visit func(name string)
	visit = func(name string) {
		stage := v.pipeline.Stage(name)
		if stage == nil || state[name] == done {
			return
		}
		if state[name] == open {
			circle := append(slices.Clone(trail[slices.Index(trail, name):]), name)
			next := slices.Index(stage.Needs, circle[1])
			v.problem(at("stages", name, "needs", strconv.Itoa(next)), "stages need each other in a circle: "+strings.Join(circle, " → "), "take one of the needs away")
			return
		}
		state[name] = open
		trail = append(trail, name)
		for i, need := range stage.Needs {
			if !slices.Contains(stage.Needs[:i], need) {
				visit(need)
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = done
	}
	for _, stage := range v.pipeline.Stages {
		visit(stage.Name)
	}
}

// bundle checks that there is exactly one thing to promote.
func (v *validation) bundle() {
	var makers []string
	for _, stage := range v.pipeline.Stages {
		if slices.Contains(stage.Outputs, BundleFile) {
			makers = append(makers, stage.Name)
			if stage.When == WhenSmoke || stage.When == WhenIntegration {
				v.problem(at("stages", stage.Name, "when"), "the bundle must exist before there is a version to ask", "take `when: "+string(stage.When)+"` away")
			}
		}
	}
	switch {
	case len(makers) == 0 && len(v.pipeline.Stages) > 0:
		v.problem(at("stages"), "no stage makes the bundle", "let one leave what `wrangler deploy --dry-run --outfile` writes in "+BundleFile+", and list that among its outputs")
	case len(makers) > 1:
		v.problem(at("stages", makers[1], "outputs"), "more than one stage makes the bundle: "+strings.Join(makers, ", "), "keep one")
	}
}

func (v *validation) gate(gate GateRef) {
	place := at("gates", gate.Gate)
	if !gateForm.MatchString(gate.Gate) {
		v.problem(place, fmt.Sprintf("%q cannot be a gate's name", gate.Gate), "write set/gate, such as quality/coverage; `penstock gates list` shows them")
	}
	oneOf(v, within(place, "phase"), gate.Phase, phases)
	oneOf(v, within(place, "enforcement"), gate.Enforcement, enforcements)
	v.timeout(gate.Timeout, within(place, "timeout"))
	if gate.Phase == gates.PhaseBuild && len(gate.Environments) > 0 {
		v.problem(within(place, "environments"), gate.Gate+" judges the build, which is the same for all environments", "take environments away, or give it the phase plan, promote or bake")
	}
	known := names(v.pipeline.Environments, func(e Environment) string { return e.Name })
	for _, name := range slices.Sorted(maps.Keys(gate.EnforcementIn)) {
		here := within(place, "enforcementIn", name)
		oneOf(v, here, gate.EnforcementIn[name], enforcements)
		if !slices.Contains(known, name) {
			v.problem(here, fmt.Sprintf("%q is no environment%s", name, didYouMean(name, known)), "name one of "+strings.Join(known, ", "))
		}
	}
	for i, name := range gate.Environments {
		if !slices.Contains(known, name) {
			v.problem(within(place, "environments", strconv.Itoa(i)), fmt.Sprintf("%q is no environment%s", name, didYouMean(name, known)), "name one of "+strings.Join(known, ", "))
		}
	}
}

func (v *validation) environment(env Environment) {
	place := at("environments", env.Name)
	v.word(env.Name, place)
	oneOf(v, within(place, "target"), env.Target, targets)
	v.secrets(env.Secrets, env.Vars, within(place, "secrets"))
	v.variables(env.Vars, within(place, "vars"))
	if env.Seed != "" {
		v.relative(env.Seed, within(place, "seed"))
	}
	v.slot(env, place)
	if env.Backup != "" {
		oneOf(v, within(place, "backup"), env.Backup, backups)
	}
	if env.KeepExports < 0 {
		v.problem(within(place, "keepExports"), fmt.Sprintf("%d cannot be a number of exports", env.KeepExports), "choose 1 or more, or leave it out for 10")
	}
	if env.KeepExportsFor < 0 {
		v.problem(within(place, "keepExportsFor"), fmt.Sprintf("%s cannot be an age", text(env.KeepExportsFor)), "choose a time such as 720h, or leave it out for 30 days")
	}
	oneOf(v, within(place, "smoke", "version"), env.Smoke.Version, proofs)
	for i, probe := range env.Smoke.Probes {
		here := within(place, "smoke", "probes", strconv.Itoa(i))
		if !strings.HasPrefix(probe.Path, "/") {
			v.problem(within(here, "path"), fmt.Sprintf("%q is not a path on the Worker", probe.Path), "begin with /")
		}
		if probe.Status != 0 && (probe.Status < 100 || probe.Status > 599) {
			v.problem(within(here, "status"), fmt.Sprintf("%d is not an HTTP status", probe.Status), "choose from 100 to 599, or leave it out to take any below 500")
		}
	}
	v.steps(env.Steps, within(place, "steps"))
	if env.Bake < 0 || env.Bake > maxBake {
		v.problem(within(place, "bake"), fmt.Sprintf("%s cannot be a time to watch", text(env.Bake)), "choose from 0 to "+text(maxBake))
	}
	if env.StepBake < 0 || env.StepBake > maxBake {
		v.problem(within(place, "stepBake"), fmt.Sprintf("%s cannot be a time to watch", text(env.StepBake)), "choose from 0 to "+text(maxBake))
	}
	if env.Ledger != v.pipeline.Ledger { // else that is judged already
		v.ledger(env.Ledger, within(place, "ledger"))
	}
	v.sameLedger(env, place)
	v.people(env, place)
	for i, approver := range env.Approvers {
		if strings.TrimSpace(approver) == "" || slices.Contains(env.Approvers[:i], approver) {
			v.problem(within(place, "approvers", strconv.Itoa(i)), fmt.Sprintf("%q is empty or there twice", approver), "name each approver once")
		}
	}
}

// people checks who is asked, for how long, and where the same must have been before.
func (v *validation) people(env Environment, place []string) {
	if env.Approvals < 0 || env.Approvals > 0 && env.Approvals > len(env.Approvers) {
		v.problem(within(place, "approvals"), fmt.Sprintf("%d approvals by %d approvers", env.Approvals, len(env.Approvers)), "choose from 1 to the number of approvers")
	}
	if env.Signers != "" {
		v.relative(env.Signers, within(place, "signers"))
	}
	if env.Waiting < 0 || env.Waiting > maxWaiting {
		v.problem(within(place, "waiting"), fmt.Sprintf("%s cannot be a time to wait", text(env.Waiting)), "choose from 0 (7 days) to "+text(maxWaiting))
	}
	if env.After == "" {
		return
	}
	known := names(v.pipeline.Environments, func(e Environment) string { return e.Name })
	seen := []string{env.Name}
	for upstream := &env; upstream.After != ""; {
		next := v.pipeline.Environment(upstream.After)
		switch {
		case next == nil:
			if upstream.Name == env.Name { // the others say it themselves
				v.problem(within(place, "after"), fmt.Sprintf("%q is no environment%s", env.After, didYouMean(env.After, known)), "name one of "+strings.Join(known, ", "))
			}
			return
		case slices.Contains(seen, next.Name):
			v.problem(within(place, "after"), "environments come after each other in a circle: "+strings.Join(append(seen, next.Name), ", "), "let one of them come first")
			return
		}
		seen = append(seen, next.Name)
		upstream = next
	}
}

// ledger checks the names of a shared ledger's database and bucket.
func (v *validation) ledger(shared SharedLedger, place []string) {
	if shared == (SharedLedger{}) {
		return
	}
	const makes = "name one that only Penstock uses; `penstock provision` makes it"
	if !databaseForm.MatchString(shared.D1) {
		v.problem(within(place, "d1"), fmt.Sprintf("%q cannot be the name of a D1 database", shared.D1), makes)
	}
	if !bucketForm.MatchString(shared.R2) {
		v.problem(within(place, "r2"), fmt.Sprintf("%q cannot be the name of an R2 bucket, where what a run that waits is made of is kept", shared.R2), makes)
	}
}

// sameLedger checks that what an environment has to know of another one is in its record.
func (v *validation) sameLedger(env Environment, place []string) {
	for key, name := range map[string]string{"after": env.After, "slot": env.Slot} {
		if before := v.pipeline.Environment(name); before != nil && before.Ledger != env.Ledger {
			v.problem(within(place, key), fmt.Sprintf("%s and %s keep their records in different ledgers, so that one does not know what was promoted to the other", env.Name, name),
				"give both the same `ledger`")
		}
	}
}

// slot checks that an environment's slot is another one, which has none itself.
func (v *validation) slot(env Environment, place []string) {
	if env.Strategy != "" {
		oneOf(v, within(place, "strategy"), env.Strategy, strategies)
	}
	slot := v.pipeline.Environment(env.Slot)
	known := names(v.pipeline.Environments, func(e Environment) string { return e.Name })
	switch {
	case env.Strategy != StrategySlots && env.Slot != "":
		v.problem(within(place, "slot"), "a slot belongs to the strategy slots", "add `strategy: slots`, or take the slot away")
	case env.Strategy == StrategySlots && env.Slot == "":
		v.problem(within(place, "strategy"), "the strategy slots needs a slot", "name the environment that is deployed first as `slot`")
	case env.Strategy == StrategySlots && slot == nil:
		v.problem(within(place, "slot"), fmt.Sprintf("%q is no environment%s", env.Slot, didYouMean(env.Slot, known)), "name one of "+strings.Join(known, ", "))
	case env.Strategy == StrategySlots && (env.Slot == env.Name || slot.Strategy == StrategySlots):
		v.problem(within(place, "slot"), fmt.Sprintf("%q cannot be the slot of %s", env.Slot, env.Name), "name another environment, with the strategy versions")
	}
}

// steps checks shares of traffic: rising, and ending with all of it.
func (v *validation) steps(steps []float64, place []string) {
	last := 0.0
	for i, step := range steps {
		if !(step > last && step <= 100) || math.IsNaN(step) {
			v.problem(within(place, strconv.Itoa(i)), fmt.Sprintf("%v does not follow %v", step, last), "let the percentages rise from above 0 to 100")
			return
		}
		last = step
	}
	if last != 100 {
		v.problem(place, fmt.Sprintf("the last step is %v %%", last), "end with 100")
	}
}
