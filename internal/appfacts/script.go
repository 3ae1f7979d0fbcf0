package appfacts

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/penstock-ci/penstock/pipelines"
)

// call is the command of a script to which options can be appended: the script itself, or the last of a chain.
type call struct {
	script string // that it stands in
	// words are the program and its arguments, without what only starts it (npx, cross-env); assigns the variables for it.
	words   []string
	assigns []string
	alone   bool // it is all that the script does
}

// program is the name without its folder.
func (c call) program() string {
	if len(c.words) == 0 {
		return ""
	}
	return path.Base(c.words[0])
}

func (c call) has(options ...string) bool {
	return slices.ContainsFunc(c.words, func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return slices.Contains(options, name)
	})
}

// callOf follows a script to its call, through one other script ("npm run test:unit"): the options then go to that one,
// because npm would take those behind its own name for itself.
func (r *reading) callOf(script string) (call, bool) {
	for range 2 {
		found, ok := parseCall(r.app.Scripts[script])
		if !ok {
			return call{}, false
		}
		next, isRun := handsOnTo(found, r.app.Scripts)
		if !isRun {
			found.script = script
			return found, true
		}
		if next == "" {
			return call{}, false
		}
		script = next
	}
	return call{}, false
}

// parseCall finds the call that gets what is appended to the script's text.
func parseCall(text string) (call, bool) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil || len(file.Stmts) == 0 {
		return call{}, false
	}
	statement := file.Stmts[len(file.Stmts)-1]
	found := call{alone: len(file.Stmts) == 1}
	for {
		binary, ok := statement.Cmd.(*syntax.BinaryCmd)
		if !ok {
			break
		}
		if binary.Op != syntax.AndStmt {
			return call{}, false
		}
		found.alone = false
		statement = binary.Y
	}
	simple, ok := statement.Cmd.(*syntax.CallExpr)
	if !ok || statement.Negated || statement.Background || len(statement.Redirs) > 0 || len(simple.Args) == 0 {
		return call{}, false
	}
	for _, assign := range simple.Assigns {
		found.assigns = append(found.assigns, printed(assign))
	}
	for _, word := range simple.Args {
		found.words = append(found.words, printed(word))
	}
	found.unwrap()
	return found, len(found.words) > 0
}

// printed is a piece of a script as it was written, quotes included.
func printed(node syntax.Node) string {
	var out bytes.Buffer
	if err := syntax.NewPrinter().Print(&out, node); err != nil {
		return "" // only a writer can fail
	}
	return out.String()
}

// unwrap takes off what starts the program and nothing else.
func (c *call) unwrap() {
	for len(c.words) > 1 {
		rest := c.words[1:]
		switch first := c.words[0]; {
		case first == "cross-env" || first == "env":
			for len(rest) > 0 && strings.Contains(rest[0], "=") && !strings.HasPrefix(rest[0], "-") {
				c.assigns = append(c.assigns, rest[0])
				rest = rest[1:]
			}
		case first == "npx" || first == "bunx":
			for len(rest) > 0 && slices.Contains([]string{"--no-install", "--no", "-y", "--yes", "--bun", "--"}, rest[0]) {
				rest = rest[1:]
			}
		case (first == "npm" || first == "pnpm" || first == "yarn") && rest[0] == "exec":
			if rest = rest[1:]; len(rest) > 0 && rest[0] == "--" {
				rest = rest[1:]
			}
		default:
			return
		}
		if c.words = rest; len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
			c.words = nil // an option that is not known here
		}
	}
}

// handsOnTo reports whether a call is of another script, and of which; "" when it passes arguments of its own.
func handsOnTo(c call, scripts map[string]string) (script string, isRun bool) {
	words := c.words
	switch words[0] {
	case "npm", "pnpm", "yarn", "bun":
	default:
		return "", false
	}
	if len(words) > 1 && (words[1] == "run" || words[1] == "run-script") {
		words = words[1:]
	} else if len(words) > 1 && words[0] == "bun" {
		return "", false // "bun test" is Bun's own runner
	}
	if len(words) != 2 || !c.alone || scripts[words[1]] == "" {
		return "", true
	}
	return words[1], true
}

// readScripts recognises what the scripts start.
func (r *reading) readScripts() error {
	r.readTestScript()
	r.readLintScript()
	r.readTypecheckScript()
	r.readTypesScript()
	r.findMissingScripts()
	r.app.TypeScript = r.app.DependsOn("typescript") && r.exists("tsconfig.json")
	r.app.InstallScripts = r.app.InstallScripts || installs(r.app.Scripts)
	return nil
}

// installs reports whether installing the package runs scripts of its own that may read any of its files.
func installs(scripts map[string]string) bool {
	return slices.ContainsFunc([]string{"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"}, func(name string) bool {
		return scripts[name] != "" && !harmless(scripts[name])
	})
}

// harmless install scripts read nothing but what an installation depends on anyway, or set up git hooks, which no stage has.
func harmless(text string) bool {
	found, ok := parseCall(text)
	return ok && found.alone && slices.Contains([]string{"husky", "husky-init", "lefthook", "simple-git-hooks", "patch-package"}, found.program())
}

func (r *reading) readTestScript() {
	found, ok := r.callOf("test")
	if !ok {
		return
	}
	app := &r.app
	switch found.program() {
	case "vitest":
		if found.has("bench", "list", "typecheck") {
			return
		}
		app.TestRunner = "vitest"
		app.WatchMode = !found.has("run", "--run") || found.has("--watch", "-w")
		app.CoverageProvider = app.DependsOn("@vitest/coverage-istanbul") || app.DependsOn("@vitest/coverage-v8") || app.DependsOn("@vitest/coverage-c8")
	case "jest", "jest.js":
		app.TestRunner = "jest"
		app.WatchMode = found.has("--watch", "--watchAll")
		app.CoverageProvider = true
	case "node":
		switch script := slices.IndexFunc(found.words[1:], func(word string) bool { return !strings.HasPrefix(word, "-") }); {
		case found.has("--test"):
			app.TestRunner = "node"
			app.WatchMode = found.has("--watch")
			app.CoverageProvider = true
		case script >= 0 && slices.Contains([]string{"jest", "jest.js"}, path.Base(found.words[1+script])):
			app.TestRunner = "jest" // node --experimental-vm-modules node_modules/jest/bin/jest.js
			app.WatchMode = found.has("--watch", "--watchAll")
			app.CoverageProvider = true
		}
	}
	if app.TestRunner == "" {
		return
	}
	app.TestScript = found.script
	app.TestOptions = found.words[1:]
	if found.alone {
		app.TestCommand = strings.Join(slices.Concat(found.assigns, found.words), " ")
	}
}

func (r *reading) readLintScript() {
	found, ok := r.callOf("lint")
	if !ok || found.program() != "eslint" || !found.alone || found.has("-f", "--format", "-o", "--output-file") {
		return
	}
	r.app.ESLint = true
	r.app.LintScript = found.script
	if found.has("--fix") {
		line, column := r.manifest.place("/scripts/" + found.script)
		r.problem(pipelines.SeverityWarning, manifestName, line, column,
			"the lint script repairs what it can in a copy of the source, and then finds nothing", "move --fix to a script of its own")
	}
}

// typecheckScripts are names that people give it; the guide's is check. The first that calls tsc counts.
var typecheckScripts = []string{"typecheck", "type-check", "check-types", "check:types", "types:check", "tsc", "check", "types"}

func (r *reading) readTypecheckScript() {
	for _, name := range typecheckScripts {
		if !mentions(r.app.Scripts[name], "tsc", "tsgo", "vue-tsc", "svelte-check") {
			continue
		}
		r.app.Typecheck = name
		if found, ok := r.callOf(name); ok && found.program() == "tsc" && !found.has("--pretty", "-w", "--watch") {
			r.app.Typecheck, r.app.PlainTypecheck = found.script, true
		}
		return
	}
}

// readTypesScript finds the script that does nothing but have wrangler write its types; create-cloudflare calls it cf-typegen.
func (r *reading) readTypesScript() {
	for _, name := range slices.Sorted(maps.Keys(r.app.Scripts)) {
		found, ok := parseCall(r.app.Scripts[name])
		if !ok || !found.alone || found.program() != "wrangler" || len(found.words) < 2 || found.words[1] != "types" || found.has("--check") {
			continue
		}
		r.app.TypesScript, r.app.TypesFile = name, "worker-configuration.d.ts"
		for i, word := range found.words[2:] {
			// A word behind an option is that option's, but for those that take none.
			if before := found.words[1+i]; !strings.HasPrefix(word, "-") && (!strings.HasPrefix(before, "-") || strings.HasPrefix(before, "--include-") || strings.HasPrefix(before, "--strict")) {
				r.app.TypesFile = strings.Trim(word, `"'`)
			}
		}
		return
	}
}

// findMissingScripts tells of scripts that the pipeline would run and that call another one which is not there.
func (r *reading) findMissingScripts() {
	for _, name := range []string{"test", "lint", "build", "bench", "test:smoke", r.app.Typecheck} {
		file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(r.app.Scripts[name]), "")
		if err != nil {
			continue
		}
		syntax.Walk(file, func(node syntax.Node) bool {
			call, ok := node.(*syntax.CallExpr)
			if !ok || len(call.Args) < 3 || printed(call.Args[1]) != "run" {
				return true
			}
			manager, wanted := printed(call.Args[0]), strings.Trim(printed(call.Args[2]), `"'`)
			if !slices.Contains([]string{"npm", "pnpm", "yarn", "bun"}, manager) || mentions(r.app.Scripts[name], elsewhereWords...) || !scriptName.MatchString(wanted) || r.app.Scripts[wanted] != "" {
				return true
			}
			line, column := r.manifest.place("/scripts/" + strings.ReplaceAll(name, "/", "~1"))
			r.problem(pipelines.SeverityWarning, manifestName, line, column,
				fmt.Sprintf("the script %s runs %q, and there is no such script: it will fail", name, wanted), fmt.Sprintf("add %q to the scripts, or take the call out", wanted))
			return true
		})
	}
}

// elsewhereWords lead to scripts of another package.
var elsewhereWords = []string{"cd", "-w", "--workspace", "--workspaces", "-ws", "--prefix", "-C", "--cwd", "--dir", "-F", "--filter", "-r", "--recursive"}

// scriptName is what a script can be called in a call of another; an option or a pattern is none.
var scriptName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]*$`)

// mentions reports whether one of the programs appears as a word.
func mentions(text string, programs ...string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t&|;()\"'", c) }),
		func(word string) bool { return slices.Contains(programs, path.Base(word)) })
}
