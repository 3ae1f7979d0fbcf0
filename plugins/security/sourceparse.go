package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/go-sourcemap/sourcemap"
	"github.com/grafana/sobek/file"
	"github.com/grafana/sobek/parser"
)

// loaders are the kinds of files that can be judged, by extension.
var loaders = map[string]api.Loader{
	".ts": api.LoaderTS, ".mts": api.LoaderTS, ".cts": api.LoaderTS, ".tsx": api.LoaderTSX,
	".js": api.LoaderJSX, ".mjs": api.LoaderJSX, ".cjs": api.LoaderJSX, ".jsx": api.LoaderJSX,
}

// lowered is what esbuild writes in older words, because the parser after it does not know the newer ones.
var lowered = map[string]bool{
	"async-generator": false, "decorators": false, "import-attributes": false, "using": false,
}

// parseModule reads one file. No parser in pure Go gives a tree of TypeScript with positions, so two do it together:
// esbuild takes the types and JSX out and keeps a map back to the original, sobek reads the JavaScript that is left.
func parseModule(name, text string) (parsed *module, err error) {
	defer func() {
		// A parser that panics on a file has not read it, and the other files can still be judged.
		if problem := recover(); problem != nil {
			parsed, err = nil, fmt.Errorf("the parser gave up: %v", problem)
		}
	}()
	result := api.Transform(text, api.TransformOptions{
		Loader: loaders[path.Ext(name)], Sourcefile: name, Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude,
		Target: api.ESNext, Supported: lowered, JSX: api.JSXTransform, LogLevel: api.LogLevelSilent,
		// What is never run is judged too, and an app's own settings must not change what is read.
		TreeShaking: api.TreeShakingFalse, TsconfigRaw: "{}",
	})
	if len(result.Errors) > 0 {
		first := result.Errors[0]
		if first.Location == nil {
			return nil, fmt.Errorf("%s", first.Text)
		}
		return nil, fmt.Errorf("line %d:%d: %s", first.Location.Line, first.Location.Column+1, first.Text)
	}
	// What for await goes through matters here, when it does so does not; sobek knows only the plain loop. The same length
	// keeps positions true.
	code := strings.ReplaceAll(string(result.Code), "for await (", "for       (")
	var positions *sourcemap.Consumer
	if strings.TrimSpace(code) != "" { // a file of nothing but types leaves neither code nor map
		if positions, err = sourcemap.Parse("", result.Map); err != nil {
			return nil, fmt.Errorf("read the map back to the original: %w", err)
		}
	}
	program, err := parser.ParseFile(nil, name, code, 0, parser.IsModule, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("read it without its types: %w", err)
	}
	m := &module{path: name, code: code, original: text, positions: positions, file: file.NewFile(name, code, 0)}
	lowerProgram(m, program)
	resolveScopes(m)
	return m, nil
}

// location is a place in the original file; line and column count from 1.
type location struct{ line, column int }

// place is where in the original file a node stands.
func (n *node) place() location {
	if n.module.positions == nil {
		return location{}
	}
	at := n.module.file.Position(n.at)
	if _, _, line, column, ok := n.module.positions.Source(at.Line, at.Column-1); ok {
		return location{line, column + 1}
	}
	return location{} // esbuild put it there: nobody wrote it
}
