package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
)

// defect is one thing that is wrong with an app, and the one gate that has to say so.
type defect struct {
	name string
	gate string
	args []string // of penstock; deploy --env local when there are none
	// stages are run besides those that make the bundle; each costs seconds.
	stages []string
	config string // of the gate, as YAML in one line
	edits  []edit
	code   int
	says   []string // what its verdict says to people: summary, findings or next step
}

// edit changes a text of a file; a file without an old text is written anew.
type edit struct{ file, old, replacement string }

var build = []string{"check"}

// harmless makes another version, so that there is something to promote.
var harmless = edit{"src/handlers/health.ts", "5_000", "5_001"}

// healthDelay makes the health page slow.
func healthDelay(milliseconds int) []edit {
	return []edit{{"src/handlers/health.ts", "  const checks = await", fmt.Sprintf("  await scheduler.wait(%d);\n  const checks = await", milliseconds)}}
}

// defects are put into the app one at a time. What TestStory breaks is not broken again.
func defects() []defect {
	credential := "AK" + "IA" + "Q3EGRIV4VQHKJSKQ" // in two parts, so that this file holds none
	advisory, err := json.Marshal(map[string]any{
		"id": "GHSA-xxxx-yyyy-zzzz", "modified": time.Now().UTC().Format(time.RFC3339), "summary": "Everybody may do everything", "database_specific": map[string]any{"severity": "CRITICAL"},
		"affected": []any{map[string]any{
			"package": map[string]any{"ecosystem": "npm", "name": "zod"},
			"ranges":  []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
		}},
	})
	if err != nil {
		panic(err)
	}
	return []defect{{
		name: "new code that no test reaches", gate: "quality/coverage", args: build, stages: []string{"test"}, config: "{ limit: 80, changedLines: 80 }", code: 4,
		edits: []edit{{"src/handlers/health.ts", "export async", untested(2) + "export async"}},
		says:  []string{"changed line", "since what is live in local (", "src/handlers/health.ts", "not reached by any test"},
	}, {
		name: "a slow page, measured", gate: "quality/benchmark", args: build, stages: []string{"bench"}, config: "{ compare: false, limits: { health: 150 } }", code: 4,
		edits: healthDelay(200), says: []string{"health: ", "limit 150 ms"},
	}, {
		name: "a page that shows itself late", gate: "quality/web-vitals", args: build, code: 4,
		edits: []edit{{"lighthouse.json", "", lighthouse(9000)}}, says: []string{"largest contentful paint", "9000 ms, budget 2500 ms"},
	}, {
		name: "a package with a known vulnerability", gate: "security/audit", args: build, code: 4,
		edits: []edit{{"advisories/zod.json", "", string(advisory)}}, says: []string{"zod", "GHSA-xxxx-yyyy-zzzz", "package-lock.json"},
	}, {
		name: "a credential in the source", gate: "security/secrets", args: build, code: 4,
		edits: []edit{{"src/log.ts", "export", "export const key = '" + credential + "';\nexport"}}, says: []string{"src/log.ts"},
	}, {
		name: "SQL by concatenation", gate: "security/sql", args: build, code: 4,
		edits: []edit{
			{"src/data/courses.ts", "findCourses(db: D1Database)", "findCourses(db: D1Database, order: string)"},
			{"src/data/courses.ts", "db.prepare(LIST_COURSES)", "db.prepare(`${LIST_COURSES} OFFSET ${order}`)"},
			{"src/handlers/courses.ts", "findCourses(", "findCourses.call(undefined, "},
		},
		says: []string{"src/data/courses.ts"},
	}, {
		name: "input without a schema", gate: "security/input", args: build, code: 4,
		edits: []edit{{"src/handlers/progress.ts", "await parseBody(context.request, newProgressSchema)", "(await context.request.json()) as ProgressRecord"}},
		says:  []string{"src/handlers/progress.ts", "schema"},
	}, {
		name: "a migration that deletes rows", gate: "data/migrations", code: 4,
		edits: []edit{{"migrations/0004_tidy.sql", "", "DELETE FROM events WHERE learner = 'nobody';\n"}},
		says:  []string{"migrations/0004_tidy.sql", "rows of events are deleted", "penstock-allow destructive"},
	}, {
		name: "an applied migration was edited", gate: "data/migrations", code: 4,
		edits: []edit{{"migrations/0002_create_progress.sql", "percent BETWEEN 0 AND 100", "percent BETWEEN 0 AND 101"}, harmless},
		says:  []string{"0002_create_progress.sql was changed after it was applied", "write a new migration"},
	}, {
		name: "a migration that the data does not allow", gate: "data/rehearsal", code: 4,
		edits: []edit{{"migrations/0004_more.sql", "", "INSERT INTO courses (id, title) VALUES ('learning-basics', 'Again');\n"}},
		says:  []string{"0004_more.sql was refused", "UNIQUE constraint failed", "has not been touched"},
	}, {
		name: "a migration that the code cannot live with", gate: "data/rehearsal", stages: []string{"smoke"}, code: 4,
		edits: []edit{{"migrations/0004_slugs.sql", "", "UPDATE guides SET slug = 'en/' || slug WHERE slug NOT LIKE 'en/%';\n"}},
		says:  []string{"the live version does not pass the smoke tests after the migrations, and does before", "guides API: every listed guide can be read"},
	}, {
		name: "no copy outside the database", gate: "data/backup", config: "{ kind: export }", code: 6,
		edits: []edit{harmless}, says: []string{"no export that is still there", "penstock backup"},
	}, {
		name: "a dependency that nobody checks", gate: "health/endpoint", config: "{ path: /health, checks: [database, kv, r2, durable_objects, queue] }", code: 6,
		edits: []edit{{"src/handlers/health.ts", "    queue: () => env.ANALYTICS_QUEUE.metrics(),\n", ""}}, says: []string{"queue"},
	}, {
		name: "a version that nobody smoked", gate: "health/smoke", config: "{ stages: true }", code: 6,
		edits: []edit{harmless}, says: []string{"smoke stage"},
	}, {
		name: "a slow version", gate: "health/latency", config: "{ path: /health, n: 60, limit: 70 }", code: 6, edits: healthDelay(100), says: []string{"p95", "70 ms"},
	}, {
		name: "a missing header", gate: "security/headers", code: 6,
		edits: []edit{{"src/http/security-headers.ts", "  'X-Content-Type-Options': 'nosniff',\n", ""}}, says: []string{"X-Content-Type-Options"},
	}, {
		name: "open CORS", gate: "security/cors", code: 6,
		edits: []edit{{"src/http/cors.ts", "return allowedOrigins.find((allowed) => allowed === origin);", "return origin ?? allowedOrigins[0];"}}, says: []string{"it is let in, and nobody allowed it"},
	}, {
		name: "a stack trace in an error", gate: "security/errors", code: 6,
		edits: []edit{{"src/http/production-error-handler.ts", "{ error: error.message, ...issues", "{ error: error.message, stack: error.stack, ...issues"}}, says: []string{"stack"},
	}, {
		name: "a page that repeats markup", gate: "security/xss", code: 6,
		edits: []edit{
			{"src/handlers/home.ts", "type Html", "Html"},
			{"src/handlers/home.ts", "showHome({ env }", "showHome({ env, url }"},
			{"src/handlers/home.ts", "htmlResponse(homePage(guides))", "htmlResponse(new Html(homePage(guides).markup + decodeURIComponent(url.search)))"},
		},
		says: []string{"course"},
	}, {
		name: "no rate limit", gate: "security/ratelimit", code: 6,
		edits: []edit{{"wrangler.jsonc", `"RATE_LIMIT_PER_MINUTE": "200"`, `"RATE_LIMIT_PER_MINUTE": "0"`}}, says: []string{"/api/courses"},
	}}
}

// TestEveryGateSaysNo deploys the app as it is, which every gate lets through, and then puts in one defect after the other:
// exactly one gate has to say no, in words that name it.
func TestEveryGateSaysNo(t *testing.T) {
	m := newWarmMachine(t, "examples/atomic-guide")
	m.replace("lighthouse.json", lighthouse(900))
	m.replace("advisories/other.json", fmt.Sprintf(`{"id": "GHSA-other", "modified": %q, "affected": [{"package": {"ecosystem": "npm", "name": "not-here"}, "versions": ["1.0.0"]}]}`, time.Now().UTC().Format(time.RFC3339)))
	m.replace("penstock.yaml", lean(defect{}))
	m.git("add", "-A")
	m.git("-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "-m", "a pipeline for the gates")

	sound := m.must(0, "deploy", "--env", "local", "--json")
	asked := verdicts(t, sound)
	for gate, verdict := range asked {
		if !verdict.Outcome.Allows() {
			t.Errorf("nothing is wrong, and %s says %s: %s", gate, verdict.Outcome, verdict.Summary)
		}
		seen.saw(gate, verdict.Outcome)
	}
	for _, one := range defects() {
		if _, ok := asked[one.gate]; !ok && len(one.stages) == 0 && one.gate != "health/smoke" { // the lean pipeline has no smoke stage
			t.Errorf("%s was not asked about the sound app", one.gate)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	before := m.serving()

	for _, one := range defects() {
		t.Run(one.name, func(t *testing.T) {
			m := m.in(t)
			defer m.replace("penstock.yaml", lean(one))()
			for _, change := range one.edits {
				if change.old == "" {
					defer m.replace(change.file, change.replacement)()
				} else {
					defer m.edit(change.file, change.old, change.replacement)()
				}
			}
			args := one.args
			if args == nil {
				args = []string{"deploy", "--env", "local"}
			}
			o := m.must(one.code, append(args, "--json")...)
			t.Logf("took %s", o.took.Round(time.Millisecond))
			var said []string
			all := verdicts(t, o)
			for gate, verdict := range all {
				if !verdict.Outcome.Allows() {
					said = append(said, fmt.Sprintf("%s (%s): %s", gate, verdict.Outcome, verdict.Summary))
				}
			}
			if verdict := all[one.gate]; verdict.Outcome != gates.Fail || len(said) != 1 {
				slices.Sort(said)
				t.Fatalf("want a no of %s and of nobody else:\n%s", one.gate, strings.Join(said, "\n"))
			}
			seen.saw(one.gate, gates.Fail)
			told, err := json.Marshal(all[one.gate])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range one.says {
				if !strings.Contains(string(told), want) {
					t.Errorf("the verdict does not say %q:\n%s", want, told)
				}
			}
			if all[one.gate].NextStep == "" {
				t.Error("the verdict names no next step")
			}
			if now := m.serving(); now != before {
				t.Errorf("version %s serves, want %s", now, before)
			}
		})
	}
}

// verdicts are what the gates said at last, by name.
func verdicts(t *testing.T, o outcome) map[string]gates.Verdict {
	t.Helper()
	said := map[string]gates.Verdict{}
	for line := range strings.Lines(o.out) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Type == event.GateFinished {
			said[e.Gate.Name] = *e.Gate.Verdict
		}
	}
	return said
}

// lean is a pipeline that makes the bundle, measures a page by a report that is there, and asks every gate that no other stage
// is needed for: seconds instead of a minute. The gate of the defect blocks, and its stages run.
func lean(one defect) string {
	judged := map[string][]string{
		"test": {"quality/tests", "quality/coverage"}, "typecheck": {"quality/typecheck"}, "lint": {"quality/lint"}, "bench": {"quality/benchmark"},
		"audit": nil,              // the gate has a database
		"smoke": {"health/smoke"}, // the app's own smoke test would see some defects first
	}
	config := map[string]string{
		"security/audit":     "{ database: advisories }",
		"health/latency":     "{ path: /health, n: 60, limit: 5000 }", // also where others work beside it
		"security/headers":   "{ paths: [/, /health, /api/guides] }",
		"security/errors":    "{ paths: [/, /api/guides], posts: [/api/guides, /api/progress] }",
		"security/xss":       "{ paths: [/, /api/guides], params: [course, limit] }",
		"security/cors":      "{ origins: [https://guide.yourdomain.com], paths: [/, /api/guides] }",
		"security/ratelimit": "{ path: /api/courses, limit: 200 }",
	}
	if one.config != "" {
		config[one.gate] = one.config
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, "stages:")
	gone := []string{"health/alerts"} // it needs the traffic of minutes, and has a test of its own
	for stage, gates := range judged {
		if !slices.Contains(one.stages, stage) {
			fmt.Fprintf(&out, "  %s: { remove: true }\n", stage)
			gone = append(gone, gates...)
		}
	}
	fmt.Fprintln(&out, "  vitals:\n    needs: [build]\n    inputs: [lighthouse.json]\n    run: ['cp lighthouse.json \"$PENSTOCK_REPORTS/lighthouse.json\"']\n"+
		"    reports: [{ kind: lighthouse, path: $PENSTOCK_REPORTS/lighthouse.json }]")
	fmt.Fprintln(&out, "gates:\n  quality/web-vitals: { phase: build, enforcement: mandatory }")
	for _, gate := range gone {
		if gate == one.gate {
			continue
		}
		fmt.Fprintf(&out, "  %s: { remove: true }\n", gate)
	}
	if one.gate != "" && config[one.gate] == "" && one.gate != "quality/web-vitals" {
		fmt.Fprintf(&out, "  %s: { enforcement: mandatory }\n", one.gate)
	}
	for gate, text := range config {
		enforcement := ""
		if gate == one.gate {
			enforcement = ", enforcement: mandatory, enforcementIn: { local: mandatory }"
		}
		fmt.Fprintf(&out, "  %s: { config: %s%s }\n", gate, text, enforcement)
	}
	fmt.Fprintln(&out, "environments:\n  local: { secrets: [JWT_SECRET] }")
	return out.String()
}

// lighthouse is a report of one page, as far as the gate reads it.
func lighthouse(lcp int) string {
	return fmt.Sprintf(`{"lighthouseVersion": "12.8.2", "finalDisplayedUrl": "http://127.0.0.1/", "audits": {
		"largest-contentful-paint": {"numericValue": %d}, "cumulative-layout-shift": {"numericValue": 0.01}}}`, lcp)
}

// replace writes a file of the app and returns a function that puts back what was there.
func (m *machine) replace(name, text string) (putBack func()) {
	m.t.Helper()
	path := filepath.Join(m.app, name)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	was := err == nil
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		err := os.Remove(path)
		if was {
			err = os.WriteFile(path, before, 0o644)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}
