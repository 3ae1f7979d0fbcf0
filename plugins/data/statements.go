package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/parser"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// The rules about statements. A line may allow the last three, with a reason.
const (
	ruleRefused     = "refused"     // D1 does not run it
	ruleDestructive = "destructive" // what people stored is gone afterwards
	ruleContract    = "contract"    // the version that still runs cannot live with it
	ruleLocking     = "locking"     // nobody is served while it reads or writes a whole table
)

// complaint is one thing that a statement does.
type complaint struct {
	rule    string
	message string
}

// judgeSQL finds what is wrong with one pending migration and adds what it does to the schema. live says that a version runs that
// was written for the schema as it is.
func judgeSQL(migration evidence.Migration, s *schema, live bool) ([]gates.Finding, error) {
	statements, err := parser.ParseString(migration.SQL)
	if err != nil {
		var parsing *parser.Error
		if errors.As(err, &parsing) {
			line, column := parser.LineCol(migration.SQL, max(parsing.Offset, 0))
			return []gates.Finding{{Level: gates.LevelError, Rule: "syntax", Message: parsing.Message, File: migration.File, Line: line, Column: column}}, err
		}
		return nil, err
	}
	allowed := readAllowed(migration.SQL)
	s.renames = renamesOf(statements)
	var findings []gates.Finding
	for _, statement := range statements {
		for _, one := range complaintsAbout(statement, s, live) {
			line, column := parser.LineCol(migration.SQL, statement.Pos())
			end, _ := parser.LineCol(migration.SQL, statement.End())
			finding := gates.Finding{Level: gates.LevelError, Rule: one.rule, Message: one.message, File: migration.File, Line: line, Column: column}
			if one.rule == ruleLocking {
				finding.Level = gates.LevelWarning
			}
			if reason, ok := allowed.on(one.rule, line, end); ok && one.rule != ruleRefused {
				if reason == "" {
					finding.Message += "; the comment that allows it gives no reason, so it does not count"
				} else {
					finding.Level, finding.Message = gates.LevelNote, finding.Message+"; allowed: "+reason
				}
			}
			findings = append(findings, finding)
		}
		s.apply(statement, true)
	}
	return findings, nil
}

// complaintsAbout goes by what SQLite and D1 do: https://developers.cloudflare.com/d1/sql-api/sql-statements/
func complaintsAbout(statement ast.Stmt, s *schema, live bool) []complaint {
	var found []complaint
	say := func(rule, message string, args ...any) {
		if rule == ruleContract && !live {
			return
		}
		found = append(found, complaint{rule, fmt.Sprintf(message, args...)})
	}
	switch n := statement.(type) {
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseStmt:
		say(ruleRefused, "D1 takes no transaction statements: each migration file is one transaction by itself; take it out")
	case *ast.AttachStmt, *ast.DetachStmt:
		say(ruleRefused, "D1 takes no ATTACH or DETACH: a database stands alone")
	case *ast.VacuumStmt:
		say(ruleRefused, "D1 takes no VACUUM")
	case *ast.PragmaStmt:
		if name := named(n.Name); n.HasValue && !slices.Contains(pragmas, name) {
			say(ruleRefused, "D1 does not set PRAGMA %s%s", name, pragmaAdvice(name))
		}
	case *ast.CreateTableStmt:
		if n.Temp {
			say(ruleRefused, "a temporary table is gone with the connection, and D1 lets nobody keep one")
		}
	case *ast.DropTableStmt:
		dropTable(named(n.Name), n.IfExists, s, say)
	case *ast.DropViewStmt:
		say(ruleContract, "the running version may still read view %s", named(n.Name))
	case *ast.DropIndexStmt:
		say(ruleLocking, "without index %s the running version's queries may read whole tables", named(n.Name))
	case *ast.DropTriggerStmt:
		if name := named(n.Name); !s.triggers[name] {
			say(ruleContract, "the running version's writes may rely on what trigger %s does", name)
		}
	case *ast.AlterTableStmt:
		switch on := named(n.Table); {
		case !s.fresh(on):
			alterTable(n, say)
		case n.Action == ast.AlterDropColumn && !s.empty(on):
			say(ruleDestructive, "column %s.%s is dropped with all it holds", on, n.Column.Name)
		}
	case *ast.CreateIndexStmt:
		if on := strings.ToLower(n.Table.Name); !s.fresh(on) {
			say(ruleLocking, "the index is made of every row of %s, and nobody else is served by the database meanwhile", on)
			if n.Unique {
				say(ruleContract, "the running version may write to %s what the unique index refuses, and rows that are there already may", on)
			}
		}
	case *ast.CreateTriggerStmt:
		if on := named(n.Table); !s.fresh(on) {
			say(ruleContract, "the trigger changes what the running version's writes to %s do", on)
		} else {
			for _, inside := range n.Body { // what the migration itself writes to its table sets it off
				found = append(found, complaintsAbout(inside, s, live)...)
			}
		}
	case *ast.UpdateStmt:
		on := named(n.Table)
		if whole := n.Where == nil || isConstant(n.Where); whole {
			if !s.empty(on) {
				say(ruleDestructive, "every row of %s is overwritten; what its columns held is gone", on)
			}
			if !s.fresh(on) {
				say(ruleLocking, "all of %s is written, and nobody else is served by the database meanwhile", on)
			}
		} else if !s.empty(on) && n.OrConflict.String() == "REPLACE" {
			say(ruleDestructive, "rows of %s that are in the way are deleted", on)
		}
	case *ast.DeleteStmt:
		switch on := named(n.Table); {
		case s.empty(on):
		case n.Where == nil:
			say(ruleDestructive, "every row of %s is deleted", on)
		default:
			say(ruleDestructive, "rows of %s are deleted", on)
		}
	case *ast.InsertStmt:
		if on := named(n.Table); !s.empty(on) && (n.Replace || n.OrConflict.String() == "REPLACE") {
			say(ruleDestructive, "rows of %s that are in the way are replaced", on)
		}
	}
	return found
}

// isConstant reports whether a condition names nothing of a row, so that it holds for all rows or for none.
func isConstant(condition ast.Expr) bool {
	constant := true
	ast.Walk(condition, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.Ident, *ast.QualifiedRef:
			constant = false
		}
		return constant
	})
	return constant
}

func dropTable(name string, ifExists bool, s *schema, say func(rule, message string, args ...any)) {
	_, known := s.tables[name]
	switch copied := s.copied(name); {
	case s.empty(name):
	case s.fresh(name):
		say(ruleDestructive, "table %s is dropped with rows that no pending migration made", name)
	case !known && ifExists:
		say(ruleDestructive, "table %s is dropped with all its rows, if it is there", name)
	case copied != "":
		say(ruleDestructive, "table %s is dropped and made anew from %s: what the copy does not take over is gone, and dropping deletes, which cascades to tables that refer to it", name, copied)
		say(ruleLocking, "all of %s is copied, and nobody else is served by the database meanwhile", name)
	default:
		say(ruleDestructive, "table %s is dropped with all its rows", name)
		say(ruleContract, "the running version may still use table %s", name)
	}
}

func alterTable(n *ast.AlterTableStmt, say func(rule, message string, args ...any)) {
	on := named(n.Table)
	switch n.Action {
	case ast.AlterRenameTable:
		say(ruleContract, "the running version still calls it %s", on)
	case ast.AlterRenameColumn:
		say(ruleContract, "the running version still calls the column %s.%s", on, n.Column.Name)
	case ast.AlterDropColumn:
		say(ruleDestructive, "column %s.%s is dropped with all it holds", on, n.Column.Name)
		say(ruleContract, "the running version may still use column %s.%s", on, n.Column.Name)
		say(ruleLocking, "every row of %s is written anew, and nobody else is served by the database meanwhile", on)
	case ast.AlterAddColumn:
		addColumn(n, on, say)
	case ast.AlterSetNotNull, ast.AlterAddConstraintCheck:
		say(ruleContract, "the running version may write to %s what the new constraint refuses", on)
	case ast.AlterDropConstraint, ast.AlterDropNotNull:
	}
}

// addColumn knows SQLite's own limits of ADD COLUMN, too: https://www.sqlite.org/lang_altertable.html
func addColumn(n *ast.AlterTableStmt, on string, say func(rule, message string, args ...any)) {
	if n.ColumnDef == nil {
		return
	}
	notNull, filled, unique := false, false, false
	for _, constraint := range n.ColumnDef.Constraints {
		switch constraint.Kind {
		case ast.ColumnNotNull:
			notNull = true
		case ast.ColumnDefault, ast.ColumnGenerated:
			filled = true
		case ast.ColumnUnique, ast.ColumnPrimaryKey:
			unique = true
		default:
		}
	}
	column := on + "." + n.ColumnDef.Name.Name
	if unique {
		say(ruleRefused, "SQLite adds no UNIQUE or PRIMARY KEY column: add %s plainly and make an index", column)
	}
	if notNull && !filled {
		say(ruleContract, "the running version does not fill %s, which is NOT NULL without a default; and SQLite refuses it for a table with rows: give it a default", column)
	}
}

// pragmas are those that D1 lets anybody set.
var pragmas = []string{
	"case_sensitive_like", "defer_foreign_keys", "foreign_key_check", "ignore_check_constraints", "index_info", "index_list", "index_xinfo",
	"integrity_check", "legacy_alter_table", "optimize", "quick_check", "recursive_triggers", "reverse_unordered_selects", "table_info", "table_xinfo",
	"foreign_key_list", "table_list",
}

func pragmaAdvice(name string) string {
	if name == "foreign_keys" {
		return ": foreign keys are always on; use PRAGMA defer_foreign_keys = on, which holds until the end of the file"
	}
	return ""
}

// allowed are the comments of a file that allow a rule: -- penstock-allow destructive: reason.
type allowed struct {
	reasons map[int]map[string]string // by line and rule
	alone   map[int]bool              // nothing but a comment is on the line
}

var allowComment = regexp.MustCompile(`--.*?\bpenstock-allow\s+([a-z]+)\s*(?::\s*(.*?))?\s*$`)

func readAllowed(sql string) allowed {
	found := allowed{reasons: map[int]map[string]string{}, alone: map[int]bool{}}
	for i, line := range strings.Split(sql, "\n") {
		line = strings.TrimSpace(line)
		found.alone[i+1] = strings.HasPrefix(line, "--")
		if match := allowComment.FindStringSubmatch(line); match != nil {
			found.reasons[i+1] = map[string]string{match[1]: match[2]}
		}
	}
	return found
}

// on returns the reason that allows a rule for a statement: on one of its lines, or in the comment above it.
func (a allowed) on(rule string, first, last int) (string, bool) {
	for a.alone[first-1] {
		first--
	}
	for line := first; line <= last; line++ {
		if reason, ok := a.reasons[line][rule]; ok {
			return reason, true
		}
	}
	return "", false
}
