package pipelines

import (
	"reflect"
	"testing"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	p := Pipeline{Stages: []Stage{{
		Name: "a", Run: []string{"make"},
		Inputs: []string{"src/**", "!src/x", "../../shared/**"}, Outputs: []string{"dist", "../../out"},
		Reports: []Report{{Kind: "junit", Path: "junit.xml"}, {Kind: "lcov", Path: reportFolder + "/lcov.info"}},
	}, {Name: "b", Run: []string{"true"}}}}
	got := Within(p, "apps/api")
	want := Stage{
		Name: "a", Run: []string{`export PATH="$PWD/apps/api/node_modules/.bin:$PWD/node_modules/.bin:$PATH"; cd 'apps/api'`, "make"},
		Inputs: []string{"apps/api/src/**", "!apps/api/src/x", "shared/**"}, Outputs: []string{"apps/api/dist", "out"},
		Reports: []Report{{Kind: "junit", Path: "apps/api/junit.xml"}, {Kind: "lcov", Path: reportFolder + "/lcov.info"}},
	}
	if !reflect.DeepEqual(got.Stages[0], want) {
		t.Errorf("got  %+v\nwant %+v", got.Stages[0], want)
	}
	if inputs := got.Stages[1].Inputs; !reflect.DeepEqual(inputs, []string{"apps/api/**"}) {
		t.Errorf("a stage that takes all of the app's folder gets %q", inputs)
	}
	if p.Stages[0].Run[0] != "make" || p.Stages[0].Reports[0].Path != "junit.xml" {
		t.Error("the pipeline itself was changed")
	}
	if same := Within(p, ""); !reflect.DeepEqual(same, p) {
		t.Error("an app that is all of its source is moved")
	}
}

func TestPathsThatLeadOutOfTheApp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		place, path string
		ok          bool
	}{
		{"apps/api", "../../shared/**", true},
		{"apps/api", "../web", true},
		{"apps/api", "../../../etc", false},
		{"apps/api", "../..", false},
		{"apps/api", "a/../../../../b", false},
		{"", "../shared", false},
	} {
		p := Default(Pipeline{Name: "a", Place: test.place, Environments: []Environment{{Name: "local", Target: "local"}}, Stages: []Stage{{Name: "bundle", Run: []string{"true"}, Inputs: []string{test.path}, Outputs: []string{BundleFile}}}})
		if problems := Validate(p, nil); (problems.Err() == nil) != test.ok {
			t.Errorf("%s within %q: %v, want ok %v", test.path, test.place, problems, test.ok)
		}
	}
}
