package main

import (
	"path"
	"strings"

	"github.com/go-sourcemap/sourcemap"
	"github.com/grafana/sobek/ast"
	"github.com/grafana/sobek/file"
)

// module is one parsed file of the app. It does not change once it is parsed.
type module struct {
	path      string // relative to the app's folder, with forward slashes
	original  string // the file as it was written
	code      string // without types; what nodes' offsets refer to
	file      *file.File
	positions *sourcemap.Consumer
	body      *node
	top       *scope
	imports   []imported
	exports   map[string]exported
	stars     []string // modules of which everything is exported
	functions []*function
}

// imported is a local name for something of another module.
type imported struct {
	local string
	from  string // as written: ./x, zod
	name  string // what the other module calls it: default for its default, * for the whole
}

// exported is what one name of a module's exports stands for: a name of its own, a value, or a name of another module.
type exported struct {
	local string
	value *node
	from  string
	name  string
}

func (l *lowerer) imports(of *ast.ImportDeclaration) {
	if of.ImportClause == nil || of.FromClause == nil {
		return // only for its effects
	}
	from := of.FromClause.ModuleSpecifier.String()
	add := func(local, name string) {
		l.module.imports = append(l.module.imports, imported{local: local, from: from, name: name})
	}
	if first := of.ImportClause.ImportedDefaultBinding; first != nil {
		add(first.Name.String(), "default")
	}
	if whole := of.ImportClause.NameSpaceImport; whole != nil {
		add(whole.ImportedBinding.String(), "*")
	}
	if named := of.ImportClause.NamedImports; named != nil {
		for _, one := range named.ImportsList {
			name := one.IdentifierName.String()
			add(orElse(one.Alias.String(), name), name)
		}
	}
}

// exports notes what is exported and returns the declaration in it, if there is one.
func (l *lowerer) exports(of *ast.ExportDeclaration) *node {
	note := func(name string, what exported) {
		if l.module.exports == nil {
			l.module.exports = map[string]exported{}
		}
		l.module.exports[name] = what
	}
	from := ""
	if of.FromClause != nil {
		from = of.FromClause.ModuleSpecifier.String()
	}
	switch {
	case of.Variable != nil:
		return l.exportAll(l.declare("var", of.Variable.List), note)
	case of.LexicalDeclaration != nil:
		return l.exportAll(l.declare(of.LexicalDeclaration.Token.String(), of.LexicalDeclaration.List), note)
	case of.HoistableDeclaration != nil:
		fn := of.HoistableDeclaration.FunctionDeclaration.Function
		return l.exportDeclared(l.declaredFunction(fn), of.IsDefault, note)
	case of.ClassDeclaration != nil:
		return l.exportDeclared(l.declaredClass(of.ClassDeclaration.Class), of.IsDefault, note)
	case of.AssignExpression != nil:
		value := l.expression(of.AssignExpression)
		note("default", exported{value: value})
		return value
	case of.ExportFromClause != nil && of.ExportFromClause.IsWildcard:
		if alias := of.ExportFromClause.Alias.String(); alias != "" {
			note(alias, exported{from: from, name: "*"})
		} else {
			l.module.stars = append(l.module.stars, from)
		}
		return nil
	case of.NamedExports != nil:
		for _, one := range of.NamedExports.ExportsList {
			name := one.IdentifierName.String()
			what := exported{local: name}
			if from != "" {
				what = exported{from: from, name: name}
			}
			note(orElse(one.Alias.String(), name), what)
		}
		return nil
	default:
		panic(unknownSyntax{of})
	}
}

func (l *lowerer) exportAll(declared *node, note func(string, exported)) *node {
	for _, declarator := range declared.kids {
		targets(declarator.kids[0], nil, func(name *node, _ []string) { note(name.text, exported{local: name.text}) })
	}
	return declared
}

func (l *lowerer) exportDeclared(declared *node, isDefault bool, note func(string, exported)) *node {
	switch {
	case declared.kind == kClass || declared.kind == kFunction: // without a name
		note("default", exported{value: declared})
	case isDefault:
		note("default", exported{local: declared.kids[0].text})
	default:
		note(declared.kids[0].text, exported{local: declared.kids[0].text})
	}
	return declared
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// candidates are the files that an import can mean, in the order in which bundlers look. Aliases that nearly every app
// sets the same way are understood; others are, to the gates, packages.
func candidates(importer, specifier string) []string {
	var base string
	switch {
	case strings.HasPrefix(specifier, "./"), strings.HasPrefix(specifier, "../"), specifier == ".", specifier == "..":
		base = path.Join(path.Dir(importer), specifier)
	case strings.HasPrefix(specifier, "@/"), strings.HasPrefix(specifier, "~/"):
		base = path.Join("src", specifier[2:])
	case strings.HasPrefix(specifier, "src/"):
		base = specifier
	default:
		return nil
	}
	found := []string{base}
	if ext := path.Ext(base); ext == ".js" || ext == ".mjs" || ext == ".cjs" || ext == ".jsx" {
		found = append(found, strings.TrimSuffix(base, ext)+strings.Replace(ext, "j", "t", 1)) // TypeScript names what it will become
		found = append(found, strings.TrimSuffix(base, ext)+".tsx")
	}
	for _, ext := range []string{".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"} {
		found = append(found, base+ext)
	}
	for _, ext := range []string{".ts", ".tsx", ".js", ".mjs"} {
		found = append(found, path.Join(base, "index"+ext))
	}
	return found
}
