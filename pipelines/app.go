package pipelines

// App is what an app's folder says of itself: the facts to which a shipped pipeline is fitted. Package appfacts reads
// them; a test can write them by hand.
type App struct {
	Name           string // package.json name, else the Worker's, else the folder's
	PackageManager PackageManager
	// Berry says that Yarn is a modern one (2 or later), whose commands differ from Yarn 1's.
	Berry bool
	// Workspace is what the app is a member of, nil when its folder is all there is; the lock file lies at its root then.
	Workspace *Workspace
	// Lockfile is the lock file's name, "" when there is none.
	Lockfile  string
	NodeRange string // engines.node
	// WranglerNodeRange is the Node that the locked wrangler demands, "" when the lock file does not say.
	WranglerNodeRange string
	// NodeVersion is the exact Node of container images: one that satisfies both ranges.
	NodeVersion string
	Scripts     map[string]string // package.json scripts
	// InstallScripts says that installing runs scripts of the app itself, which may read any of its files.
	InstallScripts bool
	// Dependencies are the names in dependencies and devDependencies with their declared ranges.
	Dependencies map[string]string
	// TestScript is the script that starts the runner: "test", or the one that it hands on to.
	TestScript string
	// TestRunner is the runner that the test script starts: vitest, jest, node, "" when none was recognised.
	TestRunner string
	// TestCommand is the one plain command that the test script comes down to, in shell syntax, "" when there are several.
	TestCommand string
	// TestOptions are the words after the runner's name in its call; an option that is among them is not passed again.
	TestOptions []string
	// WatchMode says that the test script would start in watch mode unless told otherwise.
	WatchMode bool
	// CoverageProvider says that the runner's coverage provider is installed (vitest: @vitest/coverage-*).
	CoverageProvider bool
	// Typecheck is the name of the script that checks types, "" when none does. PlainTypecheck says that it is one plain
	// tsc call, to which options can be passed.
	Typecheck      string
	PlainTypecheck bool
	// LintScript is the script that lints: "lint", or the one that it hands on to.
	LintScript string
	// ESLint says that the lint script is one plain ESLint call, to which a format can be passed.
	ESLint bool
	// TypeScript says that there is a tsconfig.json and typescript among the dependencies.
	TypeScript bool
	// TypesScript is the script that has wrangler write the types of the Worker's environment, and TypesFile where to; "" when
	// there is none. Many apps do not commit that file.
	TypesScript, TypesFile string
	// Alerts is the file of the app's alerts, as the production guide has it; "" when there is none.
	Alerts string
	Worker WorkerFacts
}

// WorkerFacts is what the wrangler config, and the source that it names, say.
type WorkerFacts struct {
	ConfigFile string // name within the app's folder
	Name       string // of the top level
	Main       string // entry file; as the deploy script or the config has it
	// DeployOptions are what the app's deploy script passes to wrangler and what changes the bundle, in shell syntax: an entry
	// file, --minify.
	DeployOptions []string
	// Generated says that the build writes a wrangler config of its own, for what it built, and leaves word of it where a plain
	// `wrangler deploy` looks (.wrangler/deploy/config.json): Cloudflare's Vite plugin does. The environment is chosen while
	// building then.
	Generated bool
	// Built are the files and folders that the config refers to and that the build script has to make.
	Built []string
	// BuildCommand is the build that wrangler itself runs before it bundles.
	BuildCommand string
	Environments []string // names under env, sorted
	// Deployments holds the facts that differ between environments, by wrangler environment; "" is the top level.
	Deployments map[string]Deployment
	Seed        string // a conventional seed file that exists, "" when none
	// HealthPath is the path of the health check that the source answers, "" when none was recognised.
	HealthPath string
	// HealthChecks says that the source speaks of checks with their latency and of a timestamp, as the production guide's
	// health page does; one that only answers "ok" is not such a page.
	HealthChecks bool
}

// Deployment is what the wrangler config says of one environment.
type Deployment struct {
	Name  string // of the Worker there
	HasD1 bool
	// What else it binds, consumes or is reached by.
	HasKV, HasR2, HasDurableObjects, HasQueues, HasVectorize, HasRoutes bool
	VersionMetadata                                                     bool     // a version_metadata binding exists
	Assets                                                              string   // folder of static files within the app's; "" when there are none
	Secrets                                                             []string // names that wrangler is told to require
}

// HasScript reports whether package.json has a script of that name.
func (a *App) HasScript(name string) bool { return a.Scripts[name] != "" }

// DependsOn reports whether package.json lists that package.
func (a *App) DependsOn(name string) bool {
	_, listed := a.Dependencies[name]
	return listed
}

// PackageManager is the tool that installs the app's packages.
type PackageManager string

// The package managers, known by their lock files.
const (
	NPM  PackageManager = "npm"
	PNPM PackageManager = "pnpm"
	Yarn PackageManager = "yarn"
	Bun  PackageManager = "bun"
)
