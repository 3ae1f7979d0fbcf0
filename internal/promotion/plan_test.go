package promotion_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// told is a target that says what it was told to say.
type told struct {
	promotion.Target
	live promotion.State
	diff promotion.Diff
}

func (t told) Inspect(context.Context) (promotion.State, error) { return t.live, nil }

func (t told) Diff(context.Context, promotion.State, *bundle.Bundle) (promotion.Diff, error) {
	return t.diff, nil
}

// inputs are all that a plan is made from, in exported fields so that a test can walk through them.
type inputs struct {
	Basis promotion.Basis
	Live  promotion.State
	Diff  promotion.Diff
}

func sample() inputs {
	return inputs{
		Basis: promotion.Basis{
			App: "app", Bundle: &bundle.Bundle{Digest: "sha256:b"}, Seed: &promotion.Seed{File: "first.sql"},
			Environment: pipelines.Environment{
				Name: "production", Target: "cloudflare", WranglerEnv: "production", Secrets: []string{"A", "B"}, Vars: map[string]string{"X": "1", "Y": "2"},
				Provision: true, Seed: "seed.sql", Steps: []float64{10, 100}, Bake: time.Minute, Approvers: []string{"ada", "bob"},
				Smoke: pipelines.Smoke{Probes: []pipelines.Probe{{Path: "/health", Status: 200}}, Version: pipelines.ProofRequired},
			},
			Gates: []promotion.GateFact{
				{Gate: "q/a", Phase: gates.PhaseBuild, Enforcement: pipelines.Mandatory, Config: map[string]any{"min": 80, "deep": map[string]any{"z": 1, "a": []any{"x"}}}, Outcome: gates.Pass, SetDigest: "sha256:1"},
				{Gate: "q/b", Phase: gates.PhaseBake, Enforcement: pipelines.Advisory, SetDigest: "sha256:1"},
			},
		},
		Live: promotion.State{Shares: []promotion.Share{{Version: "old", Percentage: 60}, {Version: "older", Percentage: 40}}},
		Diff: promotion.Diff{
			Changes: []event.Change{{Action: "update", Kind: "var", Name: "X", From: "0", To: "1"}, {Action: "create", Kind: "route", Name: "r"},
				{Action: "create", Kind: "secret", Name: "A"}, {Action: "remove", Kind: "binding", Name: "KV"}},
			Missing:        []event.Change{{Action: "create", Kind: "kv", Name: "CACHE"}},
			Migrations:     []promotion.Migration{{Database: "db", Name: "1.sql", Digest: "sha256:m1"}, {Database: "db", Name: "2.sql", Digest: "sha256:m2"}},
			MissingSecrets: []string{"A"},
		},
	}
}

func digest(t *testing.T, in inputs) string {
	t.Helper()
	plan, err := promotion.MakePlan(t.Context(), told{live: in.Live, diff: in.Diff}, in.Basis)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Digest
}

func TestThePlansDigestDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	want := digest(t, sample())
	for seed := range uint64(50) {
		in := sample()
		random := rand.New(rand.NewPCG(seed, 1))
		shuffle(random, in.Basis.Gates)
		shuffle(random, in.Basis.Environment.Secrets)
		shuffle(random, in.Basis.Environment.Approvers)
		shuffle(random, in.Live.Shares)
		shuffle(random, in.Diff.Changes)
		if got := digest(t, in); got != want {
			t.Fatalf("seed %d: another digest for another order", seed)
		}
	}
	in := sample()
	slices.Reverse(in.Diff.Migrations)
	if digest(t, in) == want {
		t.Error("migrations in another order are another plan")
	}
}

func shuffle[T any](random *rand.Rand, all []T) {
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

// TestAnyChangeGivesAnotherDigest changes each value that a plan rests on, one at a time, found by reflection: a field that
// is added later and forgotten in the digest makes it fail.
func TestAnyChangeGivesAnotherDigest(t *testing.T) {
	t.Parallel()
	seen := map[string]string{digest(t, sample()): "unchanged"}
	changed := 0
	for n := 0; ; n++ {
		in := sample()
		left := n
		where := change(reflect.ValueOf(&in).Elem(), "", &left)
		if where == "" {
			break
		}
		changed++
		got := digest(t, in)
		if before, known := seen[got]; known {
			t.Errorf("changing %s gives the digest of %s", where, before)
		}
		seen[got] = where
	}
	if changed < 45 {
		t.Errorf("only %d values were changed", changed)
	}
}

// notDigested are the fields that a plan does not rest on: they follow from others, or are known only to the bundle that its
// digest names.
var notDigested = map[string]bool{
	".Basis.Bundle.Metadata": true, ".Basis.Bundle.Modules": true, ".Basis.Bundle.Assets": true,
	".Diff.Seed":   true, // its file is asked for in the basis, and its digest is among the changes
	".Live.Worker": true, ".Live.Exists": true, ".Live.Versions": true, ".Live.Migrations": true, ".Live.URL": true,
}

// change changes the nth value below v and returns its path, or "" when there are fewer.
func change(v reflect.Value, path string, n *int) string {
	if notDigested[path] {
		return ""
	}
	switch v.Kind() {
	case reflect.Pointer:
		return change(v.Elem(), path, n)
	case reflect.Struct:
		for i := range v.NumField() {
			if where := change(v.Field(i), path+"."+v.Type().Field(i).Name, n); where != "" {
				return where
			}
		}
		return ""
	case reflect.Slice:
		for i := range v.Len() {
			if where := change(v.Index(i), fmt.Sprintf("%s[%d]", path, i), n); where != "" {
				return where
			}
		}
		return take(n, path+"[+]", func() {
			one := reflect.New(v.Type().Elem()).Elem()
			for leaf := 0; ; leaf++ { // no field of it is the zero value
				left := leaf
				if change(one, "", &left) == "" {
					break
				}
			}
			v.Set(reflect.Append(v, one))
		})
	case reflect.Map:
		keys := slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			if where := take(n, path+"["+key.String()+"]", func() { v.SetMapIndex(key, reflect.Value{}) }); where != "" {
				return where
			}
		}
		return ""
	case reflect.String:
		return take(n, path, func() { v.SetString(v.String() + "x") })
	case reflect.Bool:
		return take(n, path, func() { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int64:
		return take(n, path, func() { v.SetInt(v.Int() + 1) })
	case reflect.Float64:
		return take(n, path, func() { v.SetFloat(v.Float() + 0.5) })
	case reflect.Uint8:
		return ""
	default:
		panic("no change for " + path + " of kind " + v.Kind().String())
	}
}

func take(n *int, path string, do func()) string {
	if *n > 0 {
		*n--
		return ""
	}
	do()
	return path
}

func TestAPlanNeedsABundleWithADigest(t *testing.T) {
	t.Parallel()
	in := sample()
	in.Basis.Bundle = &bundle.Bundle{}
	if _, err := promotion.MakePlan(t.Context(), told{}, in.Basis); err == nil {
		t.Error("a bundle without a digest went through")
	}
}

// TestEveryDifferenceIsNamed: whatever gives another digest is said in words that name it.
func TestEveryDifferenceIsNamed(t *testing.T) {
	t.Parallel()
	basis := func() promotion.Basis {
		return promotion.Basis{
			App: "shop", Bundle: &bundle.Bundle{Digest: "sha256:b1"},
			Environment: pipelines.Environment{Name: "production", Steps: []float64{100}, Approvers: []string{"bea"}, Vars: map[string]string{"A": "1"}},
			Gates: []promotion.GateFact{
				{Gate: "q/a", Phase: gates.PhaseBuild, Enforcement: pipelines.Overridable, Outcome: gates.Pass, SetDigest: "sha256:1"},
				{Gate: "q/a", Phase: gates.PhaseBuild, Enforcement: pipelines.Overridable, Outcome: gates.Pass, SetDigest: "sha256:1", Config: map[string]any{"x": 1}},
			},
		}
	}
	planOf := func(basis promotion.Basis, live promotion.State, diff promotion.Diff) promotion.Plan {
		return promotion.Plan{Basis: basis, Live: live, Diff: diff}
	}
	live := promotion.State{Shares: []promotion.Share{{Version: "v1", Percentage: 100}}}
	diff := func() promotion.Diff {
		return promotion.Diff{
			Changes:    []event.Change{{Action: "update", Kind: "version", Name: "shop", To: "(secret), known by 1"}},
			Migrations: []promotion.Migration{{Database: "d", Name: "0001.sql", Digest: "sha256:m"}},
		}
	}
	before, err := planOf(basis(), live, diff()).Covers()
	if err != nil {
		t.Fatal(err)
	}
	if said, err := promotion.Differences(before, planOf(basis(), live, diff())); err != nil || len(said) != 0 {
		t.Errorf("the same plan differs: %v %v", said, err)
	}
	for want, change := range map[string]func(*promotion.Basis, *promotion.State, *promotion.Diff){
		"the bundle is sha256:b2, it was sha256:b1": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) {
			b.Bundle = &bundle.Bundle{Digest: "sha256:b2"}
		},
		"v2 at 100 % is live, it was v1 at 100 %": func(_ *promotion.Basis, l *promotion.State, _ *promotion.Diff) {
			l.Shares = []promotion.Share{{Version: "v2", Percentage: 100}}
		},
		`the environment's vars is {"A":"2"}, it was {"A":"1"}`: func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) {
			b.Environment.Vars = map[string]string{"A": "2"}
		},
		"the environment's selfApproval is true, it was not set": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) { b.Environment.SelfApproval = true },
		"pending migrations are [], they were [0001.sql]":        func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) { d.Migrations = nil },
		"edited: 0001.sql": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) { d.Migrations[0].Digest = "sha256:n" },
		"new: create route a.example/*": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) {
			d.Changes = append(d.Changes, event.Change{Action: "create", Kind: "route", Name: "a.example/*"})
		},
		"update version shop is to (secret), known by 2, it was to (secret), known by 1": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) {
			d.Changes[0].To = "(secret), known by 2"
		},
		"update version shop is from v0, it was from not set": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) {
			d.Changes[0].From = "v0"
		},
		"no more: update version shop": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) { d.Changes = nil },
		"missing: new: create queue q": func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) {
			d.Missing = []event.Change{{Action: "create", Kind: "queue", Name: "q"}}
		},
		"missing secrets are [KEY], they were []":           func(_ *promotion.Basis, _ *promotion.State, d *promotion.Diff) { d.MissingSecrets = []string{"KEY"} },
		"the answer of build gate q/a is fail, it was pass": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) { b.Gates[0].Outcome = gates.Fail },
		"is sha256:2, it was sha256:1":                      func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) { b.Gates[0].SetDigest = "sha256:2" },
		"the enforcement of build gate q/a is mandatory, it was overrid": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) {
			b.Gates[0].Enforcement = pipelines.Mandatory
		},
		"the waiver of build gate q/a is w1, it was not set": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) { b.Gates[0].Waiver = "w1" },
		"gate q/a (2) is gone":                               func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) { b.Gates = b.Gates[:1] },
		"promote gate q/b is new": func(b *promotion.Basis, _ *promotion.State, _ *promotion.Diff) {
			b.Gates = append(b.Gates, promotion.GateFact{Gate: "q/b", Phase: gates.PhasePromote})
		},
	} {
		b, l, d := basis(), promotion.State{Shares: slices.Clone(live.Shares)}, diff()
		change(&b, &l, &d)
		said, err := promotion.Differences(before, planOf(b, l, d))
		if err != nil || !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("%v, %q; want %q", err, said, want)
		}
		now, err := planOf(b, l, d).Covers()
		if err != nil || promotion.DigestOf(now) == promotion.DigestOf(before) {
			t.Errorf("%s: the digest is the same (%v)", want, err)
		}
	}
	if _, err := promotion.Differences([]byte("{"), planOf(basis(), live, diff())); err == nil {
		t.Error("a plan that cannot be read does not differ")
	}
}
