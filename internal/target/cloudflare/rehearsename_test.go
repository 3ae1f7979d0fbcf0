package cloudflare

import (
	"strings"
	"testing"
	"time"
)

// TestCopiesHaveNamesThatD1Takes: a long database name leaves no room for all of it, and two that begin alike have copies of
// their own all the same.
func TestCopiesHaveNamesThatD1Takes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("guide-", 9)
	later := time.Now().Add(rehearsalLasts + time.Minute)
	for _, database := range []string{"rows-db", "eighteen-letters-x", "atomic-guide-production", long + "production", long + "staging"} {
		name := rehearsalName(database)
		if len(name) > nameLimit || !leftBehind(name, database, later) || leftBehind(name, database, time.Now()) {
			t.Errorf("the copy of %s: %s (%d)", database, name, len(name))
		}
		if leftBehind(name, long+"other", later) {
			t.Errorf("the copy of %s is taken for another's", database)
		}
	}
}
