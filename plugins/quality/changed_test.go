package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// repository is the source of an app in a folder of a git repository.
type repository struct {
	t      *testing.T
	root   string // of the repository
	folder string // of the app
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	root := t.TempDir()
	r := &repository{t: t, root: root, folder: filepath.Join(root, "apps", "one")}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r *repository) write(name string, lines ...string) *repository {
	r.t.Helper()
	path := filepath.Join(r.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *repository) git(arguments ...string) string {
	r.t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = r.root
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	output, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

func (r *repository) commit() *repository {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "-m", "change")
	return r
}

func (r *repository) branch(name string) *repository {
	r.t.Helper()
	r.git("checkout", "--quiet", "-b", name)
	return r
}

// request asks about the app as it is now, with a report that says which lines of src/a.ts are reached how often.
func (r *repository) request(hits ...int) gates.Request {
	r.t.Helper()
	var lcov strings.Builder
	lcov.WriteString("SF:src/a.ts\n")
	for i, n := range hits {
		if n >= 0 {
			fmt.Fprintf(&lcov, "DA:%d,%d\n", i+1, n)
		}
	}
	lcov.WriteString("end_of_record\n")
	request := gates.Request{
		SourceDir: r.folder,
		Stages:    []gates.Stage{gatetest.Stage("test", "passed", 0)},
		Reports:   []gates.Report{{Kind: gates.ReportLCOV, Stage: "test", Path: gatetest.Written(r.t, lcov.String()), Root: "/app"}},
	}
	history, err := snapshot.TakeHistory(r.t.Context(), r.folder, filepath.Join(r.t.TempDir(), "view"))
	if err != nil {
		r.t.Fatal(err)
	}
	request.History = &gates.History{Dir: history.Dir, Folder: history.Folder}
	return request
}

func TestCoverageOfChangedLines(t *testing.T) {
	first := func() *repository { return newRepository(t).write("src/a.ts", "one", "two", "three").commit() }
	const config = `{"limit": 0, "changedLines": 80}`
	missing := func(line int, lines string) gates.Finding {
		return gates.Finding{
			Level: gates.LevelError, Rule: "coverage of changed lines", File: "src/a.ts", Line: line, Message: "changed and not reached by any test: line " + lines,
		}
	}

	bare := gates.Request{
		Stages:  []gates.Stage{gatetest.Stage("test", "passed", 0)},
		Reports: []gates.Report{fixture(gates.ReportLCOV, "test", "coverage/lcov.info")},
	}
	summary := first().branch("work").write("src/a.ts", "one", "2", "three").request(1)
	summary.Reports = []gates.Report{fixture(gates.ReportIstanbulSummary, "test", "coverage/coverage-summary.json")}

	shallow := first().write("src/a.ts", "one", "2", "three").commit()
	clone := &repository{t: t, root: filepath.Join(t.TempDir(), "clone")}
	clone.folder = filepath.Join(clone.root, "apps", "one")
	shallow.git("clone", "--quiet", "--depth=1", "file://"+shallow.root, clone.root)

	elsewhere := first().branch("work").write("src/a.ts", "one", "2", "three").commit()
	elsewhere.git("checkout", "--quiet", "main")
	elsewhere.write("src/a.ts", "1", "two", "three").commit()
	elsewhere.git("checkout", "--quiet", "work")

	moved := first().branch("work")
	moved.git("mv", "apps/one/src/a.ts", "apps/one/src/b.ts")
	moved.write("src/b.ts", "one", "two", "three", "four").commit()
	movedRequest := moved.request()
	movedRequest.Reports[0].Path = gatetest.Written(t, "SF:src/b.ts\nDA:1,0\nDA:2,0\nDA:3,0\nDA:4,1\nend_of_record\n")

	nothing := newRepository(t).write("src/a.ts", "one").request(1)

	// On the default branch, two commits after what is live: the line that the first of them brought is new as well.
	live := first()
	lives := live.git("rev-parse", "HEAD")
	since := func(bases ...gates.Base) gates.Request {
		request := live.write("src/a.ts", "one", "2", "three").commit().write("src/a.ts", "one", "2", "3").commit().request(1, 0, 1)
		request.History.Bases = bases
		return request
	}
	isLive := gates.Base{Commit: lives, Name: "what is live in production"}
	gone := gates.Base{Commit: strings.Repeat("ab", 20), Name: "what is live in staging"}
	ofClone := clone.request(1, 1, 1)
	ofClone.History.Bases = []gates.Base{gone}

	gatetest.Try(t, coverageGate{}, []gatetest.Case{{
		Name: "since what is live", Config: config, Want: gates.Fail, Request: since(isLive),
		Check: gatetest.All(gatetest.Says("50 % of the 2 changed lines since what is live in production ("+lives[:10]+")"), gatetest.Finds(missing(2, "2"))),
	}, {
		Name: "since the pull request's base, though another is live", Config: config, Want: gates.Fail,
		Request: since(gates.Base{Commit: lives, Name: "the pull request's base main"}, gone), Check: gatetest.Says("since the pull request's base main ("),
	}, {
		Name: "what the config names comes first", Config: `{"limit": 0, "changedLines": 80, "base": "main~1"}`, Want: gates.Pass,
		Request: since(isLive), Check: gatetest.Says("100 % of the 1 changed line since main~1 ("),
	}, {
		Name: "what is live is not in the history", Config: config, Want: gates.Pass,
		Request: func() gates.Request {
			request := first().branch("work").write("src/a.ts", "one", "2", "three").commit().request(0, 1, 0)
			request.History.Bases = []gates.Base{gone}
			return request
		}(), Check: gatetest.Says("since main (", "because what is live in staging (ababababab) is not in this history"),
	}, {
		Name: "what is live is not in a shallow clone", Config: config, Want: gates.Inconclusive, Request: ofClone, Check: gatetest.Says("shallow clone"),
	}, {
		Name: "what is new is reached", Config: config, Want: gates.Pass,
		Request: first().branch("work").write("src/a.ts", "one", "2", "three", "four").commit().request(0, 1, 0, 1),
		Check:   gatetest.All(gatetest.Says("100 % of the 2 changed lines since main (", "limit 80 %"), gatetest.Measures("changed lines", 100)),
	}, {
		Name: "what is new is not reached", Config: config, Want: gates.Fail,
		Request: first().branch("work").write("src/a.ts", "one", "2", "three", "four", "five").commit().request(1, 0, 1, 0, 0),
		Check:   gatetest.All(gatetest.Says("0 % of the 3 changed lines since main ("), gatetest.Finds(missing(2, "2, 4-5"))),
	}, {
		Name: "what is not committed is new, too", Config: config, Want: gates.Fail,
		Request: first().branch("work").commit().write("src/a.ts", "one", "2", "three").request(1, 0, 1), Check: gatetest.Finds(missing(2, "2")),
	}, {
		Name: "a file that git does not know yet is new", Config: config, Want: gates.Fail,
		Request: newRepository(t).write("other.txt", "x").commit().branch("work").write("src/a.ts", "one", "two").request(0, 1), Check: gatetest.Finds(missing(1, "1")),
	}, {
		Name: "changes of others on the default branch do not count", Config: config, Want: gates.Pass,
		Request: elsewhere.request(0, 1, 0), Check: gatetest.Says("100 % of the 1 changed line "),
	}, {
		Name: "a moved file is not new", Config: config, Want: gates.Pass, Request: movedRequest, Check: gatetest.Says("100 % of the 1 changed line "),
	}, {
		Name: "on the default branch: what is not committed", Config: config, Want: gates.Fail,
		Request: first().write("src/a.ts", "one", "2", "three").request(0, 0, 0), Check: gatetest.Finds(missing(2, "2")),
	}, {
		Name: "on the default branch: what the last commit brought", Config: config, Want: gates.Fail,
		Request: first().write("src/a.ts", "one", "two", "3").commit().request(0, 0, 0), Check: gatetest.All(gatetest.Says("since the commit before"), gatetest.Finds(missing(3, "3"))),
	}, {
		Name: "the first commit brings everything", Config: config, Want: gates.Fail,
		Request: first().request(1, 0, 0), Check: gatetest.All(gatetest.Says("this is the first commit"), gatetest.Finds(missing(2, "2-3"))),
	}, {
		Name: "no changed line counts", Config: config, Want: gates.Pass,
		Request: first().branch("work").write("src/a.ts", "one", "// 2", "three").request(1, -1, 1), Check: gatetest.Says("no changed line counts"),
	}, {
		Name: "another base", Config: `{"limit": 0, "changedLines": 80, "base": "main~1"}`, Want: gates.Fail,
		Request: first().write("src/a.ts", "1", "two", "three").commit().branch("work").write("src/a.ts", "1", "2", "three").commit().request(0, 1, 0),
		Check:   gatetest.Finds(missing(1, "1")),
	}, {
		Name: "a base that is not there", Config: `{"limit": 0, "changedLines": 80, "base": "nowhere"}`, Want: gates.Inconclusive,
		Request: first().request(1, 1, 1), Check: gatetest.Says(`no branch, tag or commit "nowhere"`),
	}, {
		Name: "the whole fails, whatever is new", Config: `{"limit": 80, "changedLines": 80}`, Want: gates.Fail,
		Request: first().branch("work").write("src/a.ts", "one", "2", "three").request(0, 1, 0), Check: gatetest.Says("33.33 % of lines covered", "100 % of the 1 changed line"),
	}, {
		Name: "no repository", Config: config, Want: gates.Inconclusive, Request: bare, Check: gatetest.Says("in no git repository"),
	}, {
		Name: "no commit", Config: config, Want: gates.Inconclusive, Request: nothing, Check: gatetest.Says("no commit yet"),
	}, {
		Name: "a shallow clone", Config: config, Want: gates.Inconclusive, Request: clone.request(1, 1, 1), Check: gatetest.Says("shallow clone"),
	}, {
		Name: "a report without lines", Config: config, Want: gates.Inconclusive, Request: summary, Check: gatetest.Says("does not tell which lines"),
	}})
}
