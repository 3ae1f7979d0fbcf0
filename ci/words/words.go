// Package words makes what penstock says fit the door of `dagger call`.
package words

import "regexp"

var next = []struct {
	said *regexp.Regexp
	here string
}{
	{regexp.MustCompile(`go to the (app|Worker)'s folder`), "name the $1's folder with --app"},
	{regexp.MustCompile(`(?m)^url: +http://127\.0\.0\.1\S*\n`), ""},
	{regexp.MustCompile(`(?m)^( *whole output: )(/state/\S+)$`), "${1}`dagger call console with-exec --args cat,$2 stdout`"},
	{regexp.MustCompile(`(?m)^next: open http://127\.0\.0\.1.*$`), "next: `penstock deploy --executor dagger` serves it on this machine · `dagger call history` looks back"},
	{regexp.MustCompile("`penstock (approve|reject|promote|why|history) ([0-9A-Z]+)([^`]*?) --sign KEY`"), "`dagger call --key file:KEY $1 --run $2$3`"},
	{regexp.MustCompile("`penstock (approve|reject|promote|why|history) ([0-9A-Z]+)"), "`dagger call $1 --run $2"},
	{regexp.MustCompile("`penstock waive ([0-9A-Z]+) ([a-z-]+/[a-z-]+)"), "`dagger call waive --run $1 --gate $2"},
	{regexp.MustCompile("`penstock deploy( --env [a-zA-Z0-9-]+) --sign KEY`"), "`dagger call --key file:KEY deploy$1`"},
	{regexp.MustCompile("`penstock (check|plan|deploy|migrate|smoke|doctor|rollback)((?: --env [a-zA-Z0-9-]+)?)`"), "`dagger call $1$2`"},
	{regexp.MustCompile("`penstock (history|why)`"), "`dagger call $1`"},
	{regexp.MustCompile("`penstock gates list`"), "`dagger call gates`"},
	{regexp.MustCompile("`(penstock (?:backup|drill|history|maintenance|provision|restore|secrets|status|tail|verify|why) [^`]*)`"), "`$1` (in `dagger call console terminal`)"},
}

// Here is what penstock told, with its verbs as functions and without addresses that were gone with the call's container.
func Here(told string) string {
	for _, word := range next {
		told = word.said.ReplaceAllString(told, word.here)
	}
	return told
}
