package main

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deps.dev/util/semver"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// npmAnswer is what npm 10 prints for minimist 1.2.5 below mkdirp, shortened.
const npmAnswer = `{
  "auditReportVersion": 2,
  "vulnerabilities": {
    "minimist": {
      "name": "minimist", "severity": "critical", "isDirect": false,
      "via": [{"source": 1097677, "name": "minimist", "dependency": "minimist", "title": "Prototype Pollution in minimist",
        "url": "https://github.com/advisories/GHSA-xvch-5gv4-984h", "severity": "critical", "cwe": ["CWE-1321"], "range": ">=1.0.0 <1.2.6"}],
      "effects": ["mkdirp"], "range": "1.0.0 - 1.2.5", "nodes": ["node_modules/minimist"], "fixAvailable": true
    },
    "mkdirp": {
      "name": "mkdirp", "severity": "critical", "isDirect": true, "via": ["minimist"], "effects": [], "range": "0.4.1 - 0.5.1",
      "nodes": ["node_modules/mkdirp"], "fixAvailable": true
    },
    "brace-expansion": {
      "name": "brace-expansion", "severity": "low", "isDirect": false,
      "via": [{"source": 1105444, "name": "brace-expansion", "title": "ReDoS", "url": "https://github.com/advisories/GHSA-v6h2-p8h4-qcjw", "severity": "low", "range": ">=1.0.0 <=1.1.11"}],
      "effects": [], "range": "1.0.0 - 1.1.11", "nodes": [], "fixAvailable": {"name": "eslint", "version": "9.0.0", "isSemVerMajor": true}
    }
  },
  "metadata": {"vulnerabilities": {"info": 0, "low": 1, "moderate": 0, "high": 0, "critical": 2, "total": 3}, "dependencies": {"prod": 3, "total": 3}}
}`

const (
	npmNothing  = `{"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"vulnerabilities": {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0, "total": 0}}}`
	pnpmNothing = `{"actions": [], "advisories": {}, "muted": [], "metadata": {"vulnerabilities": {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0}}}`
	pnpmAnswer  = `{"actions": [], "advisories": {"1097677": {"findings": [{"version": "1.2.5", "paths": [". > mkdirp@0.5.1 > minimist@1.2.5"]}],
		"id": 1097677, "module_name": "minimist", "severity": "critical", "title": "Prototype Pollution in minimist", "url": "https://github.com/advisories/GHSA-xvch-5gv4-984h",
		"vulnerable_versions": ">=1.0.0 <1.2.6", "patched_versions": ">=1.2.6", "cves": ["CVE-2021-44906"], "github_advisory_id": "GHSA-xvch-5gv4-984h"}},
		"metadata": {"vulnerabilities": {"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 1}}}`
	yarnNothing = `{"type":"auditSummary","data":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":0,"critical":0},"totalDependencies":3}}`
	yarnAnswer  = `{"type":"auditAdvisory","data":{"resolution":{"id":1097677,"path":"mkdirp>minimist","dev":false},"advisory":{"findings":[{"version":"1.2.5","paths":["mkdirp>minimist"]}],` +
		`"id":1097677,"module_name":"minimist","severity":"critical","title":"Prototype Pollution in minimist","url":"https://github.com/advisories/GHSA-xvch-5gv4-984h",` +
		`"vulnerable_versions":">=1.0.0 <1.2.6","patched_versions":">=1.2.6","github_advisory_id":"GHSA-xvch-5gv4-984h"}}}` + "\n" +
		`{"type":"auditSummary","data":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":0,"critical":1},"totalDependencies":3}}` + "\n"
	npmRefused = `{"message": "405 Method Not Allowed - POST https://user:token@registry.invalid/-/npm/v1/security/audits/quick", "method": "POST", "error": {"summary": "", "detail": ""}}`
)

const lockText = `{
  "name": "one",
  "lockfileVersion": 3,
  "packages": {
    "": {
      "name": "one", "version": "1.0.0"
    },
    "node_modules/minimist": {
      "version": "1.2.5"
    },
    "node_modules/mkdirp": {
      "version": "0.5.1"
    },
    "node_modules/aliased": {
      "name": "real", "version": "2.0.0-rc.1"
    },
    "node_modules/workspace": {
      "resolved": "packages/workspace", "link": true
    },
    "packages/workspace": {
      "version": "1.2.5"
    }
  }
}
`

// osv makes an advisory as GitHub's are in OSV.
func osv(id, name, severity string, modified time.Time, events string) string {
	specific := "{}"
	if severity != "" {
		specific = fmt.Sprintf(`{"severity": %q}`, severity)
	}
	return fmt.Sprintf(`{"schema_version": "1.4.0", "id": %q, "aliases": ["CVE-2021-44906"], "modified": %q, "summary": "about %s",
		"affected": [{"package": {"ecosystem": "npm", "name": %q, "purl": "pkg:npm/x"}, "ranges": [{"type": "SEMVER", "events": [%s]}]}],
		"database_specific": %s}`, id, modified.Format(time.RFC3339), name, name, events, specific)
}

// lockedApp makes an app's folder with a lock file and a database of advisories.
func lockedApp(t *testing.T, lock string, advisories ...string) string {
	t.Helper()
	folder := t.TempDir()
	if lock != "" {
		if err := os.WriteFile(filepath.Join(folder, "package-lock.json"), []byte(lock), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "osv"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, advisory := range advisories {
		if err := os.WriteFile(filepath.Join(folder, "osv", fmt.Sprintf("%d.json", i)), []byte(advisory), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func zipped(t *testing.T, advisories ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "osv.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(file)
	for i, advisory := range advisories {
		entry, err := archive.Create(fmt.Sprintf("%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(advisory)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAudit(t *testing.T) {
	now := time.Now()
	tomorrow, yesterday := now.AddDate(0, 0, 1).Format(time.DateOnly), now.AddDate(0, 0, -1).Format(time.DateOnly)
	folder := lockedApp(t, lockText)
	answered := func(text string) gates.Request {
		return gates.Request{
			SourceDir: folder, Stages: []gates.Stage{gatetest.Stage("audit", "passed", 0)},
			Reports: []gates.Report{{Kind: gates.ReportNPMAudit, Stage: "audit", Path: gatetest.Written(t, text)}},
		}
	}
	offline := func(advisories ...string) gates.Request {
		return gates.Request{SourceDir: lockedApp(t, lockText, advisories...)}
	}
	const useOSV = `{"database": "osv"}`
	recent := now.Add(-24 * time.Hour)
	minimist := osv("GHSA-xvch-5gv4-984h", "minimist", "CRITICAL", recent, `{"introduced": "1.0.0"}, {"fixed": "1.2.6"}`)
	unrelated := osv("GHSA-aaaa-bbbb-cccc", "elsewhere", "HIGH", recent, `{"introduced": "0"}`)

	critical := gates.Finding{
		Level: gates.LevelError, Rule: "GHSA-xvch-5gv4-984h", File: "package-lock.json", Line: 8,
		Message: "minimist 1.2.5 (critical): Prototype Pollution in minimist; affected: >=1.0.0 <1.2.6; `npm audit fix` mends it",
		Detail:  "https://github.com/advisories/GHSA-xvch-5gv4-984h\nnode_modules/minimist",
	}
	low := gates.Finding{
		Level: gates.LevelNote, Rule: "GHSA-v6h2-p8h4-qcjw",
		Message: "brace-expansion (low): ReDoS; affected: >=1.0.0 <=1.1.11; mended by eslint 9.0.0, which is a new major version",
	}
	skipped := answered(npmNothing)
	skipped.Stages = []gates.Stage{gatetest.Stage("audit", "cancelled", -1)}

	beside := lockedApp(t, lockText, unrelated)
	if err := os.WriteFile(filepath.Join(beside, "pnpm-lock.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	cases := []gatetest.Case{{
		Name: "npm: nothing", Request: answered(npmNothing), Want: gates.Pass, Check: gatetest.All(gatetest.Says("none at high or above, by the registry's advisories (none of any severity)"), gatetest.Finds()),
	}, {
		Name: "npm: a critical and a low one", Request: answered(npmAnswer), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 vulnerability at high or above", "1 critical, 1 low"), gatetest.Finds(critical, low), func(t *testing.T, verdict gates.Verdict) {
			gatetest.Measures("vulnerabilities at high or above", 1)(t, verdict)
		}),
	}, {
		Name: "npm: a lower level", Config: `{"level": "info"}`, Request: answered(npmAnswer), Want: gates.Fail, Check: gatetest.Says("2 vulnerabilities at info or above"),
	}, {
		Name: "allowed", Config: fmt.Sprintf(`{"allow": [{"id": "ghsa-XVCH-5gv4-984h", "reason": "not reachable", "expires": %q}]}`, tomorrow), Request: answered(npmAnswer), Want: gates.Pass,
		Check: gatetest.Finds(gates.Finding{Level: gates.LevelNote, Rule: "GHSA-xvch-5gv4-984h", Message: "minimist: Prototype Pollution in minimist is allowed until " + tomorrow + ": not reachable"}, low),
	}, {
		Name: "allowed by the registry's number", Config: fmt.Sprintf(`{"allow": [{"id": "1097677", "reason": "x", "expires": %q}]}`, tomorrow), Request: answered(npmAnswer), Want: gates.Pass,
	}, {
		Name: "allowed until yesterday", Config: fmt.Sprintf(`{"allow": [{"id": "GHSA-xvch-5gv4-984h", "reason": "x", "expires": %q}]}`, yesterday), Request: answered(npmAnswer), Want: gates.Fail,
		Check: gatetest.Finds(gates.Finding{Level: gates.LevelWarning, Rule: "allow", Message: "the entry for GHSA-xvch-5gv4-984h under allow does not count: it expired on " + yesterday}, critical, low),
	}, {
		Name: "allowed today", Config: fmt.Sprintf(`{"allow": [{"id": "GHSA-xvch-5gv4-984h", "reason": "x", "expires": %q}]}`, now.UTC().Format(time.DateOnly)), Request: answered(npmAnswer), Want: gates.Pass,
	}, {
		Name: "allowed for no reason", Config: fmt.Sprintf(`{"allow": [{"id": "GHSA-xvch-5gv4-984h", "expires": %q}]}`, tomorrow), Request: answered(npmAnswer), Want: gates.Fail,
	}, {
		Name: "allowed for ever", Config: `{"allow": [{"id": "GHSA-xvch-5gv4-984h", "reason": "x"}]}`, Request: answered(npmAnswer), Want: gates.Fail,
	}, {
		Name: "an entry that does not count is said", Config: `{"allow": [{"id": "GHSA-xvch-5gv4-984h"}]}`, Request: answered(npmNothing), Want: gates.Warn, Check: gatetest.Says("1 under allow do not count"),
	}, {
		Name: "pnpm: nothing", Request: answered(pnpmNothing), Want: gates.Pass,
	}, {
		Name: "pnpm: a critical one", Request: answered(pnpmAnswer), Want: gates.Fail, Check: gatetest.Says("1 vulnerability"),
	}, {
		Name: "pnpm: allowed by its CVE", Config: fmt.Sprintf(`{"allow": [{"id": "CVE-2021-44906", "reason": "x", "expires": %q}]}`, tomorrow), Request: answered(pnpmAnswer), Want: gates.Pass,
	}, {
		Name: "yarn: nothing", Request: answered(yarnNothing), Want: gates.Pass,
	}, {
		Name: "yarn: a critical one", Request: answered(yarnAnswer), Want: gates.Fail, Check: gatetest.Says("1 critical"),
	}, {
		Name: "yarn: cut off", Request: answered(strings.SplitAfter(yarnAnswer, "\n")[0]), Want: gates.Inconclusive, Check: gatetest.Says("has no summary"),
	}, {
		Name: "refused", Request: answered(npmRefused), Want: gates.Inconclusive,
		Check: gatetest.All(gatetest.Says("the registry refused: 405 Method Not Allowed", "nobody knows"), func(t *testing.T, verdict gates.Verdict) {
			if strings.Contains(fmt.Sprint(verdict), "token") {
				t.Errorf("it repeats the registry's address: %+v", verdict)
			}
		}),
	}, {
		Name: "no report", Request: gates.Request{SourceDir: folder}, Want: gates.Inconclusive, Check: gatetest.Says("did not answer", "no database"),
	}, {
		Name: "the stage was cancelled", Request: skipped, Want: gates.Inconclusive, Check: gatetest.Says("stage audit did not end by itself"),
	}, {
		Name: "empty", Request: answered(""), Want: gates.Inconclusive,
	}, {
		Name: "no JSON", Request: answered("<html>"), Want: gates.Inconclusive,
	}, {
		Name: "a later format", Request: answered(`{"auditReportVersion": 3, "vulnerabilities": {}, "metadata": {}}`), Want: gates.Inconclusive, Check: gatetest.Says("version 3, is not known"),
	}, {
		Name: "no metadata", Request: answered(`{"auditReportVersion": 2, "vulnerabilities": {}}`), Want: gates.Inconclusive,
	}, {
		Name: "counted and not listed", Request: answered(`{"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"vulnerabilities": {"high": 1}}}`), Want: gates.Inconclusive, Check: gatetest.Says("counts 1 package and lists 0"),
	}, {
		Name: "counts two and lists one", Want: gates.Inconclusive, Check: gatetest.Says("counts 2 packages and lists 1"),
		Request: answered(`{"auditReportVersion": 2, "vulnerabilities": {"b": {"via": [{"name": "b", "severity": "low"}]}}, "metadata": {"vulnerabilities": {"low": 1, "critical": 1}}}`),
	}, {
		Name: "counts nothing at all", Request: answered(`{"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {}}`), Want: gates.Inconclusive,
	}, {
		Name: "pnpm: counts nothing at all", Request: answered(`{"advisories": {}, "metadata": {}}`), Want: gates.Inconclusive,
	}, {
		Name: "yarn: counts nothing at all", Request: answered(`{"type":"auditSummary","data":{}}`), Want: gates.Inconclusive,
	}, {
		Name: "affected through a package of which it says nothing", Want: gates.Inconclusive, Check: gatetest.Says("mkdirp is affected through minimist"),
		Request: answered(`{"auditReportVersion": 2, "vulnerabilities": {"mkdirp": {"name": "mkdirp", "severity": "critical", "via": ["minimist"]}, "b": {"via": [{"name": "b", "severity": "low"}]}},
			"metadata": {"vulnerabilities": {"low": 1, "critical": 1}}}`),
	}, {
		Name: "a second answer behind the first", Request: answered(npmNothing + npmAnswer), Want: gates.Inconclusive, Check: gatetest.Says("more than one answer"),
	}, {
		Name: "an object of something else", Request: answered(`{}`), Want: gates.Inconclusive, Check: gatetest.Says("none of the known formats"),
	}, {
		Name: "OSV folder: vulnerable", Config: useOSV, Request: offline(minimist, unrelated), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("1 vulnerability at high or above, by 2 advisories in OSV's format, the newest 24 h old, for 3 packages"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "GHSA-xvch-5gv4-984h", File: "package-lock.json", Line: 8, Detail: "node_modules/minimist",
			Message: "minimist 1.2.5 (critical): about minimist; affected: >=1.0.0 <1.2.6; mended in 1.2.6",
		})),
	}, {
		Name: "OSV folder: not affected", Config: useOSV, Request: offline(unrelated, osv("GHSA-dddd-eeee-ffff", "minimist", "HIGH", recent, `{"introduced": "0"}, {"fixed": "1.2.3"}`)), Want: gates.Pass,
	}, {
		Name: "OSV: a prerelease of the fixed version is affected", Config: useOSV, Request: offline(osv("GHSA-dddd-eeee-ffff", "real", "HIGH", recent, `{"introduced": "0"}, {"fixed": "2.0.0"}`)), Want: gates.Fail,
		Check: gatetest.Says("1 vulnerability"),
	}, {
		Name: "OSV: without a severity", Config: `{"database": "osv", "level": "critical"}`, Request: offline(osv("MAL-2026-1", "mkdirp", "", recent, `{"introduced": "0"}`)), Want: gates.Fail, Check: gatetest.Says("1 of unknown severity"),
	}, {
		Name: "OSV: below the level", Config: useOSV, Request: offline(osv("GHSA-dddd-eeee-ffff", "mkdirp", "MODERATE", recent, `{"introduced": "0"}`)), Want: gates.Pass, Check: gatetest.Says("1 moderate"),
	}, {
		Name: "OSV: withdrawn", Config: useOSV, Request: offline(strings.Replace(minimist, `"id"`, `"withdrawn": "2026-01-01T00:00:00Z", "id"`, 1)), Want: gates.Pass,
	}, {
		Name: "OSV: allowed by an alias", Config: fmt.Sprintf(`{"database": "osv", "allow": [{"id": "CVE-2021-44906", "reason": "x", "expires": %q}]}`, tomorrow), Request: offline(minimist), Want: gates.Pass,
	}, {
		Name: "OSV: old", Config: useOSV, Request: offline(osv("GHSA-dddd-eeee-ffff", "elsewhere", "HIGH", now.AddDate(0, 0, -31), `{"introduced": "0"}`)), Want: gates.Inconclusive, Check: gatetest.Says("31 d old, at most 30 d are believed"),
	}, {
		Name: "OSV: old, and may be", Config: `{"database": "osv", "maxAge": "40d"}`, Request: offline(osv("GHSA-dddd-eeee-ffff", "elsewhere", "HIGH", now.AddDate(0, 0, -31), `{"introduced": "0"}`)), Want: gates.Pass,
	}, {
		Name: "OSV: old, and knows enough", Config: useOSV, Request: offline(osv("GHSA-dddd-eeee-ffff", "minimist", "HIGH", now.AddDate(0, 0, -300), `{"introduced": "0"}`)), Want: gates.Fail,
	}, {
		Name: "OSV: an advisory from the future makes it no younger", Config: useOSV, Want: gates.Inconclusive, Check: gatetest.Says("31 d old"),
		Request: offline(osv("GHSA-dddd-eeee-ffff", "elsewhere", "HIGH", now.AddDate(0, 0, -31), `{"introduced": "0"}`), osv("GHSA-gggg-hhhh-jjjj", "elsewhere", "HIGH", now.AddDate(90, 0, 0), `{"introduced": "0"}`)),
	}, {
		Name: "OSV: of another ecosystem", Config: useOSV, Request: offline(strings.Replace(minimist, `"npm"`, `"PyPI"`, 1)), Want: gates.Inconclusive, Check: gatetest.Says("no advisory for npm"),
	}, {
		Name: "OSV: empty", Config: useOSV, Request: offline(), Want: gates.Inconclusive, Check: gatetest.Says("no advisory for npm"),
	}, {
		Name: "OSV: spoilt", Config: useOSV, Request: offline(minimist[:100]), Want: gates.Inconclusive, Check: gatetest.Says("cannot be used"),
	}, {
		Name: "OSV: a range that is none", Config: useOSV, Request: offline(osv("GHSA-dddd-eeee-ffff", "mkdirp", "HIGH", recent, `{"introduced": "one"}`)), Want: gates.Inconclusive, Check: gatetest.Says("cannot be compared", "mkdirp"),
	}, {
		Name: "OSV: not there", Config: `{"database": "nowhere.zip"}`, Request: offline(), Want: gates.Inconclusive, Check: gatetest.Says("there is no nowhere.zip in the source"),
	}, {
		Name: "OSV: outside", Config: `{"database": "../osv"}`, Request: offline(minimist), Want: gates.Inconclusive, Check: gatetest.Says("not within the app's folder"),
	}, {
		Name: "OSV: no lock file", Config: useOSV, Request: gates.Request{SourceDir: lockedApp(t, "", minimist)}, Want: gates.Inconclusive, Check: gatetest.Says("there is no package-lock.json"),
	}, {
		Name: "OSV: an old lock file", Config: useOSV, Request: gates.Request{SourceDir: lockedApp(t, `{"lockfileVersion": 1, "dependencies": {}}`, minimist)}, Want: gates.Inconclusive, Check: gatetest.Says("has the version 1"),
	}, {
		Name: "OSV: the commits of a repository alone", Config: useOSV, Want: gates.Inconclusive, Check: gatetest.Says("cannot be compared", "mkdirp"),
		Request: offline(strings.Replace(osv("GHSA-dddd-eeee-ffff", "mkdirp", "HIGH", recent, `{"introduced": "0"}`), "SEMVER", "GIT", 1)),
	}, {
		Name: "OSV: another package manager's lock file beside it", Config: useOSV, Want: gates.Inconclusive, Check: gatetest.Says("pnpm-lock.yaml", "package-lock.json"),
		Request: gates.Request{SourceDir: beside},
	}, {
		Name: "OSV: two reports", Want: gates.Inconclusive, Check: gatetest.Says("2 databases of advisories"),
		Request: gates.Request{SourceDir: folder, Reports: []gates.Report{
			{Kind: gates.ReportOSV, Stage: "a", Path: zipped(t, unrelated)}, {Kind: gates.ReportOSV, Stage: "b", Path: zipped(t, minimist)},
		}},
	}, {
		Name: "the registry's word comes first", Config: useOSV, Want: gates.Pass,
		Request: gates.Request{SourceDir: lockedApp(t, lockText, minimist), Stages: answered(npmNothing).Stages, Reports: answered(npmNothing).Reports},
	}, {
		Name: "OSV zip as a report", Want: gates.Fail, Check: gatetest.Says("by 2 advisories"),
		Request: gates.Request{SourceDir: folder, Reports: []gates.Report{{Kind: gates.ReportOSV, Stage: "advisories", Path: zipped(t, minimist, unrelated)}}},
	}, {
		Name: "OSV report that is no zip", Want: gates.Inconclusive, Check: gatetest.Says("neither a folder nor a zip"),
		Request: gates.Request{SourceDir: folder, Reports: []gates.Report{{Kind: gates.ReportOSV, Stage: "advisories", Path: gatetest.Written(t, "PK?")}}},
	}}
	gatetest.Try(t, auditGate{}, cases)
}

// TestOSVOrder holds the evaluation against the examples of OSV's own text and against npm's prereleases.
func TestOSVOrder(t *testing.T) {
	t.Parallel()
	affected := osvRange{Type: "SEMVER", Events: []osvEvent{
		{Fixed: "3.0.2"}, {Introduced: "3.0.0-0"}, {Fixed: "1.5.0"}, {Introduced: "1.0.0"}, {Introduced: "5.0.0"}, {LastAffected: "5.1.0"}, // in no order
	}}
	for version, want := range map[string]bool{
		"0.9.9": false, "1.0.0-rc.1": false, "1.0.0": true, "1.4.9": true, "1.5.0-rc.1": true, "1.5.0": false, "2.0.0": false,
		"3.0.0-alpha": true, "3.0.1": true, "3.0.2": false, "5.0.0": true, "5.1.0": true, "5.1.1": false, "5.1.1-beta": false,
	} {
		parsed, err := semver.NPM.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := affected.covers(parsed); got != want || err != nil {
			t.Errorf("%s is affected: %v, want %v (%v)", version, got, want, err)
		}
	}
	listed := osvAffected{Versions: []string{"1.2.3"}}
	if hit, err := listed.covers("1.2.3"); !hit || err != nil {
		t.Errorf("a listed version is affected: %v, %v", hit, err)
	}
}

func FuzzParseAudit(f *testing.F) {
	for _, text := range []string{npmAnswer, npmNothing, pnpmAnswer, yarnAnswer, npmRefused} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(_ *testing.T, content []byte) {
		if found, err := parseAudit(content); err == nil {
			auditConfig{Level: "high"}.judge(&audit{vulnerabilities: found}, time.Now())
		}
	})
}
