package sqldump

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const whole = `PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE lessons (id INTEGER PRIMARY KEY, guide INTEGER REFERENCES guides(id));
INSERT INTO "lessons" VALUES(1,7);
CREATE TABLE guides (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT);
INSERT INTO "guides" VALUES(7,'a; b');
INSERT INTO "guides" VALUES(8,replace('two\nlines','\n',char(10)));
DELETE FROM sqlite_sequence;
INSERT INTO "sqlite_sequence" VALUES('guides',8);
CREATE INDEX by_guide ON lessons(guide);
CREATE TRIGGER t AFTER INSERT ON guides BEGIN SELECT 1; END;
`

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAWholeDumpIsCounted(t *testing.T) {
	t.Parallel()
	dump, err := Read(t.Context(), file(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Table{{"guides", 2}, {"lessons", 1}}, dump.Tables); diff != "" {
		t.Error(diff)
	}
	if dump.Size != int64(len(whole)) || !strings.HasPrefix(dump.Digest, "sha256:") {
		t.Errorf("%+v", dump)
	}
}

func TestWhatIsNoDump(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                "",
		"cut off in a text":    whole[:strings.Index(whole, "b');")],
		"cut off in a trigger": whole[:strings.Index(whole, " END")],
		"not SQL":              "<html>sorry</html>;",
		"a reference to nothing": strings.Replace(whole, `INSERT INTO "guides" VALUES(7,'a; b');
`, "", 1),
	} {
		if dump, err := Read(t.Context(), file(t, text)); err == nil {
			t.Errorf("%s: %+v", name, dump)
		}
	}
}
