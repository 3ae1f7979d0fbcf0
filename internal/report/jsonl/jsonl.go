// Package jsonl writes a run as one JSON object per line, for programs.
package jsonl

import (
	"encoding/json"
	"io"

	"github.com/penstock-ci/penstock/internal/event"
)

// Writer writes each event as a line of JSON (https://jsonlines.org). The keys are those of [event.Event]; durations are
// nanoseconds.
type Writer struct {
	encoder *json.Encoder
	gone    bool // the reader
}

// New writes to w.
func New(w io.Writer) *Writer {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return &Writer{encoder: encoder}
}

// Observe implements [event.Observer]. After the first write error nothing more is written: a reader that went away does
// not fail the run.
func (w *Writer) Observe(e event.Event) {
	if !w.gone {
		w.gone = w.encoder.Encode(e) != nil
	}
}
