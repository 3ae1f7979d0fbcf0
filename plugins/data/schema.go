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
	tables map[string]table
}

// table is what is known of one table.
type table struct {
	fresh bool // made by a migration that is pending: it holds nothing that anybody wrote, and nobody asks it yet
	from  string
}

// schemaOf replays the applied migrations, as far as their texts can be read. A table that they do not tell of may be there
// all the same, and counts as if it were.
func schemaOf(applied []evidence.Migration) *schema {
	s := &schema{tables: map[string]table{}}
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
		if _, there := s.tables[named(n.Name)]; !there {
			s.tables[named(n.Name)] = table{fresh: fresh}
		}
	case *ast.CreateVirtualTableStmt:
		s.tables[named(n.Name)] = table{fresh: fresh}
	case *ast.InsertStmt:
		if t, there := s.tables[named(n.Table)]; there && t.fresh && t.from == "" {
			t.from = sourceOf(n)
			s.tables[named(n.Table)] = t
		}
	case *ast.DropTableStmt:
		delete(s.tables, named(n.Name))
	case *ast.AlterTableStmt:
		if t, there := s.tables[named(n.Table)]; there && n.Action == ast.AlterRenameTable {
			delete(s.tables, named(n.Table))
			s.tables[strings.ToLower(n.NewName.Name)] = t
		}
	}
}

// fresh reports whether a table is made by a pending migration.
func (s *schema) fresh(name string) bool { return s.tables[name].fresh }

// copied returns the fresh table into which a pending migration copies the named one, "" when there is none: the first half
// of SQLite's way to change what ALTER TABLE cannot.
func (s *schema) copied(name string) string {
	for copied, t := range s.tables {
		if t.fresh && t.from == name {
			return copied
		}
	}
	return ""
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
