package main

import (
	"regexp"
	"strings"
)

// mark stands for a value in a text that is being rewritten.
const mark = "\x00"

var (
	quotedMark = regexp.MustCompile(`'([^'\x00]*)\x00([^'\x00]*)'`)
	// named is what stands before a table, a column or another thing that SQL takes no ? for.
	named = regexp.MustCompile("(?i)(?:\\b(?:order\\s+by|group\\s+by|from|join|into|update|table|index|column|collate|pragma|asc|desc|view|trigger|returning)\\s+|\\border\\s+by\\s[^()]*,\\s*)[\"`\\[]?$")
	// bindable is what stands before a value.
	bindable = regexp.MustCompile(`(?i)(?:[=<>(,'%+\-*/|]|\b(?:like|glob|limit|offset|between|and|or|in|select|is|not|when|then|else))\s*$`)
)

// bindingAdvice says what to write instead of the text in which holder stands.
func (s *codebase) bindingAdvice(holder *node) string {
	whole := holder
	for whole.parent.is(kTemplate) || (whole.parent.is(kBinary) && whole.parent.text == "+") {
		whole = whole.parent
	}
	var before, all strings.Builder
	seen := false
	s.rewrite(whole, func(n *node) string {
		if n == holder {
			seen = true
			return mark
		}
		if s.read(n).isFixed() {
			return "${" + n.code() + "}"
		}
		return mark
	}, func(text string) {
		if !seen {
			before.WriteString(text)
		}
		all.WriteString(text)
	})
	ahead := strings.TrimSuffix(before.String(), mark)
	switch {
	case named.MatchString(ahead):
		return "SQL takes no ? here. Choose the text from a list in the code, such as { newest: 'created_at DESC', title: 'title' }[choice]"
	case !bindable.MatchString(ahead), !readsLikeSQL(all.String()):
		return "keep the SQL constant, put ? where values go, and give them to bind(…)"
	}
	value := holder.code()
	if quoted := quotedMark.FindStringSubmatch(all.String()); quoted != nil && quoted[1]+quoted[2] != "" {
		value = "`" + quoted[1] + "${" + value + "}" + quoted[2] + "`"
	}
	text := strings.ReplaceAll(quotedMark.ReplaceAllString(all.String(), "?"), mark, "?")
	return "bind it instead: " + shortened(strings.TrimSpace(text), 200) + "  with .bind(" + value + ")"
}

// rewrite hands out a text's constant parts as they are, and for the others what show makes of them.
func (s *codebase) rewrite(n *node, show func(*node) string, write func(string)) {
	switch {
	case n.is(kText):
		write(n.text)
	case n.is(kTemplate):
		for i, text := range n.texts {
			write(text)
			if i < len(n.kids) {
				s.rewrite(n.kids[i], show, write)
			}
		}
	case n.is(kBinary) && n.text == "+":
		s.rewrite(n.kids[0], show, write)
		s.rewrite(n.kids[1], show, write)
	default:
		write(show(n))
	}
}
