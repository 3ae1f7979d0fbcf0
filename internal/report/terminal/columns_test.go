package terminal

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"GATE", "ASKED AT", "WHAT IT WANTS"}, {"quality/tests", "build", "all tests pass, and there are some of them"}, {"süß/界", "promote, bake", ""}, {}}
	for width, want := range map[int]string{
		0: "GATE           ASKED AT       WHAT IT WANTS\n" +
			"quality/tests  build          all tests pass, and there are some of them\n" +
			"süß/界         promote, bake\n\n",
		60: "GATE           ASKED AT       WHAT IT WANTS\n" +
			"quality/tests  build          all tests pass, and there are\n" +
			"                              some of them\n" +
			"süß/界         promote, bake\n\n",
		40: "GATE           ASKED AT\n    WHAT IT WANTS\n" +
			"quality/tests  build\n    all tests pass, and there are some\n    of them\n" +
			"süß/界         promote, bake\n\n",
	} {
		var out bytes.Buffer
		if err := Columns(&out, width, rows); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("at width %d (-want +got):\n%s", width, diff)
		}
	}
	full := failing{}
	if err := Columns(full, 0, rows); err == nil {
		t.Error("what could not be written is no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestWrap(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"one two", "https://example.com/a-very-long-path", "three"}, Wrap("one two https://example.com/a-very-long-path three", 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{""}, Wrap(" ", 10)); diff != "" {
		t.Error(diff)
	}
}
