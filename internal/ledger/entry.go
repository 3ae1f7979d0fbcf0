package ledger

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// The kinds of entries that are not events of a run.
const (
	kindLease      = "lease"
	kindRelease    = "release"
	kindCheckpoint = "checkpoint"
	kindHold       = "hold"     // a run waits
	kindDecision   = "decision" // somebody approved or rejected it
	kindSettle     = "settle"   // it waits no longer
	kindWaiver     = "waiver"
	kindClaim      = "claim" // a process goes on with a run
)

// entry is one link of the chain. body is what is hashed and stored; the record is the same, decoded.
type entry struct {
	kind string
	run  string
	body []byte
	record
}

// record is the body's JSON. Its field names are part of every hash: add, never rename.
type record struct {
	Time       time.Time     `json:"time"`
	Kind       string        `json:"kind"`
	Event      *event.Event  `json:"event,omitempty"`
	Process    *Process      `json:"process,omitempty"` // of run.started, claim and lease
	Lease      *leaseChange  `json:"lease,omitempty"`
	Checkpoint *placedRecord `json:"checkpoint,omitempty"`

	Hold     *promotion.Hold     `json:"hold,omitempty"`
	Decision *promotion.Decision `json:"decision,omitempty"`
	After    promotion.Phase     `json:"after,omitempty"` // where the run stood after the decision
	Settle   *settlement         `json:"settle,omitempty"`
	Waiver   *promotion.Waiver   `json:"waiver,omitempty"`
	Claim    string              `json:"claim,omitempty"` // the run
}

// leaseChange is a lease that was taken or given back.
type leaseChange struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Promotion   string `json:"promotion"`
	Token       int64  `json:"token"`
	// TakenOver names the promotion whose dead process held the lease before.
	TakenOver string `json:"takenOver,omitempty"`
}

// placedRecord is a checkpoint with where it belongs.
type placedRecord struct {
	App         string               `json:"app"`
	Environment string               `json:"environment"`
	Token       int64                `json:"token"`
	State       promotion.Checkpoint `json:"state"`
}

func newEntry(r record) (entry, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return entry{}, fmt.Errorf("encode %s for the ledger: %w", r.Kind, err)
	}
	return entry{kind: r.Kind, run: r.runID(), body: body, record: r}, nil
}

func (l *Ledger) eventEntry(e event.Event) (entry, error) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	r := record{Time: e.Time, Kind: string(e.Type), Event: &e}
	if e.Type == event.RunStarted {
		r.Process = &l.me
	}
	return newEntry(r)
}

// readEntry decodes a stored body.
func readEntry(body []byte) (entry, error) {
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return entry{}, err
	}
	return entry{kind: r.Kind, run: r.runID(), body: body, record: r}, nil
}

func (r record) runID() string {
	switch {
	case r.Event != nil:
		return r.Event.Run
	case r.Checkpoint != nil:
		return r.Checkpoint.State.Run
	case r.Hold != nil:
		return r.Hold.Run
	case r.Decision != nil:
		return r.Decision.Run
	case r.Settle != nil:
		return r.Settle.Run
	case r.Waiver != nil:
		return r.Waiver.Run
	case r.Claim != "":
		return r.Claim
	default:
		return ""
	}
}

// chain is the hash of an event, given the hash of the one before.
func chain(previous [sha256.Size]byte, body []byte) [sha256.Size]byte {
	hash := sha256.New()
	hash.Write(previous[:])
	hash.Write(body)
	return [sha256.Size]byte(hash.Sum(nil))
}
