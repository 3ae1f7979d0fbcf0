package promotion

import (
	"context"

	"github.com/penstock-ci/penstock/gates"
)

// Judge asks the gates of the promote and bake phases about a version that runs. It emits the gates' own events.
type Judge interface {
	// Judge asks every gate of the phase. err means that the gates could not be asked at all; it stops the promotion like a
	// ruling that says no.
	Judge(ctx context.Context, phase gates.Phase, address Address, version string) (Ruling, error)
}

// Ruling is what the gates of one phase said together. Its zero value lets nothing through.
type Ruling struct {
	Allowed bool
	// Undecided says that no gate said no: those that block wait for something, or lack the data for an answer. While a
	// version is watched there may be an answer later; at the end of the watch it counts like a no.
	Undecided bool
	// Blocking are the gates that say no, by name.
	Blocking []string
	Summary  string // one line for people
}
