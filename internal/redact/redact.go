// Package redact takes secrets' values out of what leaves a stage: output, logs and report files.
//
// A value is found as it is and in the forms in which programs usually repeat it (see variants), across any boundary of
// chunks or lines. It is a net under honest programs, not a wall against one that means to leak: a secret that is sent
// through a cipher or spelt backwards is not recognised.
package redact

import (
	"bytes"
	"io"
	"slices"
	"sort"
)

// MinLength is the shortest value that is replaced, in bytes. Shorter ones would punch holes into ordinary text.
const MinLength = 4

// Mask stands where a secret stood.
const Mask = "***"

// Redactor knows the secrets of one stage. The zero value and nil know none. It is immutable and safe for concurrent use.
type Redactor struct {
	// byFirst holds the patterns by their first byte, longest first.
	byFirst [256][][]byte
	size    int // of the longest pattern
	short   []string
}

// New makes a redactor for secrets by name.
func New(secrets map[string]string) *Redactor {
	r := &Redactor{}
	seen := map[string]bool{}
	for name, value := range secrets {
		if value == "" {
			continue
		}
		if len(value) < MinLength {
			r.short = append(r.short, name)
			continue
		}
		for _, pattern := range variants(value) {
			if !seen[pattern] {
				seen[pattern] = true
				r.byFirst[pattern[0]] = append(r.byFirst[pattern[0]], []byte(pattern))
				r.size = max(r.size, len(pattern))
			}
		}
	}
	for _, patterns := range r.byFirst {
		slices.SortFunc(patterns, func(a, b []byte) int { return len(b) - len(a) })
	}
	sort.Strings(r.short)
	return r
}

// Short names the secrets that are too short to be replaced, sorted; whoever runs the stage should warn about them.
func (r *Redactor) Short() []string {
	if r == nil {
		return nil
	}
	return r.short
}

// Empty reports whether there is nothing to replace.
func (r *Redactor) Empty() bool { return r == nil || r.size == 0 }

// String returns s without secrets.
func (r *Redactor) String(s string) string {
	if r.Empty() {
		return s
	}
	var out bytes.Buffer
	w := r.Writer(&out)
	// Writing to a buffer does not fail.
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return out.String()
}

// Writer returns a stream to w without secrets. It holds back bytes only as long as they may be the beginning of a
// secret; Close writes what is held back and does not close w. Not safe for concurrent use.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser {
	return &writer{redactor: r, to: w}
}

type writer struct {
	redactor *Redactor
	to       io.Writer
	held     []byte // a beginning of some pattern, or empty
	out      []byte
}

// Write passes p on without secrets. It reports len(p) unless the underlying writer fails.
func (w *writer) Write(p []byte) (int, error) {
	if w.redactor.Empty() {
		return w.to.Write(p)
	}
	data := p
	if len(w.held) > 0 {
		w.held = append(w.held, p...)
		data = w.held
	}
	rest, err := w.scan(data, false)
	if err != nil {
		return 0, err
	}
	w.held = append(w.held[:0], rest...)
	return len(p), nil
}

// Close writes what was held back.
func (w *writer) Close() error {
	_, err := w.scan(w.held, true)
	w.held = nil
	return err
}

// scan writes data with every pattern replaced, leftmost and longest first, and returns the end that may be the beginning
// of a pattern; at the end of the stream there is none.
func (w *writer) scan(data []byte, last bool) (rest []byte, err error) {
	if w.redactor.Empty() || len(data) == 0 {
		return nil, nil
	}
	w.out = w.out[:0]
	clean := 0 // data[clean:i] is known to be clean and not copied yet
	i := 0
	for i < len(data) {
		patterns := w.redactor.byFirst[data[i]]
		if len(patterns) == 0 {
			i++
			continue
		}
		matched, open := match(patterns, data[i:])
		if open && !last {
			break
		}
		if matched > 0 {
			w.out = append(append(w.out, data[clean:i]...), Mask...)
			i += matched
			clean = i
			continue
		}
		i++
	}
	w.out = append(w.out, data[clean:i]...)
	if len(w.out) > 0 {
		_, err = w.to.Write(w.out)
	}
	return data[i:], err
}

// match returns the length of the longest pattern at the beginning of data, and whether a longer one may still follow
// once more data is there.
func match(patterns [][]byte, data []byte) (matched int, open bool) {
	for _, pattern := range patterns {
		if len(pattern) > len(data) {
			open = open || bytes.HasPrefix(pattern, data)
		} else if bytes.HasPrefix(data, pattern) {
			return len(pattern), open
		}
	}
	return 0, open
}
