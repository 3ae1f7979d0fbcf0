package ledger

import "testing"

// Elsewhere makes the ledger one of a process on another machine.
func Elsewhere(l *Ledger) { l.me.Host, l.me.Boot = "elsewhere", "another" }

// TellStories tells random stories with the ledgers that open opens.
func TellStories(t *testing.T, open func() *Ledger) { tellStories(t, open) }
