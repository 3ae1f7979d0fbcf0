package main

import "regexp"

// words makes what penstock says of next steps fit this door: its verbs are functions here, and what it served in the call's
// container is gone with it.
var words = []struct {
	said *regexp.Regexp
	here string
}{
	{regexp.MustCompile(`(?m)^url: +http://127\.0\.0\.1\S*\n`), ""},
	{regexp.MustCompile(`(?m)^next: open http://127\.0\.0\.1.*$`), "next: `penstock deploy --executor dagger` serves it on this machine · `dagger call history` looks back"},
	{regexp.MustCompile("`penstock (approve|promote|why|history) ([0-9A-Z]+)"), "`dagger call $1 --run $2"},
	{regexp.MustCompile("`penstock (check|plan|deploy|migrate|smoke|doctor|rollback) --env ([a-zA-Z0-9-]+)`"), "`dagger call --env $2 $1`"},
	{regexp.MustCompile("`penstock (check|plan|deploy|history|why|doctor)`"), "`dagger call $1`"},
}

func inWords(told string) string {
	for _, word := range words {
		told = word.said.ReplaceAllString(told, word.here)
	}
	return told
}
