package pipelines

// commands are the forms in which one package manager does what the shipped pipeline asks for.
type commands struct {
	install string // exactly what is locked, or fail
	// unlocked is for an app without a lock file: today's newest, tomorrow others.
	unlocked string
	run      string // followed by a script's name
	// pass stands between a script's name and the options meant for its command.
	pass  string
	audit string // asks the registry for advisories, as JSON; all of them, as the gate has a level of its own
}

// commands returns the package manager's forms.
func (a *App) commands() commands {
	switch a.PackageManager {
	case PNPM:
		return commands{
			install:  "pnpm install --frozen-lockfile",
			unlocked: "pnpm install --no-lockfile",
			run:      "pnpm run ",
			pass:     " ", // pnpm hands a -- on to the script
			audit:    "pnpm audit --json",
		}
	case Yarn:
		if a.Berry {
			return commands{
				install:  "yarn install --immutable",
				unlocked: "yarn install --no-immutable",
				run:      "yarn run ",
				pass:     " ",
				audit:    "yarn npm audit --all --recursive --json",
			}
		}
		return commands{
			install:  "yarn install --frozen-lockfile --non-interactive",
			unlocked: "yarn install --no-lockfile --non-interactive",
			run:      "yarn run ",
			pass:     " ",
			audit:    "yarn audit --json",
		}
	case Bun:
		return commands{
			install:  "bun install --frozen-lockfile",
			unlocked: "bun install --no-save",
			run:      "bun run ",
			pass:     " ",
			audit:    "bun audit --json",
		}
	default:
		return commands{
			install:  "npm ci --no-audit --no-fund",
			unlocked: "npm install --no-package-lock --no-audit --no-fund",
			run:      "npm run ",
			pass:     " -- ",
			audit:    "npm audit --json --audit-level=high --package-lock-only --fetch-retries=1 --fetch-timeout=30000",
		}
	}
}

// program is the path of a program that a direct dependency brings. Every package manager links it there; starting it
// without the manager is a second faster and leaves the manager's own notes, which it finds by HOME, out of it. In a workspace it
// may be linked at the root, and PATH knows both places.
func (a *App) program(name string) string {
	if a.Workspace != nil {
		return name
	}
	return "node_modules/.bin/" + name
}

// script is the command that runs a package script with more options.
func (a *App) script(name, options string) string {
	c := a.commands()
	if options == "" {
		return c.run + name
	}
	return c.run + name + c.pass + options
}

// installInputs are the files on which an installation depends, so that an edit of a source file repeats none. Where the
// app's own scripts run while installing, they may read anything.
func (a *App) installInputs() []string {
	if a.InstallScripts {
		return a.everything()
	}
	inputs := []string{
		"**/package.json", // the app's and its workspaces'
		".npmrc", "patches/**",
	}
	if a.Lockfile != "" {
		inputs = append(inputs, a.Lockfile)
	}
	switch a.PackageManager {
	case PNPM:
		inputs = append(inputs, "pnpm-workspace.yaml", ".pnpmfile.cjs", ".pnpmfile.mjs")
	case Yarn:
		inputs = append(inputs, ".yarnrc", ".yarnrc.yml", ".yarn/**")
	case Bun:
		inputs = append(inputs, "bunfig.toml")
	}
	if a.Workspace != nil {
		for i := range inputs {
			inputs[i] = a.Workspace.Up + "/" + inputs[i]
		}
	}
	return inputs
}

// installOutputs are the folders of installed packages: in a workspace one in each package, made also where nothing fell to it.
func (a *App) installOutputs() []string {
	outputs := []string{"node_modules"}
	if a.Workspace != nil {
		outputs = append(outputs, a.Workspace.Up+"/node_modules")
		for _, member := range a.Workspace.Members {
			outputs = append(outputs, member+"/node_modules")
		}
	}
	return outputs
}

// atRoot is a command that the package manager is to run where its lock file lies.
func (a *App) atRoot(command string) string {
	if a.Workspace == nil {
		return command
	}
	return "(cd " + a.Workspace.Up + " && " + command + ")"
}

// everything is the whole snapshot but what tells others how to run it, Penstock and GitHub: no command of the app reads that, and
// a new time limit in it should not repeat a build. A stage that checks it names its inputs. Of a workspace it is all but the packages
// that the app does not depend on, whose edits are none of its.
func (a *App) everything() []string {
	if a.Workspace == nil {
		return []string{"**", "!" + FileName, "!.github/**"}
	}
	inputs := []string{a.Workspace.Up + "/**", "!" + FileName, "!.github/**", "!" + a.Workspace.Up + "/.github/**"}
	for _, other := range a.Workspace.Others {
		inputs = append(inputs, "!"+other+"/**")
	}
	return inputs
}
