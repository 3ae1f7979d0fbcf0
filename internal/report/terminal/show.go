package terminal

import (
	"fmt"
	"io"
	"strings"

	"github.com/penstock-ci/penstock/internal/event"
)

// ShowScripts writes SQL as a summary does.
func ShowScripts(w io.Writer, colour bool, scripts []event.Script) {
	newPalette(colour).scripts(w, scripts)
}

// Show writes what is on record of a run as its summary: the events of one, in their order, the last of which ended it.
func Show(w io.Writer, look Look, events []event.Event) {
	var b board
	for _, e := range events {
		b.apply(e)
	}
	width, _ := look.size()
	p := newPalette(look.Colour)
	for _, line := range wrapped(strings.Split(p.strong.Render("penstock")+" "+p.heading(&b), " · "), " · ", width) {
		fmt.Fprintln(w, line)
	}
	p.summary(w, &b, look.All, width)
}
