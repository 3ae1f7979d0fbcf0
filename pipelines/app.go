package pipelines

// App is what an app's folder says of itself: the facts to which a shipped pipeline is fitted. Package appfacts reads
// them; a test can write them by hand.
type App struct {
	Name           string // package.json name, else the Worker's, else the folder's
	PackageManager PackageManager
	// Lockfile is the lock file's name, "" when there is none.
	Lockfile  string
	NodeRange string            // engines.node
	Scripts   map[string]string // package.json scripts
	// Dependencies are the names in dependencies and devDependencies with their declared ranges.
	Dependencies map[string]string
	// TestRunner is the runner that the test script starts: vitest, jest, node, "" when none was recognised.
	TestRunner string
	// WatchMode says that the test script would start in watch mode unless told otherwise.
	WatchMode bool
	// CoverageProvider says that the runner's coverage provider is installed (vitest: @vitest/coverage-*).
	CoverageProvider bool
	// ESLint says that the lint script is one plain ESLint call, to which a format can be passed.
	ESLint bool
	// TypeScript says that there is a tsconfig.json and typescript among the dependencies.
	TypeScript bool
	Worker     Worker
}

// Worker is what the wrangler config says.
type Worker struct {
	ConfigFile   string   // name within the app's folder
	Name         string   // of the top level
	Main         string   // entry file; as configured
	Environments []string // names under env, sorted
	// HasD1, HasSmokeableHealth and the rest decide which defaults make sense.
	HasD1           bool
	VersionMetadata bool   // a version_metadata binding exists
	Seed            string // a conventional seed file that exists, "" when none
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
