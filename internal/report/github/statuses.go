package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/report/account"
	"github.com/penstock-ci/penstock/internal/report/markdown"
	"github.com/penstock-ci/penstock/pipelines"
)

// maxDescription is GitHub's own bound for a status.
const maxDescription = 140

// group is one commit status: stages of a moment, gates of a phase, or the deployment.
type group struct {
	name  string
	state account.State
	says  string
}

// statuses puts one commit status for each group of stages, for each phase of gates and for the deployment. The context
// names the environment, because the same commit is judged for several.
func (r *Reporter) statuses() {
	for _, g := range r.groups() {
		name := "penstock/" + r.account.Info.Environment + "/" + g.name
		state := map[account.State]string{
			account.Passed: "success", account.Running: "pending", account.Waiting: "pending", account.Failed: "failure", account.Unknown: "error",
		}[g.state]
		says := markdown.Line(g.says, maxDescription)
		status := &github.RepoStatus{State: &state, Context: github.String(markdown.Line(name, 200)), Description: &says}
		if r.links.Run != "" {
			status.TargetURL = &r.links.Run
		}
		r.put("status "+name, "commit statuses", state+" "+says, func(ctx context.Context, _ int) error {
			_, _, err := r.client.Repositories.CreateStatus(ctx, r.owner, r.name, r.options.Place.Commit, status)
			return err
		})
	}
}

// groups are those that have begun or that every run of this kind has. Gates of the later phases have no status before they
// are asked: a required status that is not there holds a merge back as one that is pending does, and a run that ends early
// need not say success or failure for gates that nobody asked.
func (r *Reporter) groups() []group {
	a := &r.account
	groups := []group{ended(a, stagesAt(a, "stages", string(pipelines.WhenBuild)))}
	for _, phase := range []gates.Phase{gates.PhaseBuild, gates.PhasePlan, gates.PhasePromote, gates.PhaseBake} {
		if g, show := gatesAt(a, phase); show {
			groups = append(groups, ended(a, g))
		}
	}
	if smoke := stagesAt(a, "smoke", string(pipelines.WhenSmoke)); smoke.says != "" {
		groups = append(groups, ended(a, smoke))
	}
	if a.Promotes() {
		groups = append(groups, deploying(a))
	}
	return groups
}

// ended gives a group that the run left unfinished its last state.
func ended(a *account.Account, g group) group {
	if g.state != account.Running || a.Result == nil {
		return g
	}
	if a.Ending() == account.Waiting {
		g.state, g.says = account.Waiting, "waiting: "+a.Result.Reason
		return g
	}
	g.state, g.says = account.Unknown, "not finished: "+a.Result.Reason
	return g
}

func stagesAt(a *account.Account, name, moment string) group {
	g := group{name: name}
	total, passed, cached := 0, 0, 0
	var running, failed []string
	for _, stage := range a.Stages {
		if stage.Moment != moment && (stage.Moment != "" || moment != string(pipelines.WhenBuild)) {
			continue
		}
		total++
		state := stage.StateOf()
		g.state = max(g.state, state)
		switch state {
		case account.Passed:
			passed++
			if stage.Cached {
				cached++
			}
		case account.Running:
			if stage.Began {
				running = append(running, stage.Name)
			}
		case account.Waiting, account.Failed, account.Unknown:
			failed = append(failed, stage.Name+" "+string(stage.Outcome))
		}
	}
	switch {
	case total == 0:
	case len(failed) > 0:
		g.says = strings.Join(failed, ", ")
	case g.state == account.Running && len(running) > 0:
		g.says = fmt.Sprintf("%d of %d passed; at work: %s", passed, total, strings.Join(running, ", "))
	case g.state == account.Running:
		g.says = fmt.Sprintf("%d of %d passed", passed, total)
	case cached > 0:
		g.says = fmt.Sprintf("%d passed, %d of them from the cache", total, cached)
	default:
		g.says = fmt.Sprintf("%d passed", total)
	}
	return g
}

func gatesAt(a *account.Account, phase gates.Phase) (g group, show bool) {
	g.name = "gates-" + string(phase)
	total, answered, warned, waived := 0, 0, 0, 0
	var blocking []string
	for _, gate := range a.Gates {
		if gate.Phase != phase {
			continue
		}
		total++
		show = show || gate.Began || phase == gates.PhaseBuild
		g.state = max(g.state, gate.StateOf())
		if gate.Verdict == nil {
			continue
		}
		answered++
		switch {
		case gate.Blocks && gate.Verdict.Pending != nil:
			blocking = append(blocking, gate.Name+" waits for "+gate.Verdict.Pending.By)
		case gate.Blocks:
			blocking = append(blocking, gate.Name+" "+string(gate.Verdict.Outcome))
		case gate.Waived != "":
			waived++
		case gate.Verdict.Outcome != gates.Pass:
			warned++
		}
	}
	switch {
	case len(blocking) > 0:
		g.says = strings.Join(blocking, ", ")
	case answered < total:
		g.says = fmt.Sprintf("%d of %d answered", answered, total)
	case waived > 0:
		g.says = fmt.Sprintf("%d passed, %d waived, %d with a warning", total-waived, waived, warned)
	case warned > 0:
		g.says = fmt.Sprintf("%d passed, %d with a warning", total, warned)
	default:
		g.says = fmt.Sprintf("%d passed", total)
	}
	return g, show
}

func deploying(a *account.Account) group {
	g := group{name: "deploy", state: a.Ending(), says: markdown.Headline(a)}
	if a.Result != nil && a.Result.Reason != "" {
		g.says = a.Result.Reason
		if g.state == account.Waiting {
			g.says = "waiting: " + g.says
		}
	}
	if a.Result == nil {
		for _, step := range a.Steps {
			if step.Began && !step.Ended {
				g.says = "at work: " + step.Name
			}
		}
	}
	return g
}
