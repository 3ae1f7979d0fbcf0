package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// quotedPhrase is a command line as messages and comments name it: in backticks, quotes or parentheses.
var quotedPhrase = regexp.MustCompile("`penstock( [^`]*)?`|'penstock [^']*'|\"penstock [^\"]*\"|\\(penstock [^)]*\\)")

// TestEveryCommandThatIsNamedExists reads the sources for the command lines that people are told to type. A next step that
// cannot be taken is worse than none, and nothing else would notice that a command was renamed or never came.
func TestEveryCommandThatIsNamedExists(t *testing.T) {
	t.Parallel()
	root := newRoot(&Streams{})
	var commands []string
	for _, command := range root.Commands() {
		commands = append(commands, regexp.QuoteMeta(command.Name()))
	}
	// A command that exists is meant as one also without quotes; then it goes on to the end of the clause.
	bare := regexp.MustCompile(`\bpenstock (?:` + strings.Join(commands, "|") + `)\b[^.,;:()\n]*`)

	named := map[string]string{} // phrase to the place where it is named first
	for place, text := range sourceTexts(t) {
		found := quotedPhrase.FindAllString(text, -1)
		if !strings.HasPrefix(place, commentPlace) {
			found = append(found, bare.FindAllString(quotedPhrase.ReplaceAllString(text, ""), -1)...)
		}
		for _, phrase := range found {
			phrase = strings.Trim(phrase, "`'\"() \t")
			if strings.HasPrefix(phrase, "penstock (") {
				continue // a pattern of several
			}
			if known, ok := named[phrase]; !ok || place < known {
				named[phrase] = place
			}
		}
	}
	if len(named) < 20 {
		t.Errorf("only %d phrases found: %v", len(named), slices.Sorted(maps.Keys(named)))
	}
	for _, phrase := range slices.Sorted(maps.Keys(named)) {
		if err := wouldRun(root, phrase); err != nil {
			t.Errorf("%s names `%s`: %v", named[phrase], phrase, err)
		}
	}
}

func TestWouldRun(t *testing.T) {
	t.Parallel()
	root := newRoot(&Streams{})
	for phrase, want := range map[string]bool{
		"penstock": true, "penstock deploy --env X": true, "penstock deploy --env=X --json": true, "penstock gates info X": true,
		"penstock init --json   # prints it": true, "penstock status -C X": true, "penstock local down": true, "penstock deploy --help": true,
		"penstock why": true, "penstock promote": false, "penstock status --run X": false, "penstock gates ask X": false,
		"penstock secrets read NAME --env X": false, "penstock deploy X": false, "penstock gates info": false, "penstock history lists those": false,
	} {
		if err := wouldRun(root, phrase); (err == nil) != want {
			t.Errorf("%s: %v", phrase, err)
		}
	}
}

// wouldRun reports why a command line would be refused for its words and flags; nothing is run.
func wouldRun(root *cobra.Command, phrase string) error {
	line, _, _ := strings.Cut(phrase, "#")
	command, rest, err := root.Find(strings.Fields(line)[1:])
	if err != nil {
		return err
	}
	command.InitDefaultHelpFlag()
	command.InheritedFlags() // makes the shared flags known to Flags
	var words []string
	for i := 0; i < len(rest); i++ {
		if !strings.HasPrefix(rest[i], "-") {
			words = append(words, rest[i])
			continue
		}
		name, _, hasValue := strings.Cut(rest[i], "=")
		var flag *pflag.Flag
		if long, ok := strings.CutPrefix(name, "--"); ok {
			flag = command.Flags().Lookup(long)
		} else if len(name) == 2 {
			flag = command.Flags().ShorthandLookup(name[1:])
		}
		if flag == nil {
			return fmt.Errorf("`%s` has no flag %s", command.CommandPath(), name)
		}
		if !hasValue && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return command.ValidateArgs(words)
}

// commentPlace marks texts that are comments: there prose about a command need not be a command line.
const commentPlace = "a comment in "

// sourceTexts are the strings and comments of the module's sources without tests, by their place. Strings that are put
// together with + are one text, with X for every part that is not written out.
func sourceTexts(t *testing.T) map[string]string {
	t.Helper()
	module := filepath.Join("..", "..")
	texts := map[string]string{}
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != module && (strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "node_modules", "bin"}, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		place := func(pos token.Pos) string {
			at := files.Position(pos)
			relative, _ := filepath.Rel(module, at.Filename)
			return fmt.Sprintf("%s:%d:%d", filepath.ToSlash(relative), at.Line, at.Column)
		}
		for _, group := range file.Comments {
			texts[commentPlace+place(group.Pos())] = strings.Join(strings.Fields(group.Text()), " ")
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && isPattern(call) {
				return false // a pattern is for what others say
			}
			expression, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := writtenOut(expression)
			if ok {
				texts[place(expression.Pos())] = text
			}
			return !ok
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// isPattern reports whether a call makes a regular expression.
func isPattern(call *ast.CallExpr) bool {
	function, ok := call.Fun.(*ast.SelectorExpr)
	return ok && function.Sel.Name == "MustCompile"
}

// writtenOut is the text of a string in the source; ok says that there is any.
func writtenOut(expression ast.Expr) (text string, ok bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, leftOK := writtenOut(e.X)
		right, rightOK := writtenOut(e.Y)
		if e.Op != token.ADD || !leftOK && !rightOK {
			return "", false
		}
		if !leftOK {
			left = "X"
		}
		if !rightOK {
			right = "X"
		}
		return left + right, true
	default:
		return "", false
	}
}
