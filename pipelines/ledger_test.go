package pipelines

import (
	"strings"
	"testing"
)

// Environments on Cloudflare share the record that the file names at its top; one on this machine does only by its own word.
func TestWhichEnvironmentsShareALedger(t *testing.T) {
	t.Parallel()
	top, own := SharedLedger{D1: "top", R2: "top-vault"}, SharedLedger{D1: "own", R2: "own-vault"}
	p, problems := Build(shipped(), load(t, `ledger: {d1: top, r2: top-vault}
environments:
  production: {}
  local: {target: local}
  shared: {target: local, ledger: {d1: top, r2: top-vault}}
  apart: {ledger: {d1: own, r2: own-vault}}
`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]SharedLedger{"production": top, "local": {}, "shared": top, "apart": own} {
		if got := p.Environment(name).Ledger; got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	written, err := WriteYAML(p)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := Build(shipped(), load(t, string(written)))
	if problems.Err() != nil || again.Ledger != p.Ledger || again.Environment("local").Ledger != (SharedLedger{}) || again.Environment("apart").Ledger != own {
		t.Errorf("written and read back: %+v, %v", again.Ledger, problems.Err())
	}
}

func TestWhatALedgerMustBe(t *testing.T) {
	t.Parallel()
	_, problems := Build(shipped(), load(t, `ledger: {d1: "", r2: P}
environments:
  production: {after: local}
  local: {target: local}
  other: {ledger: {d1: a b, r2: vault}}
`))
	got := strings.Join(lines(problems), "\n")
	for _, want := range []string{
		`:1:10: "" cannot be the name of a D1 database`, `:1:18: "P" cannot be the name of an R2 bucket`,
		`:3:16: production and local keep their records in different ledgers`, `:5:20: "a b" cannot be the name of a D1 database`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "D1 database"); n != 2 {
		t.Errorf("the top's name is complained about %d times", n-1)
	}
}
