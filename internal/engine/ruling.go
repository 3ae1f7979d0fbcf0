package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// PromotionJudge asks the gates of a promotion. It implements [promotion.Judge].
type PromotionJudge struct {
	// Options are those of the run; Phase and the request's address are filled in.
	Options JudgeOptions
}

var _ promotion.Judge = PromotionJudge{}

// Judge asks the gates of the phase about the version at the address. A gate that blocks is in the ruling; err is only for
// gates that could not be asked at all. That there is no gate to ask is such an error: a promotion asks only where its plan
// names gates, so none being found means that they got lost, not that they agree.
func (j PromotionJudge) Judge(ctx context.Context, phase gates.Phase, address promotion.Address, version string) (promotion.Ruling, error) {
	options := j.Options
	options.Phase = phase
	options.Request.Run.URL = address.URL
	options.Request.Run.VersionID = version
	judgement, err := Judge(ctx, options)
	if err != nil {
		return promotion.Ruling{}, err
	}
	if len(judgement.Gates) == 0 {
		return promotion.Ruling{}, fmt.Errorf("no gate of phase %s was asked, and the plan names some: "+
			"look at the gates' phases and environments in penstock.yaml", phase)
	}
	ruling := promotion.Ruling{Allowed: !judgement.Blocked(), Undecided: judgement.Blocked()}
	var said []string
	for _, judged := range judgement.Blocking() {
		ruling.Blocking = append(ruling.Blocking, judged.Ref.Gate)
		if outcome := judged.Verdict.Outcome; outcome != gates.Pending && outcome != gates.Inconclusive {
			ruling.Undecided = false
		}
		said = append(said, judged.Ref.Gate+": "+judged.Verdict.Summary)
	}
	ruling.Summary = strings.Join(said, "; ")
	if ruling.Allowed {
		ruling.Summary = plural(len(judgement.Gates), "gate") + " let it through"
	}
	return ruling, nil
}
