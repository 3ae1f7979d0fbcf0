package cloudflare

import (
	"fmt"
	"slices"
	"strings"
)

// breaks says why code that is older than a migration cannot be expected to work after it; "" when the migration only adds
// to what is there. It knows the statements that certainly add and takes every other one for a break: what cannot be judged
// must not pass for harmless.
//
// What adds: new tables, indexes that are not unique, views; columns that are added to a table (SQLite itself refuses one
// that existing inserts would violate); rows that are inserted; changes to tables that the same migration made and to
// columns that it added, which no older code knows.
func breaks(sql string) string {
	statements, err := splitStatements(sql)
	if err != nil {
		return err.Error()
	}
	made := additions{}
	for _, statement := range statements {
		if why := made.judge(statement); why != "" {
			return why
		}
	}
	return ""
}

// additions are what the statements so far have made.
type additions struct {
	tables  []string
	columns []string // "table.column"
}

func (a *additions) judge(words []word) string {
	s := statement{words}
	breaking := func(what string) string { return what + ": " + s.text() }
	switch s.take("CREATE", "ALTER", "DROP", "INSERT", "REPLACE", "UPDATE", "DELETE", "PRAGMA", "SELECT", "ANALYZE", "REINDEX") {
	case "CREATE":
		return a.create(&s, breaking)
	case "ALTER":
		return a.alter(&s, breaking)
	case "INSERT":
		return a.insert(&s, breaking)
	case "UPDATE":
		return a.update(&s, breaking)
	case "DELETE":
		s.take("FROM")
		if table := s.name(); !a.has(table) {
			return breaking("it deletes rows")
		}
		return ""
	case "DROP":
		if s.take("TABLE") != "" {
			s.take("IF")
			s.take("EXISTS")
			if a.has(s.name()) {
				return ""
			}
		}
		return breaking("it takes something away that older code may use")
	case "REPLACE":
		return breaking("it replaces rows")
	case "PRAGMA":
		// These change nothing that outlives the migration.
		if harmless := s.name(); slices.Contains([]string{"defer_foreign_keys", "foreign_keys", "foreign_key_check", "optimize", "table_info"}, strings.ToLower(harmless)) {
			return ""
		}
		return breaking("it cannot be judged")
	case "SELECT", "ANALYZE", "REINDEX":
		return ""
	default:
		return breaking("it cannot be judged")
	}
}

func (a *additions) has(table string) bool {
	return slices.ContainsFunc(a.tables, func(t string) bool { return strings.EqualFold(t, table) })
}

func (a *additions) create(s *statement, breaking func(string) string) string {
	if s.take("TEMP", "TEMPORARY") != "" {
		return breaking("it cannot be judged")
	}
	unique := s.take("UNIQUE") != ""
	switch s.take("TABLE", "VIRTUAL", "INDEX", "VIEW", "TRIGGER") {
	case "VIRTUAL":
		s.take("TABLE")
		fallthrough
	case "TABLE":
		asked := s.take("IF") != ""
		s.take("NOT")
		s.take("EXISTS")
		if name := s.name(); !asked { // with IF NOT EXISTS it may be an old one
			a.tables = append(a.tables, name)
		}
		return ""
	case "VIEW":
		return ""
	case "INDEX":
		s.take("IF")
		s.take("NOT")
		s.take("EXISTS")
		s.name()
		s.take("ON")
		if unique && !a.has(s.name()) {
			return breaking("a unique index refuses what older code may write")
		}
		return ""
	case "TRIGGER":
		return breaking("a trigger acts on what older code writes")
	default:
		return breaking("it cannot be judged")
	}
}

func (a *additions) insert(s *statement, breaking func(string) string) string {
	if s.take("OR") != "" && s.take("REPLACE") != "" {
		return breaking("it replaces rows")
	}
	s.take("ABORT", "FAIL", "IGNORE", "ROLLBACK")
	s.take("INTO")
	if table := s.name(); !a.has(table) && s.upserts() {
		return breaking("where a row is there already, it changes it: " + table)
	}
	return ""
}

func (a *additions) alter(s *statement, breaking func(string) string) string {
	s.take("TABLE")
	table := s.name()
	if a.has(table) {
		if s.take("RENAME") != "" && s.take("TO") != "" {
			return breaking("a table is put in another one's place")
		}
		return ""
	}
	if s.take("ADD") == "" {
		return breaking("it changes a table that older code uses")
	}
	s.take("COLUMN")
	a.columns = append(a.columns, strings.ToLower(table+"."+s.name()))
	return ""
}

func (a *additions) update(s *statement, breaking func(string) string) string {
	if s.take("OR") != "" {
		return breaking("it changes rows")
	}
	table := s.name()
	if a.has(table) {
		return ""
	}
	if s.take("SET") == "" {
		return breaking("it cannot be judged")
	}
	for {
		if column := strings.ToLower(table + "." + s.name()); !slices.Contains(a.columns, column) {
			return breaking("it changes rows that older code reads")
		}
		if !s.nextAssignment() {
			return ""
		}
	}
}

// statement is what is left of one to be read.
type statement struct{ words []word }

// take reads one of the keywords; "" when something else comes.
func (s *statement) take(keywords ...string) string {
	if len(s.words) > 0 && s.words[0].bare {
		for _, keyword := range keywords {
			if strings.EqualFold(s.words[0].text, keyword) {
				s.words = s.words[1:]
				return keyword
			}
		}
	}
	return ""
}

// name reads a name, without the schema before it.
func (s *statement) name() string {
	if len(s.words) == 0 {
		return ""
	}
	name := s.words[0].text
	s.words = s.words[1:]
	if len(s.words) > 1 && s.words[0].text == "." {
		name = s.words[1].text
		s.words = s.words[2:]
	}
	return name
}

// upserts reports whether an INSERT changes rows that it meets: ON CONFLICT … DO UPDATE.
func (s *statement) upserts() bool {
	for i := range max(len(s.words)-1, 0) {
		if do, what := s.words[i], s.words[i+1]; do.bare && what.bare && strings.EqualFold(do.text, "DO") && strings.EqualFold(what.text, "UPDATE") {
			return true
		}
	}
	return false
}

// nextAssignment goes to the column of the next assignment of a SET; false when there is none.
func (s *statement) nextAssignment() bool {
	depth := 0
	for i, w := range s.words {
		switch {
		case w.text == "(" && w.bare:
			depth++
		case w.text == ")" && w.bare:
			depth--
		case depth == 0 && w.bare && (strings.EqualFold(w.text, "WHERE") || strings.EqualFold(w.text, "FROM")):
			return false
		case depth == 0 && w.text == "," && w.bare:
			s.words = s.words[i+1:]
			return true
		}
	}
	return false
}

// text shows the beginning of what is left, as people would recognise it.
func (s *statement) text() string {
	var parts []string
	for _, w := range s.words {
		if len(parts) == 8 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, w.text)
	}
	return strings.Join(parts, " ")
}

// word is a token of SQL. bare tells keywords, plain names and signs from what is quoted.
type word struct {
	text string
	bare bool
}

// splitStatements reads SQL as SQLite does, as far as to tell statements apart: comments, the four ways to quote, and the
// bodies of triggers, in which semicolons do not end the statement.
// Source: https://www.sqlite.org/c3ref/complete.html.
func splitStatements(sql string) ([][]word, error) {
	var all [][]word
	var now []word
	trigger := func() bool {
		for i, w := range now {
			if i > 3 || !w.bare {
				return false
			}
			if strings.EqualFold(w.text, "TRIGGER") {
				return strings.EqualFold(now[0].text, "CREATE")
			}
		}
		return false
	}
	for i := 0; i < len(sql); {
		end, w, err := nextWord(sql, i)
		if err != nil {
			return nil, err
		}
		i = end
		switch {
		case w.text == "" && w.bare: // space or a comment
		case w.text == ";" && w.bare && (!trigger() || strings.EqualFold(now[len(now)-1].text, "END")):
			if len(now) > 0 {
				all, now = append(all, now), nil
			}
		default:
			now = append(now, w)
		}
	}
	if len(now) > 0 {
		all = append(all, now)
	}
	return all, nil
}

// endsInComment reports whether the text ends within a comment.
func endsInComment(sql string) bool {
	for i := 0; i < len(sql); {
		if strings.HasPrefix(sql[i:], "/*") && !strings.Contains(sql[i+2:], "*/") {
			return true
		}
		end, _, err := nextWord(sql, i)
		if err != nil {
			return false // within quotes
		}
		i = end
	}
	return false
}

func nextWord(sql string, i int) (end int, w word, err error) {
	rest := sql[i:]
	until := func(closing string, from int) (int, error) {
		if at := strings.Index(rest[from:], closing); at >= 0 {
			return i + from + at + len(closing), nil
		}
		return 0, fmt.Errorf("it cannot be judged: what begins with %.12q does not end", rest)
	}
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		end, err = until("\n", 0)
		if err != nil {
			return len(sql), word{bare: true}, nil
		}
		return end, word{bare: true}, nil
	case strings.HasPrefix(rest, "/*"):
		end, err = until("*/", 2)
		if err != nil {
			return len(sql), word{bare: true}, nil // SQLite lets the last comment be open
		}
		return end, word{bare: true}, nil
	case strings.IndexByte(" \t\r\n\f", c) >= 0:
		return i + 1, word{bare: true}, nil
	case c == '[':
		end, err = until("]", 1)
		return end, word{text: strings.Trim(sql[i:max(i, end)], "[]")}, err
	case c == '\'' || c == '"' || c == '`':
		for at := 1; at < len(rest); at++ {
			if rest[at] != c {
				continue
			}
			if at+1 < len(rest) && rest[at+1] == c {
				at++
				continue
			}
			return i + at + 1, word{text: strings.ReplaceAll(rest[1:at], string([]byte{c, c}), string(c))}, nil
		}
		_, err = until("\x00", len(rest))
		return 0, word{}, err
	case isWordByte(c):
		n := 1
		for n < len(rest) && isWordByte(rest[n]) {
			n++
		}
		return i + n, word{rest[:n], true}, nil
	default:
		return i + 1, word{rest[:1], true}, nil
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') || (c|0x20 >= 'a' && c|0x20 <= 'z')
}
