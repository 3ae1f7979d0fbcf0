package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// measured is a report of one machine in Penstock's own form.
type measured map[string]any

func on(machine string, benchmarks ...measured) string {
	text, err := json.Marshal(map[string]any{"machine": machine, "benchmarks": benchmarks})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func bench(name, unit, better string, samples ...float64) measured {
	return measured{"name": name, "unit": unit, "better": better, "samples": samples}
}

// around are n samples that scatter by a few percent, the same ones each time.
func around(seed uint64, middle float64, n int) []float64 {
	source := rand.New(rand.NewPCG(seed, 1))
	samples := make([]float64, n)
	for i := range samples {
		samples[i] = middle * (1 + 0.03*source.NormFloat64())
	}
	return samples
}

func TestBenchmark(t *testing.T) {
	// about is a question about a report, with baselines by file name.
	about := func(report string, baselines ...string) gates.Request {
		source := t.TempDir()
		for i, baseline := range baselines {
			path := filepath.Join(source, ".penstock", "baseline", string(rune('a'+i))+".json")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(baseline), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return gates.Request{
			SourceDir: source,
			Stages:    []gates.Stage{gatetest.Stage("bench", "passed", 0)},
			Reports:   []gates.Report{{Kind: gates.ReportBenchmark, Stage: "bench", Path: gatetest.Written(t, report), Root: "/app"}},
		}
	}
	ms := func(seed uint64, middle float64, n int) measured {
		return bench("home", "ms", "lower", around(seed, middle, n)...)
	}
	rate := func(seed uint64, middle float64) measured {
		return bench("rate", "1/s", "higher", around(seed, middle, 20)...)
	}
	base := on("m", ms(1, 10, 20))
	failedStage := about(base, base)
	failedStage.Stages = []gates.Stage{gatetest.Stage("bench", "failed", 1)}

	elsewhere := about(base)
	elsewhere.Stages = append(elsewhere.Stages, gatetest.Stage("load", "failed", 1))
	elsewhere.Reports[0].Stage = "load"

	var wild []float64 // twice as slow half of the time
	for i := range 8 {
		wild = append(wild, 5+float64(i%2)*7+float64(i)/100)
	}
	hyperfine := `{"results": [{"command": "home", "times": [1, 1.1, 1, 1.2, 1, 1.1, 1, 1]}]}`
	vitest := `{"files": [{"groups": [{"fullName": "a.bench.ts > home", "benchmarks": [{"name": "sort", "samples": [1, 1, 1, 2, 1, 1, 1, 1]}]}]}]}`

	gatetest.Try(t, benchmarkGate{}, []gatetest.Case{{
		Name: "as fast as it was", Request: about(on("m", ms(2, 10, 20)), base), Want: gates.Pass,
		Check: gatetest.All(gatetest.Says("1 benchmark is not worse than the baseline by more than 10 %"), func(t *testing.T, verdict gates.Verdict) {
			if one := gatetest.Measured(t, verdict, "home"); one.Baseline == nil || one.Unit != "ms" || one.Better != "lower" {
				t.Errorf("measured: %+v", one)
			}
		}),
	}, {
		Name: "surely slower", Request: about(on("m", ms(2, 14, 20)), base), Want: gates.Fail,
		Check: gatetest.Says("home: ", "40 % worse", "p < 0.001", "worse in 100 % of pairs, 20 against 20 samples"),
	}, {
		Name: "surely slower by less than is cared about", Request: about(on("m", ms(2, 10.6, 200)), on("m", ms(1, 10, 200))), Want: gates.Pass,
	}, {
		Name: "one wild run is not a slower app", Want: gates.Pass,
		Request: about(on("m", bench("home", "ms", "lower", append(around(2, 10, 19), 1000)...)), base),
	}, {
		Name: "perhaps slower is not known", Want: gates.Inconclusive,
		Request: about(on("m", bench("home", "ms", "lower", wild...)), on("m", bench("home", "ms", "lower", 5, 5.1, 12, 5.2, 5.3, 12.1, 5.4, 5.5))),
		Check:   gatetest.Says("home: ", "worse (p 0."),
	}, {
		Name: "faster", Request: about(on("m", ms(2, 6, 20)), base), Want: gates.Pass, Check: func(t *testing.T, verdict gates.Verdict) {
			if len(verdict.Findings) != 1 || verdict.Findings[0].Rule != "better than the baseline" {
				t.Errorf("findings: %+v", verdict.Findings)
			}
		},
	}, {
		Name: "a rate that falls", Request: about(on("m", rate(2, 700)), on("m", rate(1, 1000))), Want: gates.Fail, Check: gatetest.Says("30 % worse", "worse in 100 %"),
	}, {
		Name: "a rate that rises", Request: about(on("m", rate(2, 1400)), on("m", rate(1, 1000))), Want: gates.Pass,
	}, {
		Name: "several recordings of a machine are one baseline", Request: about(on("m", ms(2, 10, 20)), on("m", ms(3, 9, 20)), base, on("other", ms(4, 1, 20))), Want: gates.Pass,
		Check: func(t *testing.T, verdict gates.Verdict) {
			if one := gatetest.Measured(t, verdict, "home"); *one.Baseline < 8.5 || *one.Baseline > 10 {
				t.Errorf("the baseline is %v", *one.Baseline)
			}
		},
	}, {
		Name: "no baseline is no pass", Request: about(base), Want: gates.Inconclusive, Check: gatetest.Says("no baseline to compare with in .penstock/baseline"),
	}, {
		Name: "another machine's baseline", Request: about(base, on("other", ms(1, 10, 20))), Want: gates.Inconclusive, Check: gatetest.Says(`"m"`, `only on "other"`),
	}, {
		Name: "another machine's baseline, if that is wanted", Config: `{"anyMachine": true}`, Request: about(base, on("other", ms(2, 10, 20))), Want: gates.Pass,
	}, {
		Name: "a machine without a name", Request: about(on("", ms(1, 10, 20)), base), Want: gates.Inconclusive, Check: gatetest.Says("does not say which machine"),
	}, {
		Name: "hyperfine: commands that failed", Config: `{"compare": false, "limit": 20}`, Want: gates.Fail, Check: gatetest.Says("8 errors while measuring"),
		Request: about(`{"results": [{"command": "home", "times": [1, 1.1, 1, 1.2, 1, 1.1, 1, 1], "exit_codes": [7, 7, 7, 7, 7, 7, 7, 7]}]}`),
	}, {
		Name: "a rate under a tolerance that allows it to be nothing", Config: `{"tolerance": 100}`, Request: about(on("m", rate(2, 1)), on("m", rate(1, 1000))), Want: gates.Inconclusive,
		Check: gatetest.Says("100 %"),
	}, {
		Name: "measured by another stage, which failed", Config: `{"compare": false, "limit": 20}`, Request: elsewhere, Want: gates.Fail, Check: gatetest.Says("stage load exited 1"),
	}, {
		Name: "a new benchmark", Request: about(on("m", ms(2, 10, 20), rate(1, 5)), base), Want: gates.Warn,
	}, {
		Name: "only new benchmarks", Request: about(on("m", rate(1, 5)), base), Want: gates.Inconclusive,
	}, {
		Name: "a benchmark that is gone", Request: about(on("m", ms(2, 10, 20)), on("m", ms(1, 10, 20), rate(1, 5))), Want: gates.Inconclusive, Check: gatetest.Says(`"rate"`, "was not measured"),
	}, {
		Name: "another unit", Request: about(on("m", bench("home", "s", "lower", around(1, 1, 20)...)), base), Want: gates.Inconclusive,
	}, {
		Name: "too few samples", Request: about(on("m", ms(1, 10, 7)), base), Want: gates.Inconclusive, Check: gatetest.Says("7 samples, and fewer than 8"),
	}, {
		Name: "too few samples in the baseline", Request: about(base, on("m", ms(1, 10, 7))), Want: gates.Inconclusive, Check: gatetest.Says("the baseline of"),
	}, {
		Name: "a broken baseline", Request: about(base, "{"), Want: gates.Inconclusive, Check: gatetest.Says(".penstock/baseline/a.json cannot be read"),
	}, {
		Name: "a baseline of zero", Request: about(base, on("m", bench("home", "ms", "lower", make([]float64, 20)...))), Want: gates.Inconclusive,
	}, {
		Name: "above the limit", Config: `{"limit": 9}`, Request: about(base), Want: gates.Fail, Check: gatetest.Says("limit 9 ms"),
	}, {
		Name: "within the limits", Config: `{"compare": false, "limit": 50, "limits": {"rate": 900}}`, Request: about(on("m", ms(1, 10, 20), rate(1, 1000))), Want: gates.Pass,
		Check: gatetest.Says("2 benchmarks within their limits"),
	}, {
		Name: "a rate below its limit", Config: `{"compare": false, "limits": {"rate": 1100}}`, Request: about(on("m", rate(1, 1000))), Want: gates.Fail,
	}, {
		Name: "a limit of what was not measured", Config: `{"limits": {"away": 5}}`, Request: about(base, base), Want: gates.Inconclusive,
	}, {
		Name: "nothing to hold against it", Config: `{"compare": false}`, Request: about(base), Want: gates.Inconclusive,
	}, {
		Name: "errors while measuring", Want: gates.Fail, Check: gatetest.Says("3 errors"),
		Request: about(on("m", measured{"name": "home", "unit": "ms", "better": "lower", "samples": around(1, 1, 20), "errors": 3}), base),
	}, {
		Name: "the stage failed", Request: failedStage, Want: gates.Fail,
	}, {
		Name: "the stage was skipped", Want: gates.Inconclusive,
		Request: gates.Request{Stages: []gates.Stage{gatetest.Stage("bench", "skipped", -1)}},
	}, {
		Name: "no report", Request: gates.Request{Stages: []gates.Stage{gatetest.Stage("bench", "passed", 0)}}, Want: gates.Inconclusive,
	}, {
		Name: "no JSON", Request: about("fast"), Want: gates.Inconclusive,
	}, {
		Name: "JSON of something else", Request: about(`{"scenarios": []}`), Want: gates.Inconclusive, Check: gatetest.Says("names no benchmark"),
	}, {
		Name: "a benchmark of the same name", Request: about(on("m", ms(1, 1, 20), ms(1, 1, 20))), Want: gates.Inconclusive, Check: gatetest.Says("twice"),
	}, {
		Name: "hyperfine", Config: `{"compare": false, "limit": 2}`, Request: about(hyperfine), Want: gates.Pass,
	}, {
		Name: "vitest", Config: `{"compare": false, "limits": {"a.bench.ts > home > sort": 2}}`, Request: about(vitest), Want: gates.Pass,
	}})
}

// TestFalseAlarms compares an app with itself many times: no more alarms than alpha allows, over all benchmarks of a run.
func TestFalseAlarms(t *testing.T) {
	const runs, perRun, alpha = 400, 10, 0.05
	alarms := 0
	for run := range runs {
		var all []comparison
		for i := range perRun {
			seed := uint64(run*perRun+i) * 2
			one, err := compare("same", &series{unit: "ms", samples: around(seed, 10, 12)}, &series{unit: "ms", samples: around(seed+1, 10, 12)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		decide(all, alpha)
		for _, one := range all {
			if one.significant {
				alarms++
				break
			}
		}
	}
	if share := float64(alarms) / runs; share > alpha*1.5 {
		t.Errorf("%d of %d runs were called slower than themselves: %.3f, more than %.2f", alarms, runs, share, alpha)
	}
	if alarms == 0 {
		t.Error("no false alarm at all in 400 runs at 5 %: the test cannot find anything")
	}
}
