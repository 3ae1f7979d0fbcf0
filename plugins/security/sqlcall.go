package main

import (
	"regexp"
	"slices"
	"strings"
)

// statement is one place where SQL is given to a database.
type statement struct {
	call   *node
	method string
	sql    *node // the expression that gives the SQL
	text   text
}

// statements finds every place in a module where SQL is given to a database. There are no types to go by, so it goes by
// the method's name, by what it is called on, by what happens to the result, and by whether the text reads like SQL.
func (s *codebase) statements(m *module) []statement {
	var found []statement
	m.body.walk(func(n *node) bool {
		if n.kind != kCall || !n.kids[0].is(kMember) || len(n.kids) < 2 {
			return true
		}
		switch method := n.kids[0].text; method {
		case "prepare", "exec":
			if text, is := s.isStatement(n); is {
				found = append(found, statement{n, method, n.kids[1], text})
			}
		case "batch":
			found = append(found, s.batched(n)...)
		}
		return true
	})
	return found
}

// isStatement tells a database's prepare and exec from those of regular expressions, shells and others.
func (s *codebase) isStatement(call *node) (text, bool) {
	callee, argument := call.kids[0], call.kids[1]
	receiver := callee.kids[0]
	switch argument.kind {
	case kObject, kArray, kFunction, kClass, kNumber, kPlain, kRegexp, kSpread:
		return nil, false
	default:
	}
	if s.functionOf(callee) != nil || s.isNoDatabase(receiver) {
		return nil, false // the app's own function is judged where it calls the database
	}
	if s.isDatabase(receiver) || (callee.text == "prepare" && isRun(call)) {
		return s.read(argument), true
	}
	text := s.read(argument)
	return text, readsLikeSQL(text.constants())
}

// batched finds SQL among what a database's batch is given. D1 takes prepared statements, which are judged where they are
// prepared; other drivers take texts.
func (s *codebase) batched(call *node) []statement {
	var found []statement
	if !call.kids[1].is(kArray) || s.functionOf(call.kids[0]) != nil {
		return nil
	}
	for _, one := range call.kids[1].kids {
		if one.kind != kText && one.kind != kTemplate && one.kind != kBinary {
			continue
		}
		if text := s.read(one); s.isDatabase(call.kids[0].kids[0]) || readsLikeSQL(text.constants()) {
			found = append(found, statement{call, "batch", one, text})
		}
	}
	return found
}

// isNoDatabase reports whether something is known to be a regular expression or a module of Node's.
func (s *codebase) isNoDatabase(n *node) bool {
	value := s.valueOf(n)
	if value.is(kNew) {
		class := value.kids[0]
		return class.isGlobal("RegExp") || class.isGlobal("URLPattern")
	}
	found := s.definition(n)
	return value.is(kRegexp) || strings.HasSuffix(found.external, "child_process")
}

// isDatabase goes by the name of what a method is called on: db, env.DB, this.#usersDb, ctx.storage.sql, getDb().
func (s *codebase) isDatabase(n *node) bool {
	return nameIsDatabase(n) || nameIsDatabase(s.valueOf(n))
}

func nameIsDatabase(n *node) bool {
	switch {
	case n.is(kAwait):
		return nameIsDatabase(n.kids[0])
	case n.is(kCall):
		if n.kids[0].is(kName) && n.kids[0].text == "__privateGet" && len(n.kids) > 2 {
			return nameIsDatabase(n.kids[2]) // what esbuild makes of this.#db where there are decorators
		}
		return (n.kids[0].is(kMember) && n.kids[0].text == "withSession") || nameIsDatabase(n.kids[0])
	case !n.is(kName) && !n.is(kMember):
		return false
	}
	switch name := strings.ToLower(strings.TrimPrefix(n.text, "#")); {
	case name == "sql", name == "session", name == "sqlite":
		return true
	default:
		return strings.HasSuffix(name, "db") || strings.HasSuffix(name, "d1") || strings.HasSuffix(name, "database")
	}
}

// statementMethods are the methods of a prepared statement.
var statementMethods = []string{"bind", "first", "all", "run", "raw"}

// isRun reports whether what prepare returns is used as a prepared statement right away.
func isRun(call *node) bool {
	above := call.parent
	return above.is(kMember) && slices.Contains(statementMethods, above.text) && above.parent.is(kCall)
}

var (
	sqlStart = regexp.MustCompile(`(?is)^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*` +
		`(?:select|insert|update|delete|replace|with|create|alter|drop|pragma|explain|vacuum|reindex|analyze|begin|commit|rollback|savepoint|attach|detach)\b`)
	sqlInside = regexp.MustCompile(`(?is)\bselect\b.+\bfrom\b|\binsert\s+into\b|\bdelete\s+from\b|\bset\s+\w+\s*=|\bwhere\b.*(?:=|\bin\b|\blike\b)|\border\s+by\b|\bvalues\s*\(`)
)

func readsLikeSQL(text string) bool { return sqlStart.MatchString(text) || sqlInside.MatchString(text) }

// handedOn finds prepare and exec of a database that are passed on without being called: what they will be given is not
// seen.
func (s *codebase) handedOn(m *module) []*node {
	var found []*node
	m.body.walk(func(n *node) bool {
		if n.kind != kMember || (n.text != "prepare" && n.text != "exec") || !s.isDatabase(n.kids[0]) || s.functionOf(n) != nil {
			return true
		}
		switch above := n.parent; {
		case (above.is(kCall) || above.is(kNew)) && above.kids[0] != n,
			above.is(kDeclarator) && above.kids[1] == n,
			above.is(kAssign) && above.kids[1] == n,
			above.is(kProperty),
			above.is(kReturn),
			above.is(kMember) && (above.text == "bind" || above.text == "call" || above.text == "apply") && above.parent.is(kCall):
			found = append(found, n)
		}
		return true
	})
	return found
}
