// Package linetest is what every [ledger.Line] must do, and a line in memory whose network can be broken.
package linetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/ledger"
)

// ErrLost is what a call gets whose answer, or itself, did not arrive.
var ErrLost = errors.New("no answer came")

// Memory is a line in memory. It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	links []ledger.Link
	heard map[int64]time.Time // of the line's own clock
	skew  time.Duration       // by which that is ahead of this machine's
	fault func(call string) Fault
	calls int
}

var _ ledger.Line = (*Memory)(nil)

// Fault is what goes wrong with a call.
type Fault int

// The faults.
const (
	None       Fault = iota
	LostBefore       // it does not arrive
	LostAfter        // it arrives, and its answer does not
)

// NewMemory is an empty line.
func NewMemory() *Memory { return &Memory{heard: map[int64]time.Time{}} }

// Break lets calls ("since", "append", "beat", "silence") go wrong; nil mends the network.
func (m *Memory) Break(fault func(call string) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// Pass lets time pass on the line's own clock alone.
func (m *Memory) Pass(time time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skew += time
}

// Edit changes the line behind everybody's back.
func (m *Memory) Edit(change func([]ledger.Link) []ledger.Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.links = change(slices.Clone(m.links))
}

// Calls is how often the line was asked for anything.
func (m *Memory) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// call is one call, with what goes wrong with it.
func (m *Memory) call(ctx context.Context, name string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	fault := None
	if m.fault != nil {
		fault = m.fault(name)
	}
	if fault == LostBefore {
		return ErrLost
	}
	err := do()
	if fault == LostAfter {
		return ErrLost
	}
	return err
}

func (m *Memory) now() time.Time { return time.Now().Add(m.skew) }

// pageLinks is small, so that lines have several pages.
const pageLinks = 7

// Since implements [ledger.Line].
func (m *Memory) Since(ctx context.Context, seq int64) (page ledger.Page, err error) {
	err = m.call(ctx, "since", func() error {
		if len(m.links) > 0 {
			page.Last = m.links[len(m.links)-1].Seq
		}
		for _, link := range m.links {
			if link.Seq >= seq && len(page.Links) < pageLinks {
				page.Links = append(page.Links, link)
			}
		}
		return nil
	})
	if err != nil {
		return ledger.Page{}, err
	}
	return page, nil
}

// Append implements [ledger.Line].
func (m *Memory) Append(ctx context.Context, head ledger.Head, links []ledger.Link) error {
	return m.call(ctx, "append", func() error {
		if end := len(m.links); int64(end) != head.Seq || (end > 0 && m.links[end-1].Hash != head.Hash) {
			return ledger.ErrMoved
		}
		m.links = append(m.links, links...)
		for _, link := range links {
			m.heard[link.Seq] = m.now()
		}
		return nil
	})
}

// Beat implements [ledger.Line].
func (m *Memory) Beat(ctx context.Context, seq int64) error {
	return m.call(ctx, "beat", func() error {
		m.heard[seq] = m.now()
		return nil
	})
}

// Silence implements [ledger.Line].
func (m *Memory) Silence(ctx context.Context, seq int64) (silence time.Duration, err error) {
	err = m.call(ctx, "silence", func() error {
		at, known := m.heard[seq]
		if !known {
			return fmt.Errorf("there is no entry %d", seq)
		}
		silence = m.now().Sub(at)
		return nil
	})
	return silence, err
}

// Chain makes the links that follow a head.
func Chain(head ledger.Head, bodies ...string) []ledger.Link {
	hash, err := hex.DecodeString(head.Hash)
	if err != nil || len(hash) == 0 {
		hash = make([]byte, sha256.Size)
	}
	links := make([]ledger.Link, 0, len(bodies))
	for i, body := range bodies {
		sum := sha256.Sum256(append(slices.Clone(hash), body...))
		hash = sum[:]
		links = append(links, ledger.Link{Seq: head.Seq + int64(i) + 1, Hash: hex.EncodeToString(hash), Body: body})
	}
	return links
}

// HeadOf is the head that a link makes.
func HeadOf(link ledger.Link) ledger.Head { return ledger.Head{Seq: link.Seq, Hash: link.Hash} }

// Contract is what every line must do. make returns an empty one.
func Contract(t *testing.T, line ledger.Line) {
	t.Helper()
	ctx := t.Context()
	all := func() []ledger.Link {
		t.Helper()
		var links []ledger.Link
		for {
			page, err := line.Since(ctx, int64(len(links)+1))
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, page.Links...)
			if len(page.Links) == 0 || int64(len(links)) >= page.Last {
				return links
			}
		}
	}
	if page, err := line.Since(ctx, 1); err != nil || len(page.Links) != 0 || page.Last != 0 {
		t.Fatalf("an empty line: %+v, %v", page, err)
	}
	empty := ledger.Head{Hash: hex.EncodeToString(make([]byte, sha256.Size))}
	first := Chain(empty, `{"a":"it's \"one\" \\ é \u2028 \n"}`, "two", "three")
	if err := line.Append(ctx, empty, first); err != nil {
		t.Fatal(err)
	}
	if got := all(); !slices.Equal(got, first) {
		t.Fatalf("it came back as %+v", got)
	}
	end := HeadOf(first[2])
	for name, head := range map[string]ledger.Head{
		"a line that is not empty any more": empty, "one that ended earlier": HeadOf(first[1]), "one that goes further": {Seq: 4, Hash: first[2].Hash},
		"one that ends otherwise": {Seq: 3, Hash: first[1].Hash},
	} {
		if err := line.Append(ctx, head, Chain(head, "other")); !errors.Is(err, ledger.ErrMoved) {
			t.Errorf("append to %s: %v", name, err)
		}
	}
	if page, err := line.Since(ctx, 3); err != nil || page.Last != 3 || !slices.Equal(page.Links, first[2:]) {
		t.Errorf("since 3: %+v, %v", page, err)
	}
	if page, err := line.Since(ctx, 9); err != nil || page.Last != 3 || len(page.Links) != 0 {
		t.Errorf("since 9: %+v, %v", page, err)
	}

	// Of several that append behind the same head, one does.
	var arrived atomic.Int64
	var writers sync.WaitGroup
	for i := range 6 {
		writers.Go(func() {
			switch err := line.Append(ctx, end, Chain(end, fmt.Sprintf("%d a", i), fmt.Sprintf("%d b", i))); {
			case err == nil:
				arrived.Add(1)
			case !errors.Is(err, ledger.ErrMoved):
				t.Errorf("append at once: %v", err)
			}
		})
	}
	writers.Wait()
	if got := all(); arrived.Load() != 1 || len(got) != 5 {
		t.Fatalf("%d of 6 were told that theirs arrived, and the line has %d links", arrived.Load(), len(got))
	}

	silence, err := line.Silence(ctx, 4)
	if err != nil || silence < 0 || silence > time.Minute {
		t.Errorf("just appended, and silent for %s, %v", silence, err)
	}
	for range 2 {
		if err := line.Beat(ctx, 4); err != nil {
			t.Error(err)
		}
	}
	if again, err := line.Silence(ctx, 4); err != nil || again < 0 || again > time.Minute {
		t.Errorf("just heard of, and silent for %s, %v", again, err)
	}
	if _, err := line.Silence(ctx, 99); err == nil {
		t.Error("it knows of an entry that there is not")
	}
}
