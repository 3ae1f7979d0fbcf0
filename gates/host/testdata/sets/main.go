// Command sets is every gate set that the tests of package host need, good and bad: its file name says which one it is,
// so that one build serves them all.
package main

import (
	"os"
	"path/filepath"
	"strings"
)

func main() {
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(os.Args[0]), "penstock-gates-"), ".exe")
	if serve, isBad := bad[name]; isBad {
		serve(name)
		return
	}
	if serve, isWrong := wrong[name]; isWrong {
		serve(name)
		return
	}
	serveGood(name)
}
