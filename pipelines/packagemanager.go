package pipelines

// commands are the forms in which one package manager does what the shipped pipeline asks for.
type commands struct {
	install string // exactly what is locked, or fail
	// unlocked is for an app without a lock file: today's newest, tomorrow others.
	unlocked string
	run      string // followed by a script's name
	// pass stands between a script's name and the options meant for its command.
	pass  string
	exec  string // followed by a program that a package has installed; never downloads one
	audit string // asks the registry for advisories, as JSON
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
			exec:     "pnpm exec ",
			audit:    "pnpm audit --json --audit-level high",
		}
	case Yarn:
		if a.Berry {
			return commands{
				install:  "yarn install --immutable",
				unlocked: "yarn install --no-immutable",
				run:      "yarn run ",
				pass:     " ",
				exec:     "yarn exec ",
				audit:    "yarn npm audit --all --recursive --json --severity high",
			}
		}
		return commands{
			install:  "yarn install --frozen-lockfile --non-interactive",
			unlocked: "yarn install --no-lockfile --non-interactive",
			run:      "yarn run ",
			pass:     " ",
			exec:     "yarn run ",
			audit:    "yarn audit --json --level high",
		}
	case Bun:
		return commands{
			install:  "bun install --frozen-lockfile",
			unlocked: "bun install --no-save",
			run:      "bun run ",
			pass:     " ",
			exec:     "bun x --no-install ",
			audit:    "bun audit --json",
		}
	default:
		return commands{
			install:  "npm ci --no-audit --no-fund",
			unlocked: "npm install --no-package-lock --no-audit --no-fund",
			run:      "npm run ",
			pass:     " -- ",
			exec:     "npx --no-install ",
			audit:    "npm audit --json --audit-level=high",
		}
	}
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
		return everything()
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
	return inputs
}

// everything is the whole snapshot but Penstock's own file: no command reads that, and a new time limit in it should not
// repeat a build.
func everything() []string { return []string{"**", "!" + FileName} }
