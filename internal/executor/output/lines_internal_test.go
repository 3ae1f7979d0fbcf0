package output

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func cut(t *testing.T, chunks ...string) []string {
	t.Helper()
	var got []string
	l := &Lines{Emit: func(line string) { got = append(got, line) }}
	for _, chunk := range chunks {
		if n, err := l.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chunks []string
		want   []string
	}{
		"plain":         {[]string{"a\nb\n\nc"}, []string{"a", "b", "", "c"}},
		"dos":           {[]string{"a\r", "\nb\r\n", "c\r\r\n"}, []string{"a", "b", "c"}},
		"progress":      {[]string{"10%\r50%", "\r100%\ndone\n"}, []string{"100%", "done"}},
		"progress end":  {[]string{"10%\r20%\r"}, []string{"20%"}},
		"colour":        {[]string{"\x1b[31mred\x1b[0m \x1b]0;title\x07text\tx\n"}, []string{"red text\tx"}},
		"invalid":       {[]string{"a\xffb\n"}, []string{"a\uFFFDb"}},
		"split letters": {[]string{"\xc3", "\xa4\n"}, []string{"ä"}},
		"bell":          {[]string{"a\x07b\x00c\n"}, []string{"abc"}},
	} {
		if diff := cmp.Diff(c.want, cut(t, c.chunks...)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	long := cut(t, strings.Repeat("x", maxLine), strings.Repeat("y", 1000), "\nnext\n")
	if len(long) != 2 || !strings.HasSuffix(long[0], "x … (1000 bytes more in the log)") || long[1] != "next" {
		t.Errorf("long lines: %d of them, the first ends with %q", len(long), long[0][len(long[0])-40:])
	}
}

// FuzzLines: whatever a program writes, lines are bounded, printable UTF-8, and independent of how it was cut in chunks.
func FuzzLines(f *testing.F) {
	f.Add("a\r\nb\rc\x1b[1m\xff\n", uint8(2))
	f.Fuzz(func(t *testing.T, text string, at uint8) {
		whole := cut(t, text)
		var chunks []string
		for rest := text; rest != ""; {
			n := min(len(rest), int(at)%5+1)
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		if diff := cmp.Diff(whole, cut(t, chunks...)); diff != "" {
			t.Fatal(diff)
		}
		for _, line := range whole {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) || len(line) > 3*maxLine+100 {
				t.Fatalf("line %q", line)
			}
		}
	})
}
