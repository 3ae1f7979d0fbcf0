package cli

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"

	"github.com/penstock-ci/penstock/gates"
	gatehost "github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/buildinfo"
)

//go:embed gatetemplate
var gateTemplates embed.FS

// sdkModule is the module that holds the gate SDK.
const sdkModule = "github.com/penstock-ci/penstock"

// gateFiles are the files of a new set and the templates that they are made of.
var gateFiles = map[string]string{"main.go": "main.go.tmpl", "gate.go": "gate.go.tmpl", "gate_test.go": "gate_test.go.tmpl", "README.md": "README.md.tmpl"}

func newGatesNew(shared *common) *cobra.Command {
	var sdk string
	command := &cobra.Command{
		Use:   "new SET[/GATE]",
		Short: "Write a working gate set with its test, to be changed into yours",
		Long: "Writes the folder gates/SET in the app's folder: a Go module with one gate, its test and a README that names the next\n" +
			"commands. Nothing that is there is overwritten.",
		Example: "  penstock gates new acme\n  penstock gates new acme/unfinished",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			folder, err := shared.appFolder()
			if err != nil {
				return err
			}
			made, err := planGate(folder, args[0])
			if err != nil {
				return err
			}
			if err := refuseShipped(made.Set, buildinfo.GatePins); err != nil {
				return err
			}
			if sdk == "" {
				sdk = checkoutOf(shared.streams.Executable)
			}
			if err := made.write(sdk); err != nil {
				return err
			}
			if shared.json {
				return printJSON(shared.streams.Out, made)
			}
			_, err = fmt.Fprintf(shared.streams.Out, "wrote %s with the gate %s/%s\nnext: cd %s && go test ./...   # README.md there says how it goes on\n",
				made.dir, made.Set, made.Gate, made.dir)
			return err
		},
	}
	command.Flags().StringVar(&sdk, "sdk", "", "the `folder` of Penstock's source, which holds the SDK; that of this penstock when it was built from one")
	return command
}

// newGate is a set to be written, as the templates and `gates new --json` see it.
type newGate struct {
	Set    string   `json:"set"`
	Gate   string   `json:"gate"`
	Folder string   `json:"folder"` // relative to the app's, with forward slashes
	Files  []string `json:"files"`
	dir    string
}

// Type is the name of the gate's Go type.
func (g newGate) Type() string {
	title := g.Title()
	return strings.ToLower(title[:1]) + title[1:] + "Gate"
}

// Title is the gate's name in the form of Go's.
func (g newGate) Title() string {
	var title strings.Builder
	for _, word := range strings.Split(g.Gate, "-") {
		if word != "" {
			title.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return title.String()
}

func planGate(app, name string) (*newGate, error) {
	set, gate, both := strings.Cut(name, "/")
	if !both {
		gate = "unfinished"
	}
	if !gates.ValidName(set) || !gates.ValidName(gate) {
		return nil, fail(ExitUsage, "give it a name such as acme or acme/unfinished", fmt.Errorf("%q is not a lower-case word, or two with a slash between", name))
	}
	made := &newGate{Set: set, Gate: gate, Folder: "gates/" + set, dir: filepath.Join(app, "gates", set)}
	if entries, err := os.ReadDir(made.dir); err == nil && len(entries) > 0 {
		return nil, fail(ExitUsage, "choose another name, or move that folder away", fmt.Errorf("%s is there already", made.dir))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(ExitUsage, "choose another name", err)
	}
	return made, nil
}

// refuseShipped refuses the name of a set that comes with penstock: of two sets with one name no gate would be asked at all.
func refuseShipped(set, pins string) error {
	shipped, err := gatehost.ParsePins(pins)
	if err != nil {
		return fail(ExitUsage, "", err)
	}
	if slices.ContainsFunc(shipped, func(pin gatehost.Pin) bool { return pin.Set == set }) {
		return fail(ExitUsage, "give yours another name, such as your team's", fmt.Errorf("the gate set %s comes with penstock", set))
	}
	return nil
}

// write writes the set. sdk is the folder of the SDK's module.
func (g *newGate) write(sdk string) error {
	files := map[string][]byte{".gitignore": []byte("# what `go test` and editors leave; the set's binary may be committed\n*.test\n")}
	var err error
	if files["go.mod"], files["go.sum"], err = g.module(sdk); err != nil {
		return err
	}
	templates := template.Must(template.ParseFS(gateTemplates, "gatetemplate/*.tmpl"))
	for name, from := range gateFiles {
		var text bytes.Buffer
		if err := templates.ExecuteTemplate(&text, from, g); err != nil {
			return err
		}
		files[name] = text.Bytes()
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return fail(ExitUsage, "see that the app's folder can be written", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(g.dir, name), text, 0o644); err != nil {
			return fail(ExitUsage, "see that the app's folder can be written", err)
		}
		g.Files = append(g.Files, g.Folder+"/"+name)
	}
	return nil
}

// module makes go.mod and go.sum. They repeat what the SDK's own demand, so that building takes no look-up: what a set
// does not need of it costs nothing, and `go mod tidy` takes it out.
func (g *newGate) module(sdk string) (mod, sum []byte, err error) {
	const next = "name the folder of Penstock's source with --sdk"
	if sdk == "" {
		return nil, nil, fail(ExitUsage, next, errors.New("this penstock does not lie in a folder with its source, which holds the gate SDK"))
	}
	path := filepath.Join(sdk, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fail(ExitUsage, next, err)
	}
	theirs, err := modfile.ParseLax(path, text, nil)
	if err != nil || theirs.Module == nil || theirs.Module.Mod.Path != sdkModule {
		return nil, nil, fail(ExitUsage, next, errors.Join(fmt.Errorf("%s is not the module %s", path, sdkModule), err))
	}
	if sum, err = os.ReadFile(filepath.Join(sdk, "go.sum")); err != nil {
		return nil, nil, fail(ExitUsage, next, err)
	}

	ours := new(modfile.File)
	problem := errors.Join(
		ours.AddModuleStmt("penstock-gates-"+g.Set),
		ours.AddGoStmt(theirs.Go.Version),
		ours.AddRequire(sdkModule, "v0.0.0"),
	)
	for _, require := range theirs.Require {
		ours.AddNewRequire(require.Mod.Path, require.Mod.Version, true)
	}
	where, err := filepath.Abs(sdk)
	if err == nil {
		if relative, relErr := filepath.Rel(realPath(g.dir), realPath(where)); relErr == nil {
			where = filepath.ToSlash(relative)
		}
	}
	problem = errors.Join(problem, err, ours.AddReplace(sdkModule, "", where, ""))
	ours.Cleanup()
	mod, err = ours.Format()
	return mod, sum, errors.Join(problem, err)
}

// realPath resolves links in the part of a path that exists; the go command walks the real one.
func realPath(path string) string {
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(real, rest)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return filepath.Join(path, rest)
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = parent
	}
}

// checkoutOf finds the source that a binary was built from, when it lies in bin/ there; "" when it does not.
func checkoutOf(executable string) string {
	if real, err := filepath.EvalSymlinks(executable); err == nil {
		executable = real
	}
	folder := filepath.Dir(filepath.Dir(executable))
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil || modfile.ModulePath(text) != sdkModule {
		return ""
	}
	return folder
}
