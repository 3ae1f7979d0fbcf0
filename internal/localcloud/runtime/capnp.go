package runtime

import (
	"fmt"
	"strings"
)

// capnpText quotes s as a text literal of the Cap'n Proto schema language, in which workerd's configuration is written.
// Control characters go as \xNN; everything else, UTF-8 included, stands for itself.
func capnpText(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// capnpList writes a list of already encoded values, one a line.
func capnpList(indent string, values []string) string {
	if len(values) == 0 {
		return "[]"
	}
	inner := indent + "  "
	return "[\n" + inner + strings.Join(values, ",\n"+inner) + "\n" + indent + "]"
}

// capnpTexts is a list of text literals on one line.
func capnpTexts(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = capnpText(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
