package main

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// inputGate asks whether what a handler reads of a request goes through a schema before it is used. It reads the code; it
// needs no types.
type inputGate struct{}

const howToCheck = "parse it with a schema before it is used, as each finding shows; where it needs none, say why on its line: // penstock-allow input: reason"

func (inputGate) Describe() gates.Description {
	return gates.Description{
		Name:   "input",
		Title:  "bodies and queries go through a schema before use",
		Phases: []gates.Phase{gates.PhaseBuild},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {` + selectionSchema + `}
		}`,
		Needs: gates.Needs{Source: true},
	}
}

func (inputGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	var chosen selection
	if err := request.DecodeConfig(&chosen); err != nil {
		return nil, err
	}
	app, none, err := sourceOf(ctx, request, chosen)
	if none != nil || err != nil {
		return none, err
	}
	judged := newJudgement(app, "input")
	reads, err := app.judgeInput(ctx, judged)
	if err != nil {
		return nil, err
	}
	verdict := judged.verdict()
	verdict.Measurements = append(verdict.Measurements, gates.Count("reads", reads, nil))
	seen := fmt.Sprintf("%s of bodies and queries in %s", gates.Counted(reads, "read"), gates.Counted(len(app.judged), "file"))
	switch verdict.Outcome {
	case gates.Fail:
		verdict.Summary = fmt.Sprintf("input is used without a schema in %s (%s)", gates.Counted(judged.failures, "place"), seen)
		verdict.NextStep = howToCheck
	case gates.Inconclusive:
		verdict.Summary = judged.doubts("input goes where it cannot be followed in %s") + " (" + seen + ")"
		verdict.NextStep = "let a schema in the app's own source check it, or say why it is safe on its line: // penstock-allow input: reason"
	default:
		verdict.Summary = "no input is used without a schema: " + seen
		if judged.allowed > 0 {
			verdict.Summary += fmt.Sprintf(", %s allowed by a comment", gates.Counted(judged.allowed, "exception"))
		}
	}
	return verdict, nil
}

// judgeInput runs through every function of the app, as each may be a handler, and returns how many reads it met.
func (s *codebase) judgeInput(ctx context.Context, judged *judgement) (int, error) {
	told := map[*read]bool{}
	f := newFlow(s, func(r *read, where use) {
		if told[r] {
			return // the first use says enough
		}
		told[r] = true
		message := fmt.Sprintf("%s %s before a schema has checked it", quoted(r.at), where.how)
		if where.unclear {
			judged.unclear(r.at, where.at, "input-unfollowed", fmt.Sprintf("%s %s, which may check it and cannot be followed", quoted(r.at), where.how), "")
			return
		}
		judged.failure(r.at, where.at, "input-unchecked", message, schemaAdvice(r.what))
	})
	for _, m := range s.judged {
		for _, fn := range append([]*function{nil}, m.functions...) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if fn != nil && !f.readers[fn] {
				continue
			}
			if !f.start(m, fn) {
				at := m.body
				if fn != nil {
					at = fn.node
				}
				judged.unclear(at, at, "input-unfollowed", "there are too many ways through "+quoted(at)+" to follow them all", "split it into smaller functions")
			}
		}
	}
	return len(f.reads), nil
}

func schemaAdvice(what target) string {
	switch what {
	case targetQuery:
		return "parse it first: const query = querySchema.parse(Object.fromEntries(new URL(request.url).searchParams))"
	case targetForm:
		return "parse it first: const form = formSchema.parse(Object.fromEntries(await request.formData()))"
	case targetText:
		return "parse it first: const body = bodySchema.parse(JSON.parse(await request.text()))"
	default:
		return "parse it first: const body = bodySchema.parse(await request.json())"
	}
}
