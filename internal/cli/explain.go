package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/executor/lastrun"
)

// explaining is a session that says, before each stage, what the stage's cache key is made of and what of it changed.
type explaining struct {
	engine.Session
	explainer lastrun.Explainer
	say       func(text string)
}

// withExplanations wraps the session for --explain-cache. Sessions that cannot explain themselves are left as they are.
func withExplanations(session engine.Session, say func(string)) engine.Session {
	explainer, ok := session.(lastrun.Explainer)
	if !ok {
		return session
	}
	return explaining{session, explainer, say}
}

// Run implements engine.Session.
func (e explaining) Run(ctx context.Context, job engine.Job) (engine.Result, error) {
	explanation, err := e.explainer.Explain(ctx, job.Stage, job.Needs)
	if err != nil {
		// The stage's own run meets the same trouble and tells it as a failure; here it is only about the words.
		e.say(fmt.Sprintf("cache: %s: cannot be explained: %v", job.Stage.Name, err))
		return e.Session.Run(ctx, job)
	}
	if job.NoCache {
		explanation.Decider, explanation.Cached, explanation.Why = "", false, "--no-cache was given"
	}
	e.say("cache: " + describeExplanation(explanation))
	return e.Session.Run(ctx, job)
}

func describeExplanation(explanation lastrun.Explanation) string {
	decision := "runs"
	switch {
	case explanation.Decider != "":
		decision = "is for " + explanation.Decider + " to answer or to run"
	case explanation.Cached:
		decision = "is taken from the cache"
	}
	var parts []string
	for _, part := range explanation.Parts {
		if strings.HasPrefix(part.Name, "definition ") && !part.Changed() {
			continue // people have it in `penstock init`
		}
		mark := ""
		if part.Changed() {
			mark = fmt.Sprintf(" (was %s)", clip(part.Before))
		}
		parts = append(parts, part.Name+" "+clip(part.Value)+mark)
	}
	return fmt.Sprintf("%s %s: %s; its key %s is made of: %s", explanation.Stage, decision, explanation.Why, clip(explanation.Key), strings.Join(parts, " · "))
}

// clip shortens digests and long values for people.
func clip(value string) string {
	value = brief(value)
	if runes := []rune(value); len(runes) > 48 {
		return string(runes[:47]) + "…"
	}
	return value
}
