// Command sets is every gate set that the tests of package host need, good and bad: its file name says which one it is,
// so that one build serves them all.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "unconfined" { // each attempt by itself, for the tests to see that it can succeed
		if err := try(os.Args[2], strings.Join(os.Args[3:], " ")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(os.Args[0]), "penstock-gates-"), ".exe")
	if serve, isBad := bad[name]; isBad {
		serve(name)
		return
	}
	if serve, isEvil := evil[name]; isEvil {
		serve(name)
		return
	}
	if serve, isWrong := wrong[name]; isWrong {
		serve(name)
		return
	}
	serveGood(name)
}
