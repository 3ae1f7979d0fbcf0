package runtime

import "strings"

// dictionaryString returns the string that key has in an RFC 8941 dictionary. A field that is not a valid dictionary has no
// members at all, as section 4.2 of the RFC demands; a member of another type is not a string.
func dictionaryString(field, key string) (string, bool) {
	p := &fieldParser{rest: strings.Trim(field, " ")}
	value, found := "", false
	for p.rest != "" {
		name, ok := p.key()
		if !ok {
			return "", false
		}
		text, isText := "", false
		if p.take('=') {
			if text, isText, ok = p.member(); !ok {
				return "", false
			}
		} else if !p.parameters() { // a bare key means true
			return "", false
		}
		if name == key {
			value, found = text, isText // the last of equal keys wins
		}
		p.space()
		if p.rest == "" {
			break
		}
		if !p.take(',') {
			return "", false
		}
		p.space()
		if p.rest == "" { // a trailing comma
			return "", false
		}
	}
	return value, found
}

// fieldParser eats a structured field from the left. Its methods report whether the syntax was right.
type fieldParser struct{ rest string }

func (p *fieldParser) take(c byte) bool {
	if p.rest != "" && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

func (p *fieldParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *fieldParser) while(in func(byte) bool) string {
	i := 0
	for i < len(p.rest) && in(p.rest[i]) {
		i++
	}
	taken := p.rest[:i]
	p.rest = p.rest[i:]
	return taken
}

func (p *fieldParser) key() (string, bool) {
	name := p.while(func(c byte) bool {
		return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0
	})
	return name, name != "" && (isLower(name[0]) || name[0] == '*')
}

// member parses an item or an inner list with its parameters; isText tells whether it was a string.
func (p *fieldParser) member() (text string, isText, ok bool) {
	if !p.take('(') {
		if text, isText, ok = p.bare(); !ok {
			return "", false, false
		}
		return text, isText, p.parameters()
	}
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		if p.take(')') {
			return "", false, p.parameters()
		}
		if _, _, ok := p.bare(); !ok || !p.parameters() {
			return "", false, false
		}
		if p.rest == "" || (p.rest[0] != ' ' && p.rest[0] != ')') {
			return "", false, false
		}
	}
}

func (p *fieldParser) parameters() bool {
	for p.take(';') {
		p.rest = strings.TrimLeft(p.rest, " ")
		if _, ok := p.key(); !ok {
			return false
		}
		if p.take('=') {
			if _, _, ok := p.bare(); !ok {
				return false
			}
		}
	}
	return true
}

// bare parses one value without parameters.
func (p *fieldParser) bare() (text string, isText, ok bool) {
	switch {
	case p.rest == "":
		return "", false, false
	case p.take('"'):
		text, ok = p.text()
		return text, true, ok
	case p.take('?'):
		return "", false, p.take('0') || p.take('1')
	case p.take(':'):
		p.while(func(c byte) bool { return isAlpha(c) || isDigit(c) || strings.IndexByte("+/=", c) >= 0 })
		return "", false, p.take(':')
	case p.rest[0] == '-' || isDigit(p.rest[0]):
		p.take('-')
		digits := p.while(isDigit)
		if digits != "" && p.take('.') {
			digits = p.while(isDigit)
		}
		return "", false, digits != ""
	case isAlpha(p.rest[0]) || p.rest[0] == '*':
		p.while(func(c byte) bool {
			return isAlpha(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
		})
		return "", false, true
	}
	return "", false, false
}

func (p *fieldParser) text() (string, bool) {
	var b strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return b.String(), true
		case c == '\\':
			if p.rest == "" || (p.rest[0] != '"' && p.rest[0] != '\\') {
				return "", false
			}
			b.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
		case c < 0x20 || c > 0x7e:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isAlpha(c byte) bool { return isLower(c) || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
