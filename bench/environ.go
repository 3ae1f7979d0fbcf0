package main

import (
	"slices"
	"strings"
)

// withoutMake removes what a make above this program (`make bench`) hands to makes below it: its flags and its job server
// would change what is measured.
func withoutMake(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS", "MAKEFILES"}, name)
	})
}
