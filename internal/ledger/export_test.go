package ledger

import (
	"context"
	"testing"
	"time"
)

// Elsewhere makes the ledger one of a process on another machine.
func Elsewhere(l *Ledger) { l.me.Host, l.me.Boot = "elsewhere", "another" }

// TellStories tells random stories with the ledgers that open opens.
func TellStories(t *testing.T, open func() *Ledger) { tellStories(t, open) }

// BeatOnce says once that who wrote an entry lives.
func BeatOnce(ctx context.Context, l *Ledger, seq int64) { l.beatLine(seq)(ctx, time.Now()) }
