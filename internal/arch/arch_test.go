// Package arch holds the test that asserts README's map: who may import whom.
package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/penstock-ci/penstock"

// room is one row of the map. Own lists the rooms of this module that it may import besides itself, External the modules
// and packages of others, each with everything below it; the standard library is always allowed.
type room struct {
	Path     string
	Own      []string
	External []string
	Why      string
}

// theMap is README's table. A package belongs to the longest Path that covers it; a package in no room fails.
var theMap = []room{
	{"cmd/penstock", []string{"internal/cli"}, nil, "main is wiring only"},
	{
		"gates",
		[]string{"gates/internal/wire"},
		[]string{"google.golang.org", "golang.org/x/mod/semver"},
		"an author gets the contract and nothing of the engine; what Serve needs stays behind it",
	},
	{"gates/evidence", nil, nil, "plain data for authors; what gathers it is elsewhere"},
	{
		"gates/internal/wire",
		nil,
		[]string{"google.golang.org"},
		"the protocol is hidden from authors",
	},
	{
		"gates/host",
		[]string{"gates", "gates/internal/wire", "internal/engine", "internal/buildinfo", "internal/redact"},
		[]string{
			"github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog", "google.golang.org", "golang.org/x/sys",
			"golang.org/x/sync", "golang.org/x/mod/semver", "golang.org/x/text", "gopkg.in/yaml.v3", "github.com/santhosh-tekuri/jsonschema/v6",
		},
		"the host knows plugins, not pipelines",
	},
	{"gates/conformance", []string{"gates", "gates/host"}, nil, "tries a set through the host, for authors' tests and the command line"},
	{"gates/gatetest", []string{"gates", "gates/conformance", "gates/host"}, []string{"github.com/google/go-cmp"}, "authors test through the public door"},
	{"plugins", []string{"gates", "gates/evidence"}, []string{
		"gopkg.in/yaml.v3", "deps.dev/util/semver", "github.com/zricethezav/gitleaks/v8", "github.com/rs/zerolog", "golang.org/x/sync",
		"github.com/bmatcuk/doublestar/v4",
		"github.com/evanw/esbuild/pkg/api",
		"github.com/go-sourcemap/sourcemap",
		"github.com/grafana/sobek",
		"golang.org/x/net/html",
		"github.com/aclements/go-moremath/stats", "github.com/sqlc-dev/meyer",
	}, "our gates use the same door as a stranger's"},
	{"pipelines", []string{"gates"}, []string{"gopkg.in/yaml.v3", "github.com/bmatcuk/doublestar/v4"}, "the model knows nothing that runs"},
	{"internal/event", []string{"gates"}, nil, "plain data"},
	{"internal/buildinfo", nil, nil, "what the linker writes in"},
	{"internal/redact", nil, nil, "secrets out of streams"},
	{"internal/snapshot", nil, []string{"github.com/gofrs/flock", "golang.org/x/sync", "golang.org/x/sys"}, "source as it stands"},
	{"internal/wrangler", []string{"pipelines"}, []string{"github.com/tailscale/hujson", "github.com/pelletier/go-toml/v2", "gopkg.in/yaml.v3"}, "reads wrangler's own config"},
	{"internal/appfacts", []string{"pipelines", "internal/wrangler"}, []string{"gopkg.in/yaml.v3", "github.com/bmatcuk/doublestar/v4", "github.com/tailscale/hujson", "mvdan.cc/sh/v3", "deps.dev/util/semver"}, "facts about an app's folder"},
	{"internal/bundle", nil, []string{"github.com/bmatcuk/doublestar/v4"}, "the promoted thing"},
	{"internal/vault", []string{"internal/bundle", "internal/snapshot"}, nil, "what runs that wait are made of"},
	{
		"internal/engine",
		[]string{"gates", "pipelines", "internal/event", "internal/snapshot", "internal/promotion"},
		[]string{"golang.org/x/sync"},
		"runs a pipeline through ports; promotion's ports are named here, never an adapter",
	},
	{
		"internal/promotion",
		[]string{"gates", "pipelines", "internal/event", "internal/bundle"},
		[]string{"github.com/oklog/ulid/v2", "github.com/hiddeco/sshsig", "golang.org/x/crypto/ssh"},
		"makes a plan real through ports",
	},
	{"internal/bundlesql", nil, []string{"github.com/evanw/esbuild/pkg/api", "github.com/grafana/sobek"}, "the SQL in what a build made"},
	{"internal/sqldump", nil, []string{"modernc.org/sqlite"}, "proves an export by making a database of it"},
	{"internal/replay", []string{"gates"}, nil, "what gates were asked, for backtests"},
	{"internal/probe", []string{"pipelines", "internal/promotion"}, nil, "asks a running version; promotion's prober"},
	{"internal/smokeproxy", []string{"internal/promotion"}, nil, "a plain address for a version without traffic"},
	{
		"internal/ledger",
		[]string{"gates", "internal/event", "internal/promotion"},
		[]string{"modernc.org/sqlite", "golang.org/x/sys"},
		"the record; implements promotion's journal",
	},
	{
		"internal/executor",
		[]string{"gates", "pipelines", "internal/engine", "internal/event", "internal/snapshot", "internal/redact"},
		[]string{
			"mvdan.cc/sh/v3", "github.com/bmatcuk/doublestar/v4", "github.com/gofrs/flock", "golang.org/x/sync", "golang.org/x/sys",
			"deps.dev/util/semver", "github.com/Masterminds/semver/v3", "dagger.io/dagger", "go.opentelemetry.io/otel",
		},
		"adapters never import each other",
	},
	{
		"internal/target/cloudflare",
		[]string{"gates/evidence", "pipelines", "internal/bundle", "internal/event", "internal/promotion", "internal/sqldump", "internal/bundlesql", "internal/wrangler"},
		[]string{
			"github.com/cloudflare/cloudflare-go/v7/d1", "github.com/cloudflare/cloudflare-go/v7/kv",
			"github.com/cloudflare/cloudflare-go/v7/option", "github.com/cloudflare/cloudflare-go/v7/packages",
			"github.com/cloudflare/cloudflare-go/v7/queues", "github.com/cloudflare/cloudflare-go/v7/r2",
			"github.com/cloudflare/cloudflare-go/v7/shared", "github.com/cloudflare/cloudflare-go/v7/workers",
			"github.com/cloudflare/cloudflare-go/v7/zones", "github.com/cloudflare/cloudflare-go/v7/durable_objects",
			"github.com/cloudflare/cloudflare-go/v7/ssl", "github.com/cloudflare/cloudflare-go/v7/vectorize",
			"github.com/coder/websocket", "github.com/oklog/ulid/v2",
		},
		"the SDK's root package costs minutes to compile; sub-packages only",
	},
	{
		"internal/localcloud",
		nil,
		[]string{"modernc.org/sqlite", "github.com/gofrs/flock", "github.com/google/uuid", "github.com/oklog/ulid/v2", "golang.org/x/sys", "golang.org/x/sync", "golang.org/x/net/publicsuffix", "gopkg.in/yaml.v3", "github.com/vektah/gqlparser/v2", "github.com/gobwas/ws", "github.com/nlnwa/whatwg-url"},
		"the emulator shares no code with the client under test",
	},
	{
		"internal/report",
		[]string{"gates", "pipelines", "internal/event"},
		[]string{"github.com/google/go-github/v60", "github.com/golang-jwt/jwt/v5", "github.com/charmbracelet/x/ansi"},
		"observers of a run know its events and nothing else",
	},
	{
		"internal/cli",
		[]string{
			"gates", "gates/evidence", "pipelines", "gates/host", "gates/conformance", "internal/appfacts", "internal/buildinfo", "internal/bundle", "internal/engine", "internal/event",
			"internal/executor", "internal/ledger", "internal/localcloud", "internal/probe", "internal/promotion", "internal/redact", "internal/replay",
			"internal/report", "internal/smokeproxy", "internal/snapshot", "internal/sqldump", "internal/target/cloudflare", "internal/vault", "internal/wrangler",
		},
		[]string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "github.com/oklog/ulid/v2", "github.com/joho/godotenv", "golang.org/x/mod/modfile", "gopkg.in/yaml.v3",
			"golang.org/x/crypto/ssh",
		},
		"the one place that wires concrete types",
	},
	{"internal/arch", nil, nil, "this test"},
	{"internal/githubtest", nil, []string{"github.com/getkin/kin-openapi"}, "a fake shares no code with the client under test"},
	{"bench", []string{"gates"}, nil, "measures the built binaries from outside; its gate set is an author's"},
	{"e2e", []string{"gates", "internal/event", "internal/localcloud"}, []string{"github.com/google/go-cmp"}, "drives the built binaries from outside"},
}

// TestMap fails on every import that the map does not allow, naming the room and the reason. Test files are free: they
// may reach for whatever shows the behaviour.
func TestMap(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	seen := map[string]bool{}
	for _, problem := range violations(t, root, theMap, seen) {
		t.Error(problem)
	}
	for _, room := range theMap {
		if !seen[room.Path] && !strings.HasPrefix(room.Path, "internal/arch") && dirExists(filepath.Join(root, room.Path)) {
			t.Logf("room %s holds no Go files yet", room.Path)
		}
	}
}

// TestMapCanFail shows that the check is one: an emptied allowance must be reported.
func TestMapCanFail(t *testing.T) {
	t.Parallel()
	strict := slices.Clone(theMap)
	for i := range strict {
		strict[i].Own = nil
	}
	if len(violations(t, moduleRoot(t), strict, map[string]bool{})) == 0 {
		t.Fatal("a map that allows nothing found nothing to complain about")
	}
}

// TestReadmeTellsTheSameMap holds README's table against theMap, row by row.
func TestReadmeTellsTheSameMap(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range theMap {
		if !dirExists(filepath.Join(moduleRoot(t), room.Path)) {
			continue
		}
		if !strings.Contains(string(text), "| `"+room.Path+"` |") {
			t.Errorf("README's map has no row for `%s`", room.Path)
		}
	}
}

func violations(t *testing.T, root string, rooms []room, seen map[string]bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "testdata" || name == "node_modules" || name == "examples" || name == "ci" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		folder := relative[:max(strings.LastIndex(relative, "/"), 0)]
		home := roomOf(rooms, folder)
		if home == nil {
			found = append(found, relative+": this folder is in no room of the map; add a row to theMap and to README")
			return nil
		}
		seen[home.Path] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !allowed(rooms, home, imported) {
				found = append(found, fmt.Sprintf("%s imports %s, which room %s may not (%s)", relative, imported, home.Path, home.Why))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func roomOf(rooms []room, folder string) *room {
	var best *room
	for i := range rooms {
		if covers(rooms[i].Path, folder) && (best == nil || len(rooms[i].Path) > len(best.Path)) {
			best = &rooms[i]
		}
	}
	return best
}

func allowed(rooms []room, home *room, imported string) bool {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		target := roomOf(rooms, own)
		return target != nil && (target.Path == home.Path || slices.Contains(home.Own, target.Path))
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // standard library
	}
	return slices.ContainsFunc(home.External, func(entry string) bool { return covers(entry, imported) })
}

func covers(prefix, path string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func moduleRoot(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !dirExists(filepath.Join(folder, "gates")) {
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no module root above the test")
		}
		folder = parent
	}
	return folder
}

func dirExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
