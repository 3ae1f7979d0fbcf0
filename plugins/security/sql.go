package main

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/gates"
)

// sqlGate asks whether SQL is built from values instead of having them bound. It reads the code; it needs no types.
type sqlGate struct{}

const howToBind = "bind the values as each finding shows; where the text is right as it stands, say why on its line: // penstock-allow sql: reason"

func (sqlGate) Describe() gates.Description {
	return gates.Description{
		Name:   "sql",
		Title:  "SQL is constant and values are bound",
		Phases: []gates.Phase{gates.PhaseBuild},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"properties": {` + selectionSchema + `}
		}`,
		Needs: gates.Needs{Source: true},
	}
}

func (sqlGate) Evaluate(ctx context.Context, request *gates.Request) (*gates.Verdict, error) {
	var chosen selection
	if err := request.DecodeConfig(&chosen); err != nil {
		return nil, err
	}
	app, none, err := sourceOf(ctx, request, chosen)
	if none != nil || err != nil {
		return none, err
	}
	judged := newJudgement(app, "sql")
	statements := 0
	for _, m := range app.judged {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, one := range app.statements(m) {
			statements++
			app.judgeStatement(one, judged)
		}
		for _, n := range app.handedOn(m) {
			judged.unclear(n, n, "sql-unfollowed", fmt.Sprintf("%s is handed on, so the SQL that it will be given is not seen", quoted(n)), "call it where the SQL is written")
		}
	}
	verdict := judged.verdict()
	verdict.Measurements = append(verdict.Measurements, gates.Count("statements", statements, nil))
	files := gates.Counted(len(app.judged), "file")
	switch verdict.Outcome {
	case gates.Fail:
		verdict.Summary = fmt.Sprintf("values become part of the SQL in %s (%s in %s)", gates.Counted(judged.failures, "place"), gates.Counted(statements, "statement"), files)
		verdict.NextStep = howToBind
	case gates.Inconclusive:
		verdict.Summary = judged.doubts("SQL comes from where it cannot be followed in %s") + fmt.Sprintf(" (%s in %s)", gates.Counted(statements, "statement"), files)
		verdict.NextStep = "write the SQL where it is prepared, or say why it is safe on its line: // penstock-allow sql: reason"
	default:
		verdict.Summary = fmt.Sprintf("all SQL is constant: %s in %s", gates.Counted(statements, "statement"), files)
		if judged.allowed > 0 {
			verdict.Summary += fmt.Sprintf(", %s allowed by a comment", gates.Counted(judged.allowed, "exception"))
		}
	}
	return verdict, nil
}

// judgeStatement reports each value that becomes part of a statement's SQL.
func (s *codebase) judgeStatement(one statement, judged *judgement) {
	for _, p := range one.text {
		switch {
		case p.open == nil:
		case p.holder != nil:
			judged.failure(p.holder, one.sql, "sql-text", fmt.Sprintf("%s becomes part of the SQL that %s runs", quoted(p.holder), one.method), s.bindingAdvice(p.holder))
		case isRequestRead(p.open):
			judged.failure(one.sql, p.open, "sql-text", fmt.Sprintf("the SQL that %s runs is %s: whatever a request says", one.method, quoted(p.open)),
				"write the SQL in the code, and bind what the request says")
		default:
			judged.unclear(one.sql, p.open, "sql-unfollowed",
				fmt.Sprintf("the SQL that %s runs comes from %s, which cannot be followed", one.method, quoted(p.open)), "")
		}
	}
}

// quoted shows a node's code in a message.
func quoted(n *node) string { return "`" + n.code() + "`" }

// isRequestRead reports whether an expression plainly is a part of a request.
func isRequestRead(n *node) bool {
	if !n.is(kCall) || !n.kids[0].is(kMember) {
		return false
	}
	of := n.kids[0].kids[0]
	switch n.kids[0].text {
	case "get":
		return of.is(kMember) && of.text == "searchParams"
	case "text", "json", "query":
		return (of.is(kName) || of.is(kMember)) && isRequestName(of.text)
	default:
		return false
	}
}
