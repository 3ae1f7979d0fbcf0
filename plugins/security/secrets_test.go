package main

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// accessKey makes what looks like an AWS access key. It is made while testing, so that this file holds none.
func accessKey(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return "AK" + "IA" + base32.StdEncoding.EncodeToString(sum[:])[:16]
}

func keyLine(seed string) string { return "export const key = \"" + accessKey(seed) + "\";\n" }

// repository is the source of an app in a folder of a git repository.
type repository struct {
	t      *testing.T
	root   string // of the repository
	folder string // of the app
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	root := t.TempDir()
	a := &repository{t: t, root: root, folder: filepath.Join(root, "apps", "one")}
	a.git("init", "--quiet", "--initial-branch=main")
	a.write("src/index.ts", "export default {};\n")
	return a
}

func (a *repository) write(name, content string) {
	a.t.Helper()
	path := filepath.Join(a.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

func (a *repository) git(arguments ...string) string {
	a.t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = a.root
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	output, err := command.CombinedOutput()
	if err != nil {
		a.t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

// commit commits all files and returns the commit's short hash.
func (a *repository) commit() string {
	a.t.Helper()
	a.git("add", "--all", "--force")
	a.git("commit", "--quiet", "--allow-empty", "-m", "change")
	return a.git("rev-parse", "HEAD")[:10]
}

// request asks about the app as it is now.
func (a *repository) request() gates.Request {
	a.t.Helper()
	request := gates.Request{SourceDir: a.folder}
	view := filepath.Join(a.t.TempDir(), "view")
	history, err := snapshot.TakeHistory(a.t.Context(), a.folder, view)
	if err != nil {
		a.t.Fatal(err)
	}
	if history != nil {
		request.History = &gates.History{Dir: history.Dir, Folder: history.Folder}
		if a.git("rev-list", "--all", "--max-count=1") != "" {
			request.Run.Commit = a.git("rev-parse", "HEAD")
		}
	}
	return request
}

func fingerprintOf(t *testing.T, file, seed string) string {
	t.Helper()
	fingerprint, err := leak{rule: "aws-access-token", file: file, secret: accessKey(seed)}.fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	return fingerprint
}

// neverTells fails when a verdict holds any of the secrets, in whole or in a part that is long enough to search for.
func neverTells(seeds ...string) gatetest.Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		for _, seed := range seeds {
			if strings.Contains(fmt.Sprintf("%+v", verdict), accessKey(seed)[4:12]) {
				t.Errorf("the verdict tells the secret: %+v", verdict)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	tomorrow, yesterday := time.Now().AddDate(0, 0, 1).Format(time.DateOnly), time.Now().AddDate(0, 0, -1).Format(time.DateOnly)
	aws := func(file string, line int, seed, commit string) gates.Finding {
		finding := gates.Finding{Level: gates.LevelError, Rule: "aws-access-token", File: file, Line: line, Detail: "fingerprint " + fingerprintOf(t, file, seed)}
		finding.Message = "Identified a pattern that may indicate AWS credentials, risking unauthorized cloud resource access and data breaches on AWS platforms"
		if commit != "" {
			finding.Line = 0
			finding.Message += fmt.Sprintf(" (commit %s, line %d)", commit, line)
		}
		return finding
	}

	clean := newRepository(t)
	clean.commit()
	picture := newRepository(t)
	picture.write("public/a.png", "\x89PNG\x00")
	picture.commit()

	inTree := newRepository(t)
	inTree.commit()
	inTree.write("src/key.ts", "// a\n// b\n"+keyLine("tree"))

	gone := newRepository(t)
	gone.write("src/key.ts", "// a\n"+keyLine("gone"))
	gone.write("../other/key.ts", keyLine("another app's"))
	brought := gone.commit()
	gone.write("src/key.ts", "// moved\n// a\n"+keyLine("gone"))
	gone.commit()
	gone.write("src/key.ts", "// nothing\n")
	gone.commit()
	later := gone.commit()

	branch := newRepository(t)
	branch.commit()
	branch.git("switch", "--quiet", "--create", "feature")
	branch.write("src/key.ts", keyLine("branch"))
	branched := branch.commit()
	branch.git("switch", "--quiet", "main")
	if err := os.RemoveAll(filepath.Join(branch.folder, "src/key.ts")); err != nil {
		t.Fatal(err)
	}
	branch.commit()

	merged := newRepository(t)
	merged.commit()
	merged.git("switch", "--quiet", "--create", "feature")
	merged.write("src/other.ts", "// other\n")
	merged.commit()
	merged.git("switch", "--quiet", "main")
	merged.commit()
	merged.git("merge", "--quiet", "--no-ff", "--no-commit", "feature")
	merged.write("src/key.ts", keyLine("in the merge alone"))
	evil := merged.commit()
	merged.write("src/key.ts", "// nothing\n")
	merged.commit()

	shallow := shallowClone(t, gone)

	fresh := newRepository(t)
	plain := &repository{t: t, root: t.TempDir()}
	plain.folder = plain.root
	plain.write("src/index.ts", "export default {};\n")

	broken := newRepository(t)
	broken.write("src/big.ts", "// "+strings.Repeat("x", 100))
	broken.commit()
	broken.write("src/big.ts", "// nothing\n")
	broken.commit()
	blob := broken.git("rev-parse", "HEAD~1:apps/one/src/big.ts")
	if err := os.Remove(filepath.Join(broken.root, ".git/objects", blob[:2], blob[2:])); err != nil {
		t.Fatal(err)
	}

	hidden := newRepository(t)
	hidden.write(".gitattributes", "* -diff\n")
	hidden.write("src/key.ts", keyLine("hidden"))
	hid := hidden.commit()
	hidden.write("src/key.ts", "// nothing\n")
	hidden.commit()

	ungranted := gone.request()
	ungranted.History = nil
	allow := func(file, seed, reason, expires string) string {
		return fmt.Sprintf(`{"allow": [{"fingerprint": %q, "reason": %q, "expires": %q}]}`, fingerprintOf(t, file, seed), reason, expires)
	}

	gatetest.Try(t, secretsGate{}, []gatetest.Case{{
		Name: "binary content is said", Request: picture.request(), Want: gates.Pass, Check: gatetest.Says("binary content, met 2 times, was not looked into"),
	}, {
		Name: "nothing", Request: clean.request(), Want: gates.Pass, Check: gatetest.All(gatetest.Says("no secrets in 1 file and 1 commit (the last 200)"), gatetest.Finds()),
	}, {
		Name: "in the source, not committed", Request: inTree.request(), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 secret in the source"), gatetest.Finds(aws("src/key.ts", 3, "tree", "")), neverTells("tree")),
	}, {
		Name: "in the history alone, by the commit that brought it in, and no other app's", Request: gone.request(), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 secret in the history", "no longer"), gatetest.Finds(aws("src/key.ts", 2, "gone", brought)), neverTells("gone", "another app's")),
	}, {
		Name: "a range that begins later", Config: fmt.Sprintf(`{"base": "%s~1"}`, later), Request: gone.request(), Want: gates.Pass, Check: gatetest.Says("1 commit (the commits since " + later + "~1)"),
	}, {
		Name: "a base that is not there", Config: `{"base": "origin/main"}`, Request: gone.request(), Want: gates.Inconclusive, Check: gatetest.Says("of the history nobody knows"),
	}, {
		Name: "a range of few commits", Config: `{"commits": 1}`, Request: gone.request(), Want: gates.Pass, Check: gatetest.Says("1 commit (the last 1)"),
	}, {
		Name: "the history is not wanted", Config: `{"history": "none"}`, Request: gone.request(), Want: gates.Pass, Check: gatetest.Says("not looked at, as configured"),
	}, {
		Name: "the history was not granted", Request: ungranted, Want: gates.Inconclusive, Check: gatetest.Says("its history was not granted"),
	}, {
		Name: "another branch is not in the range", Request: branch.request(), Want: gates.Pass,
	}, {
		Name: "and is in the whole", Config: `{"history": "all"}`, Request: branch.request(), Want: gates.Fail, Check: gatetest.Finds(aws("src/key.ts", 1, "branch", branched)),
	}, {
		Name: "brought in by a merge alone", Request: merged.request(), Want: gates.Fail, Check: gatetest.Finds(aws("src/key.ts", 1, "in the merge alone", evil)),
	}, {
		Name: "hidden by attributes", Request: hidden.request(), Want: gates.Fail, Check: gatetest.Finds(aws("src/key.ts", 1, "hidden", hid)),
	}, {
		Name: "a shallow clone", Request: shallow.request(), Want: gates.Inconclusive, Check: gatetest.Says("shallow clone with 1 commit of the last 200"),
	}, {
		Name: "a shallow clone that holds the range", Config: `{"commits": 1}`, Request: shallow.request(), Want: gates.Pass,
	}, {
		Name: "an object is missing", Request: broken.request(), Want: gates.Inconclusive, Check: gatetest.Says("the history is incomplete"),
	}, {
		Name: "before the first commit", Request: fresh.request(), Want: gates.Pass, Check: gatetest.Says("nothing was committed"),
	}, {
		Name: "in no repository", Request: gates.Request{SourceDir: plain.folder}, Want: gates.Pass, Check: gatetest.Says("no secrets in 1 file; there is no history"),
	}, {
		Name: "no source", Request: gates.Request{}, Want: gates.Inconclusive, Check: gatetest.Says("not granted"),
	}, {
		Name: "no file", Request: gates.Request{SourceDir: t.TempDir()}, Want: gates.Inconclusive, Check: gatetest.Says("no file"),
	}, {
		Name: "a folder that is not there", Request: gates.Request{SourceDir: filepath.Join(t.TempDir(), "nowhere")}, Want: gates.Error,
	}, {
		Name: "allowed", Config: allow("src/key.ts", "gone", "revoked", tomorrow), Request: gone.request(), Want: gates.Pass,
		Check: gatetest.Finds(gates.Finding{Level: gates.LevelNote, Rule: "aws-access-token", Message: "what looks like a secret in src/key.ts is allowed until " + tomorrow + ": revoked"}),
	}, {
		Name: "allowed until yesterday", Config: allow("src/key.ts", "gone", "revoked", yesterday), Request: gone.request(), Want: gates.Fail,
		Check: gatetest.Finds(gates.Finding{
			Level: gates.LevelWarning, Rule: "allow", Message: "the entry for " + fingerprintOf(t, "src/key.ts", "gone") + " under allow does not count: it expired on " + yesterday,
		}, aws("src/key.ts", 2, "gone", brought)),
	}, {
		Name: "allowed without a reason", Config: allow("src/key.ts", "gone", " ", tomorrow), Request: gone.request(), Want: gates.Fail,
	}, {
		Name: "another secret at the same place is not allowed", Config: allow("src/key.ts", "another", "known", tomorrow), Request: gone.request(), Want: gates.Fail,
	}, {
		Name: "the same secret in another file is not allowed", Config: allow("src/other.ts", "gone", "known", tomorrow), Request: gone.request(), Want: gates.Fail,
	}, {
		Name: "an entry that does not count is said", Config: allow("src/key.ts", "gone", "", tomorrow), Request: clean.request(), Want: gates.Warn, Check: gatetest.Says("1 under allow do not count"),
	}})
}

// shallowClone clones an app's repository as CI does by default.
func shallowClone(t *testing.T, of *repository) *repository {
	t.Helper()
	root := filepath.Join(t.TempDir(), "clone")
	of.git("clone", "--quiet", "--depth=1", "file://"+of.root, root)
	return &repository{t: t, root: root, folder: filepath.Join(root, "apps", "one")}
}

func TestSearchTree(t *testing.T) {
	t.Parallel()
	rules, err := theScanner()
	if err != nil {
		t.Fatal(err)
	}
	a := newRepository(t)
	a.write("plain.ts", keyLine("plain"))
	a.write("comment.ts", "const key = \""+accessKey("comment")+"\" // gitleaks:allow\n")
	a.write("utf16.env", utf16Text("KEY="+accessKey("utf16")+"\n"))
	a.write("node_modules/x/index.js", keyLine("package"))
	a.write("picture.bin", "\x00"+keyLine("binary"))
	a.write("long.ts", strings.Repeat("// a line that says nothing at all\n", 40_000)+keyLine("long"))
	a.write("one-line.js", strings.Repeat("x ", pieceSize)+keyLine("one line"))
	var found searched
	if err := searchTree(t.Context(), rules, a.folder, &found); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, leak := range merge(found.leaks) {
		got = append(got, fmt.Sprintf("%s:%d", leak.file, leak.line))
	}
	want := []string{"comment.ts:1", "long.ts:40001", "one-line.js:1", "plain.ts:1", "utf16.env:1"}
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if found.files != 6 || found.binaries != 1 {
		t.Errorf("%d files and %d binaries", found.files, found.binaries)
	}
}

// TestSameTextIsScannedOnce: what a commit added and the tree still has is one text, wherever it stands in each.
func TestSameTextIsScannedOnce(t *testing.T) {
	t.Parallel()
	rules, err := theScanner()
	if err != nil {
		t.Fatal(err)
	}
	generated := strings.Repeat("declare const nothing: string;\n", 200) + keyLine("generated") + strings.Repeat("declare const more: string;\n", 200)
	a := newRepository(t)
	a.write("env.d.ts", strings.TrimSuffix(generated, "\n")) // git adds the newline that it lacks
	a.write("copy.d.ts", "// one line more\n"+generated)
	first := a.commit()
	a.write("env.d.ts", "// short\n")
	a.commit()
	a.write("env.d.ts", "// short\n"+generated)
	last := a.commit()

	var found searched
	if err := searchTree(t.Context(), rules, a.folder, &found); err != nil {
		t.Fatal(err)
	}
	request := a.request()
	if err := searchHistory(t.Context(), rules, request.History, commitRange{words: []string{"HEAD", "--"}}, &found); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, leak := range found.leaks {
		got = append(got, fmt.Sprintf("%s %s:%d", shortCommit(leak.commit), leak.file, leak.line))
	}
	slices.Sort(got)
	want := []string{" copy.d.ts:202", " env.d.ts:202", first + " copy.d.ts:202", first + " env.d.ts:201", last + " env.d.ts:202"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	// Of the tree env.d.ts, copy.d.ts and index.ts; of the history env.d.ts without its first line, which it has twice, that line, and
	// index.ts, too short to be remembered.
	if found.scanned != 6 {
		t.Errorf("%d texts were looked through, want 6", found.scanned)
	}
}

func utf16Text(text string) string {
	encoded := []byte{0xff, 0xfe}
	for _, b := range []byte(text) {
		encoded = append(encoded, b, 0)
	}
	return string(encoded)
}

func TestReadPatches(t *testing.T) {
	t.Parallel()
	const commit = patchMark + "1234567890abcdef1234567890abcdef12345678\n\n"
	header := func(name string) string {
		return "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ " + name + "\n"
	}
	for name, test := range map[string]struct {
		patch string
		want  []string
		fails bool
	}{
		"an addition":                    {commit + header("b/src/a.ts") + "@@ -3,0 +4,2 @@ f()\n+one\n+two\n", []string{"src/a.ts:4 one two"}, false},
		"content that looks like a name": {commit + header("b/a") + "@@ -1 +1,2 @@\n---- a/x\n++++ b/evil\n+@@ -1 +1 @@\n", []string{"a:1 +++ b/evil @@ -1 +1 @@"}, false},
		"no newline at the end":          {commit + header("b/a") + "@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n\\ No newline at end of file\n", []string{"a:1 y"}, false},
		"two hunks":                      {commit + header("b/a") + "@@ -1 +1 @@\n-x\n+y\n@@ -9,0 +9 @@\n+z\n", []string{"a:1 y", "a:9 z"}, false},
		"a name in quotes":               {commit + header(`"b/a\tb\303\244"`) + "@@ -0,0 +1 @@\n+y\n", []string{"a\tbä:1 y"}, false},
		"a name with a space":            {commit + header("b/a b\t") + "@@ -0,0 +1 @@\n+y\n", []string{"a b:1 y"}, false},
		"a deletion":                     {commit + header("/dev/null") + "@@ -1,2 +0,0 @@\n-x\n-y\n", nil, false},
		"a binary file":                  {commit + "diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n", nil, false},
		"cut off":                        {commit + header("b/a") + "@@ -1 +1,2 @@\n-x\n+y\n", nil, true},
		"a hunk of nothing":              {commit + header("b/a") + "@@ what @@\n", nil, true},
		"lines without a file":           {commit + "@@ -0,0 +1 @@\n+y\n", nil, true},
		"something else":                 {commit + "warning: all is well\n", nil, true},
		"a name that is none":            {commit + header("x"), nil, true},
	} {
		var got []string
		read, err := readPatches(strings.NewReader(test.patch), func(added addition) error {
			got = append(got, fmt.Sprintf("%s:%d %s", added.file, added.line, strings.Join(strings.Fields(strings.ReplaceAll(added.text, "\n", " ")), " ")))
			return nil
		})
		if test.fails {
			if !errors.Is(err, errPatch) && err == nil {
				t.Errorf("%s: read without an error: %v", name, got)
			}
			continue
		}
		if err != nil || read.commits != 1 || !slices.Equal(got, test.want) {
			t.Errorf("%s: %d commits, %q, want %q: %v", name, read.commits, got, test.want, err)
		}
	}
}

func FuzzReadPatches(f *testing.F) {
	f.Add(patchMark + "12\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-x\n-y\n+z\n")
	f.Add("+++ \"b/\\")
	f.Add("@@ -1 +99999999999999999999 @@")
	f.Fuzz(func(t *testing.T, patch string) {
		_, _ = readPatches(strings.NewReader(patch), func(added addition) error {
			if added.file == "" || added.commit == "" || added.text == "" {
				t.Errorf("%+v", added)
			}
			return nil
		})
	})
}
