// Package workerdtest says which workerd tests run Workers in.
package workerdtest

import (
	"os"
	"testing"
)

// Variable names the binary: `make` sets it to the one that it installed with npm.
const Variable = "PENSTOCK_WORKERD"

// Binary returns the path of the real workerd. Without one the test is left out, with the reason in its line: who changes
// something else need not have npm. In CI, whose machines have it, the test fails.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(Variable)
	if path == "" && os.Getenv("CI") != "" {
		t.Fatalf("%s is not set: in CI `make` installs workerd and sets it", Variable)
	}
	if path == "" {
		t.Skip("there is no workerd to run Workers in, which needs npm: `make test` installs it and sets PENSTOCK_WORKERD")
	}
	return path
}
