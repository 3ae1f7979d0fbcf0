package main

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// driftGate judges whether somebody changed what is live since the last promotion.
var driftGate = environmentGate{
	name: "drift", title: "what is live is what was promoted last", phases: planned,
	judge: func(request *gates.Request, seen *sight) error {
		seen.subject = "earlier promotion"
		switch {
		case seen.Drift.State == evidence.Missing:
			seen.neverPromoted()
		case seen.Drift.State != evidence.Present || seen.Drift.Last == nil:
			seen.unknown(seen.Drift.Reason, "whether what is live is what was promoted is not known")
		default:
			seen.drifted(request.Phase)
		}
		return nil
	},
}

// neverPromoted judges a first promotion: what is live was made by somebody else, unless nothing is.
func (s *sight) neverPromoted() {
	switch s.Worker.State {
	case evidence.Missing:
		s.found("nothing is live in %s yet", s.Name)
		return
	case evidence.Present:
	default:
		s.unknown("", "what is live in %s is not known", s.Name)
		return
	}
	for _, share := range s.Worker.Shares {
		if share.Percentage == 0 || share.Version == s.run.VersionID {
			continue
		}
		s.doubtful("not promoted", "see that nothing of it is missing here, then go on: from then on penstock knows what should be live",
			"version %s takes %g %% of the traffic, and this ledger knows of no promotion to %s%s", short(share.Version), share.Percentage, s.Name, s.madeBy(share.Version))
	}
	if s.gravest == "" {
		s.found("nothing but this promotion's version is live in %s", s.Name)
	}
}

// madeBy says what a version says of itself.
func (s *sight) madeBy(id string) string {
	for _, version := range s.Worker.Versions {
		if version.ID == id && version.Tag != "" {
			return " (it is tagged " + version.Tag + ": promoted with another ledger, or the placeholder of this promotion)"
		}
	}
	return ""
}

func (s *sight) drifted(phase gates.Phase) {
	last := s.Drift.Last
	for _, difference := range s.Drift.Differences {
		if difference.Version != "" && difference.Version == s.run.VersionID {
			continue // what this promotion shifts traffic to is no drift
		}
		if difference.Unfinished != "" {
			s.doubtful("unfinished", "nothing: a promotion puts that in order before anything else", "promotion %s died: %s; it is put back to %s",
				difference.Unfinished, difference.Live, short(difference.Promoted))
			continue
		}
		message := difference.What + ": " + difference.Live
		if difference.Promoted != "" {
			message += ", promoted was " + difference.Promoted
		}
		s.wrong(difference.What, "find out who changed it and why (`wrangler deployments list`), and bring it into the source: this promotion would replace it",
			"%s%s", message, s.madeBy(difference.Version))
	}
	if s.settled(phase) && s.Crons.State == evidence.Present && !sameSet(s.Crons.Wanted, s.Crons.Found) {
		s.wrong("crons", "promote again: the config's crons are set when the version takes all of the traffic", "crons: %s run, the config wants %s", listed(s.Crons.Found), listed(s.Crons.Wanted))
	}
	if s.gravest != "" {
		return
	}
	s.found("version %s is live, as promotion %s of %s left it", short(last.Version), last.Promotion, last.At.UTC().Format(time.DateTime))
	if s.Drift.Edited != "" {
		s.found("penstock put secrets since, which made it version %s", short(s.Drift.Edited))
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
