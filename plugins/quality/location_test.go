package main

import "testing"

func TestRelative(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ root, file, want string }{
		{"/app", "/app/src/a.ts", "src/a.ts"},
		{"/app/", "/app/src/a.ts", "src/a.ts"},
		{"/app", "src/a.ts", "src/a.ts"},
		{"/app", "./src/../src/a.ts", "src/a.ts"},
		{"/app", "file:///app/src/a%20b.ts", "src/a b.ts"},
		{"/app", "/apple/src/a.ts", "/apple/src/a.ts"},
		{"", "/app/src/a.ts", "/app/src/a.ts"},
		{`C:\app`, `C:\app\src\a.ts`, "src/a.ts"},
		{`C:\app`, "file:///C:/app/src/a.ts", "src/a.ts"},
		{"/app", "", ""},
	} {
		if got := relative(test.root, test.file); got != test.want {
			t.Errorf("relative(%q, %q) = %q, want %q", test.root, test.file, got, test.want)
		}
	}
}

func TestPlaceIn(t *testing.T) {
	t.Parallel()
	stack := "Error: x\n at f (/app/node_modules/lib/a.js:1:2)\n at node:internal/x.js:3:4\n at g (/app/src/b.ts:5:6)\n at h (file:///app/test/c.test.ts:7:8)\n"
	for _, test := range []struct {
		preferred string
		want      place
	}{
		{"", place{"src/b.ts", 5, 6}},
		{"test/c.test.ts", place{"test/c.test.ts", 7, 8}},
		{"test/elsewhere.ts", place{"src/b.ts", 5, 6}},
	} {
		if got := placeIn("/app", stack, test.preferred); got != test.want {
			t.Errorf("preferring %q: got %+v, want %+v", test.preferred, got, test.want)
		}
	}
	if got := placeIn("/app", "nothing here", ""); got != (place{}) {
		t.Errorf("in no stack: %+v", got)
	}
}
