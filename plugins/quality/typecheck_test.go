package main

import (
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestTypecheck(t *testing.T) {
	of := func(stage gates.Stage) gates.Request { return gates.Request{Stages: []gates.Stage{stage}} }
	logged := func(outcome string, exitCode int, log string) gates.Request {
		return of(withLog(gatetest.Stage("typecheck", outcome, exitCode), gatetest.Written(t, log)))
	}
	failedWith := func(file string) gates.Request {
		return of(withLog(gatetest.Stage("typecheck", "failed", 2), filepath.Join("testdata", "typecheck", file)))
	}
	four := gatetest.All(gatetest.Says("4 type errors in 1 file"), gatetest.Finds(
		gates.Finding{Level: gates.LevelError, Rule: "TS2322", File: "ts/a.ts", Line: 1, Column: 7, Message: "Type 'string' is not assignable to type 'number'."},
		gates.Finding{Level: gates.LevelError, Rule: "TS2322", File: "ts/a.ts", Line: 3, Column: 21, Message: "Type 'string' is not assignable to type 'number'."},
		gates.Finding{Level: gates.LevelError, Rule: "TS2345", File: "ts/a.ts", Line: 5, Column: 3, Message: "Argument of type 'number' is not assignable to parameter of type 'string'."},
		gates.Finding{Level: gates.LevelError, Rule: "TS7006", File: "ts/a.ts", Line: 6, Column: 19, Message: "Parameter 'h' implicitly has an 'any' type."},
	))
	cached := gatetest.Stage("typecheck", "passed", 0)
	cached.Cached = true

	gatetest.Try(t, typecheckGate{}, []gatetest.Case{{
		Name: "passes", Request: logged("passed", 0, "> tsc --noEmit\n"), Want: gates.Pass, Check: gatetest.Says("no type errors (npm run typecheck)"),
	}, {
		Name: "passes from the cache", Request: of(cached), Want: gates.Pass,
	}, {
		Name: "plain", Request: failedWith("plain.log"), Want: gates.Fail, Check: four,
	}, {
		Name: "pretty", Request: failedWith("pretty.log"), Want: gates.Fail, Check: four,
	}, {
		Name: "an error goes on", Want: gates.Fail,
		Request: logged("failed", 2, "/app/src/a.ts(1,2): error TS2322: Type 'A' is not assignable to type 'B'.\n  Types of property 'x' differ.\n    Really.\nDone.\n"),
		Check: gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "TS2322", File: "src/a.ts", Line: 1, Column: 2, Message: "Type 'A' is not assignable to type 'B'.",
			Detail: "  Types of property 'x' differ.\n    Really.",
		}),
	}, {
		Name: "an error in no file", Request: logged("failed", 2, "error TS18003: No inputs were found in config file.\n"), Want: gates.Fail,
		Check: gatetest.Finds(gates.Finding{Level: gates.LevelError, Rule: "TS18003", Message: "No inputs were found in config file."}),
	}, {
		Name: "exit code hidden by the script", Request: logged("passed", 0, "src/a.ts(1,2): error TS2322: no\n"), Want: gates.Fail,
		Check: gatetest.Says("1 type error in 1 file, though the stage exited 0"),
	}, {
		Name: "no error that can be read", Request: logged("failed", 127, "sh: tsc: not found\n"), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("stage typecheck exited 127 and named no type error"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Message: "the last lines of stage typecheck", Detail: "sh: tsc: not found",
		})),
	}, {
		Name: "a log that is not there", Request: of(withLog(gatetest.Stage("typecheck", "passed", 0), "testdata/nowhere.log")), Want: gates.Inconclusive,
	}, {
		Name: "skipped", Request: of(gatetest.Stage("typecheck", "skipped", -1)), Want: gates.Inconclusive,
	}, {
		Name: "cancelled", Request: of(gatetest.Stage("typecheck", "cancelled", -1)), Want: gates.Inconclusive,
	}, {
		Name: "could not be run", Request: of(gatetest.Stage("typecheck", "error", -1)), Want: gates.Error,
	}, {
		Name: "missing", Want: gates.Inconclusive, Check: gatetest.Says(`no stage "typecheck"`),
	}})
}

func FuzzTSC(f *testing.F) {
	f.Add("src/a.ts(1,2): error TS2322: no\n  more\n")
	f.Add("src/a.ts:1:2 - error TS2322: no\n")
	f.Fuzz(func(t *testing.T, log string) {
		for _, finding := range parseTSC([]string{log}, "/app") {
			if finding.Rule == "" {
				t.Errorf("a finding without a rule: %+v", finding)
			}
		}
	})
}
