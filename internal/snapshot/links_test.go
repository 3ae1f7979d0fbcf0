package snapshot_test

import (
	"io/fs"
	"testing"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

func TestLeadingOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		links map[string]string
		want  string
	}{
		"none":                      {map[string]string{}, ""},
		"within":                    {map[string]string{"public/a": "b", "public/c": "../src/c"}, ""},
		"absolute":                  {map[string]string{"public/a": "/home/ada/.ssh/id_ed25519"}, "public/a"},
		"upwards":                   {map[string]string{"public/css/a": "../../../secrets"}, "public/css/a"},
		"elsewhere":                 {map[string]string{"src/a": "/etc/passwd"}, ""},
		"by way of the source":      {map[string]string{"public/a": "../src", "src/deep/b": "/etc/passwd"}, "src/deep/b"},
		"the folder itself":         {map[string]string{"public": "dist", "dist/a": "/etc/passwd"}, "dist/a"},
		"a folder above it":         {map[string]string{"public/x": "../web/x", "web": "/srv"}, "web"},
		"in a circle":               {map[string]string{"public/a": "b", "public/b": "a"}, ""},
		"into itself":               {map[string]string{"public/a": "a/b"}, ""},
		"into each other":           {map[string]string{"public/a": "b/x", "public/b": "a/y", "public/c": "/etc"}, "public/c"},
		"a name that begins so too": {map[string]string{"public-not/a": "/etc/passwd"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := &snapshot.Snapshot{Files: []snapshot.File{{Path: "public/index.html"}}}
			for path, target := range test.links {
				source.Files = append(source.Files, snapshot.File{Path: path, Mode: fs.ModeSymlink, Target: target})
			}
			if got, _ := source.LeadingOut("./public"); got != test.want {
				t.Errorf("%q leads out, want %q", got, test.want)
			}
		})
	}
}
