package main

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/parser"

	"github.com/penstock-ci/penstock/gates/evidence"
)

// schema is which tables and columns there are, as far as the migrations tell. Names are in lower case: SQLite does not tell
// them apart by it.
type schema struct {
	tables   map[string]table
	triggers map[string]bool   // made by a migration that is pending
	dropped  map[string]bool   // tables that a pending migration dropped and that the running version may know
	renames  map[string]string // the old and new names of the tables that the file which is being judged renames
}

// table is what is known of one table.
type table struct {
	fresh   bool // made by a migration that is pending: nobody asks it yet
	maybe   bool // made only where it was not there, which the migrations do not tell
	holding bool // holds what was copied from a table that is dropped, and is nowhere else now
	from    string
}

// schemaOf replays the applied migrations, as far as their texts can be read. A table that they do not tell of may be there
// all the same, and counts as if it were.
func schemaOf(applied []evidence.Migration) *schema {
	s := &schema{tables: map[string]table{}, triggers: map[string]bool{}, dropped: map[string]bool{}}
	for _, migration := range applied {
		statements, err := parser.ParseString(migration.SQL)
		if err != nil {
			continue
		}
		for _, statement := range statements {
			s.apply(statement, false)
		}
	}
	return s
}

func (s *schema) apply(statement ast.Stmt, fresh bool) {
	switch n := statement.(type) {
	case *ast.CreateTableStmt:
		s.create(named(n.Name), table{fresh: fresh, maybe: n.IfNotExists})
	case *ast.CreateVirtualTableStmt:
		s.create(named(n.Name), table{fresh: fresh, maybe: n.IfNotExists})
	case *ast.CreateTriggerStmt:
		if fresh && !n.IfNotExists {
			s.triggers[named(n.Name)] = true
		}
	case *ast.InsertStmt:
		if t, there := s.tables[named(n.Table)]; there && t.fresh && t.from == "" {
			t.from = sourceOf(n)
			s.tables[named(n.Table)] = t
		}
	case *ast.DropTableStmt:
		s.drop(named(n.Name))
	case *ast.AlterTableStmt:
		if t, there := s.tables[named(n.Table)]; there && n.Action == ast.AlterRenameTable {
			delete(s.tables, named(n.Table))
			name := strings.ToLower(n.NewName.Name)
			t.fresh = t.fresh && !s.dropped[name] // under that name the running version asks it
			s.tables[name] = t
		}
	}
}

func (s *schema) create(name string, t table) {
	if _, there := s.tables[name]; !there {
		s.tables[name] = t
	}
}

func (s *schema) drop(name string) {
	if !s.empty(name) {
		for copied, t := range s.tables {
			if t.from == name {
				t.holding = true
				s.tables[copied] = t
			}
		}
	}
	if !s.fresh(name) {
		s.dropped[name] = true
	}
	delete(s.tables, name)
}

// fresh reports whether a table is made by a pending migration, so that the running version does not use it.
func (s *schema) fresh(name string) bool { return s.tables[name].fresh }

// empty reports whether a table is surely made by a pending migration and holds nothing that anybody wrote.
func (s *schema) empty(name string) bool {
	t := s.tables[name]
	return t.fresh && !t.maybe && !t.holding
}

// copied returns the fresh table into which a pending migration copies the named one before it takes its name, "" when there
// is none: SQLite's way to change what ALTER TABLE cannot.
func (s *schema) copied(name string) string {
	for copied, t := range s.tables {
		if t.fresh && t.from == name && s.renames[copied] == name {
			return copied
		}
	}
	return ""
}

// renamesOf are the names that statements take from tables and give them.
func renamesOf(statements []ast.Stmt) map[string]string {
	renames := map[string]string{}
	for _, statement := range statements {
		if n, ok := statement.(*ast.AlterTableStmt); ok && n.Action == ast.AlterRenameTable {
			renames[named(n.Table)] = strings.ToLower(n.NewName.Name)
		}
	}
	return renames
}

// sourceOf is the table from which an INSERT … SELECT reads, "" when it is not one.
func sourceOf(insert *ast.InsertStmt) string {
	source := ""
	if insert.Select == nil {
		return ""
	}
	ast.Walk(insert.Select, func(n ast.Node) bool {
		if ref, ok := n.(*ast.TableRef); ok && ref.Name != nil && source == "" {
			source = named(ref.Name)
		}
		return true
	})
	return source
}

func named(name *ast.QualifiedName) string {
	if name == nil || name.Name == nil {
		return ""
	}
	return strings.ToLower(name.Name.Name)
}
