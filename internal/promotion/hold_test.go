package promotion_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func person(name string) event.Identity { return event.Identity{Kind: event.IdentityGit, Name: name} }

// waiting is a run of ann's that waits for one of bea and cyd, or ann.
func waiting() promotion.Held {
	author := person("ann@example.com")
	return promotion.Held{State: promotion.AwaitingApproval, Hold: promotion.Hold{
		Run: "r1", Promotion: "p1", App: "shop", Environment: "production", Plan: "sha256:aa", Bundle: "sha256:b", Source: "sha256:s",
		Policy: promotion.Policy{Approvers: []string{"ann@example.com", "bea@example.com", "cyd@example.com"}, Needed: 1},
		Author: &author, Since: noon, Expires: noon.Add(time.Hour),
	}}
}

func yes(name string) promotion.Decision {
	return promotion.Decision{Run: "r1", Plan: "sha256:aa", Approve: true, By: person(name), Reason: "looked at it", Time: noon}
}

func TestWhichDecisionsAreTaken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		held     func(*promotion.Held)
		decision func(*promotion.Decision)
		at       time.Duration
		want     promotion.Phase
		refused  string
	}{
		"an approver":                    {want: promotion.Approved},
		"an approver, written otherwise": {decision: func(d *promotion.Decision) { d.By.Name = " Bea@Example.COM " }, want: promotion.Approved},
		"a stranger":                     {decision: func(d *promotion.Decision) { d.By.Name = "eve@example.com" }, refused: "none of the approvers"},
		"nobody":                         {decision: func(d *promotion.Decision) { d.By.Name = " " }, refused: "not known who you are"},
		"who began it":                   {decision: func(d *promotion.Decision) { d.By.Name = "ANN@example.com" }, refused: "somebody else"},
		"who began it, where that is allowed": {
			held:     func(h *promotion.Held) { h.Policy.SelfApproval = true },
			decision: func(d *promotion.Decision) { d.By.Name = "ann@example.com" }, want: promotion.Approved,
		},
		"an approver, of a run of unknown origin": {held: func(h *promotion.Held) { h.Author = nil }, want: promotion.Approved},
		"for another plan":                        {decision: func(d *promotion.Decision) { d.Plan = "sha256:bb" }, refused: "about plan sha256:bb"},
		"replayed from another run":               {decision: func(d *promotion.Decision) { d.Run = "r0" }, refused: "of run r0"},
		"without a reason":                        {decision: func(d *promotion.Decision) { d.Reason = " " }, refused: "needs a reason"},
		"too late":                                {at: time.Hour, refused: "is expired"},
		"after a rejection":                       {held: func(h *promotion.Held) { h.State = promotion.Rejected }, refused: "is rejected"},
		"after something newer":                   {held: func(h *promotion.Held) { h.State = promotion.Superseded }, refused: "is superseded"},
		"after it was promoted":                   {held: func(h *promotion.Held) { h.State = promotion.Completed }, refused: "is completed"},
		"while a gate of the build waits":         {held: func(h *promotion.Held) { h.Plan = "" }, decision: func(d *promotion.Decision) { d.Plan = "" }, refused: "no plan yet"},
		"where nobody is asked":                   {held: func(h *promotion.Held) { h.Policy = promotion.Policy{} }, refused: "asks nobody"},
		"one of two":                              {held: func(h *promotion.Held) { h.Policy.Needed = 2 }, want: promotion.AwaitingApproval},
		"the second of two": {held: func(h *promotion.Held) {
			h.Policy.Needed = 2
			h.Decisions = append(h.Decisions, yes("cyd@example.com"))
		}, want: promotion.Approved},
		"the same person twice": {
			held: func(h *promotion.Held) {
				h.Policy.Needed = 2
				h.Decisions = append(h.Decisions, yes("BEA@example.com"))
			},
			refused: "has approved this plan already",
		},
		"the second of two, the first being about another plan": {
			held: func(h *promotion.Held) {
				h.Policy.Needed = 2
				other := yes("cyd@example.com")
				other.Plan = "sha256:old"
				h.Decisions = append(h.Decisions, other)
			}, want: promotion.AwaitingApproval,
		},
		"no, by an approver":           {decision: func(d *promotion.Decision) { d.Approve = false }, want: promotion.Rejected},
		"no, by who began it":          {decision: func(d *promotion.Decision) { d.Approve = false; d.By.Name = "ann@example.com" }, want: promotion.Rejected},
		"no, by a stranger":            {decision: func(d *promotion.Decision) { d.Approve = false; d.By.Name = "eve" }, refused: "none of the approvers"},
		"no, where approvers are none": {held: func(h *promotion.Held) { h.Policy = promotion.Policy{} }, decision: func(d *promotion.Decision) { d.Approve = false; d.By.Name = "eve" }, want: promotion.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, decision := waiting(), yes("bea@example.com")
			if row.held != nil {
				row.held(&held)
			}
			if row.decision != nil {
				row.decision(&decision)
			}
			got, err := held.Take(decision, noon.Add(row.at))
			switch {
			case row.refused == "" && (err != nil || got != row.want):
				t.Errorf("%s, %v; want %s", got, err, row.want)
			case row.refused != "":
				var refused *promotion.RefusedError
				if !errors.As(err, &refused) || !errors.Is(err, promotion.ErrRefused) || !strings.Contains(err.Error(), row.refused) {
					t.Fatalf("%v; want %q", err, row.refused)
				}
				if refused.NextStep == "" {
					t.Error("it names no next step")
				}
			}
		})
	}
}

// TestWhatCountsIsJudgedAgain: whatever lies in the ledger, only decisions that hold now let a run go on.
func TestWhatCountsIsJudgedAgain(t *testing.T) {
	t.Parallel()
	forged := map[string]func(*promotion.Decision){
		"by the author":        func(d *promotion.Decision) { d.By.Name = "ann@example.com" },
		"by a stranger":        func(d *promotion.Decision) { d.By.Name = "eve@example.com" },
		"by nobody":            func(d *promotion.Decision) { d.By = event.Identity{} },
		"about another plan":   func(d *promotion.Decision) { d.Plan = "sha256:bb" },
		"about another run":    func(d *promotion.Decision) { d.Run = "r2" },
		"that is a no":         func(d *promotion.Decision) { d.Approve = false },
		"that lost its digest": func(d *promotion.Decision) { d.Plan = "" },
	}
	for name, forge := range forged {
		held, decision := waiting(), yes("bea@example.com")
		forge(&decision)
		held.Decisions = append(held.Decisions, decision)
		if standing := held.Standing(held.Plan); standing.Approved {
			t.Errorf("an approval %s lets the run go on", name)
		}
	}
	held := waiting()
	held.Decisions = append(held.Decisions, yes("bea@example.com"))
	if !held.Standing(held.Plan).Approved {
		t.Error("a good approval does not count")
	}
	if held.Standing("sha256:changed").Approved || held.Standing("").Approved {
		t.Error("an approval counts for another plan")
	}
	no := yes("cyd@example.com")
	no.Approve = false
	held.Decisions = append(held.Decisions, no)
	if held.Standing(held.Plan).Approved {
		t.Error("a rejected run goes on")
	}
}

func key(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestSignedDecisions(t *testing.T) {
	t.Parallel()
	anns, beas, eves := key(t), key(t), key(t)
	line := func(name string, signer ssh.Signer) string {
		return name + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	}
	for name, row := range map[string]struct {
		signers string
		signer  ssh.Signer
		change  func(*promotion.Decision)
		refused string
	}{
		"signed":                     {signers: "# people\n\n" + line("bea@example.com,bea", beas), signer: beas},
		"signed, for this alone":     {signers: `bea@example.com namespaces="git,penstock-decision" ` + line("", beas), signer: beas},
		"not signed":                 {signers: line("bea@example.com", beas), refused: "not signed"},
		"with another's key":         {signers: line("bea@example.com", beas) + line("eve@example.com", eves), signer: eves, refused: "not signed by a key of bea"},
		"with an unknown key":        {signers: line("bea@example.com", beas), signer: eves, refused: "not signed by a key of bea"},
		"with a key for git":         {signers: `bea@example.com namespaces="git" ` + line("", beas), signer: beas, refused: "not signed by a key of bea"},
		"an option that limits more": {signers: `bea@example.com valid-before="20200101" ` + line("", beas), signer: beas, refused: "not supported"},
		"two options, one that limits more": {
			signers: `bea@example.com namespaces="penstock-decision,git",valid-before="20200101" ` + line("", beas), signer: beas, refused: "not supported",
		},
		"two options, the other way round": {
			signers: `bea@example.com valid-before="20200101",namespaces="penstock-decision,git" ` + line("", beas), signer: beas, refused: "not supported",
		},
		"a pattern": {signers: line("*@example.com", beas), signer: beas, refused: "without patterns"},
		"garbage":   {signers: "bea@example.com ssh-ed25519 !!!", signer: beas, refused: "not base64"},
		"a yes for another plan": {signers: line("bea@example.com", beas), change: func(d *promotion.Decision) {
			other := *d
			other.Plan = "sha256:bb"
			if err := other.Sign(beas); err != nil {
				t.Error(err)
			}
			d.Signature = other.Signature
		}, refused: "not signed by a key of bea"},
		"another reason": {signers: line("bea@example.com", beas), signer: beas, change: func(d *promotion.Decision) { d.Reason = "other" }, refused: "not signed by a key of bea"},
		"no turned into yes": {signers: line("bea@example.com", beas), signer: beas, change: func(d *promotion.Decision) {
			no := *d
			no.Approve = false
			if err := no.Sign(beas); err != nil {
				t.Error(err)
			}
			d.Signature = no.Signature
		}, refused: "not signed by a key of bea"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, decision := begunBy(t, anns), yes("bea@example.com")
			held.Policy.Signers = strings.TrimSpace(row.signers) + "\nann@example.com " + string(ssh.MarshalAuthorizedKey(anns.PublicKey()))
			if row.signer != nil {
				if err := decision.Sign(row.signer); err != nil {
					t.Fatal(err)
				}
			}
			if row.change != nil {
				row.change(&decision)
			}
			after, err := held.Take(decision, noon)
			held.Decisions = append(held.Decisions, decision)
			counts := held.Standing(held.Plan).Approved
			if row.refused == "" && (err != nil || after != promotion.Approved || !counts) {
				t.Errorf("%s, %v", after, err)
			}
			if row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused) || counts) {
				t.Errorf("%v; want %q; it counts: %v", err, row.refused, counts)
			}
		})
	}
}

func FuzzSigners(f *testing.F) {
	f.Add("bea@example.com ssh-ed25519 AAAA", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n")
	f.Add(`a,b namespaces="penstock-decision" ssh-rsa AAAA x`, "")
	f.Fuzz(func(t *testing.T, signers, signature string) {
		held, decision := waiting(), yes("bea@example.com")
		held.Policy.Signers = signers + "\n"
		decision.Signature = signature
		if after, err := held.Take(decision, noon); err == nil {
			t.Errorf("nobody signed, and the run is %s", after)
		}
	})
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	limit := 80.0
	lines := func(value float64) []gates.Measurement {
		return []gates.Measurement{{Name: "lines", Value: value, Unit: "%", Limit: &limit, Better: "higher"}}
	}
	verdict := gates.Verdict{Outcome: gates.Fail, Summary: "78.2 % of lines, limit 80 %", Measurements: lines(78.2)}
	good := promotion.Waiver{
		Gate: "quality/coverage", Phase: gates.PhaseBuild, Environment: "production", Bundle: "sha256:b", Verdict: promotion.Fingerprint(verdict), Measured: verdict.Measurements,
		Outcome: gates.Fail, Reason: "a hot fix", By: person("bea@example.com"), Time: noon, Expires: noon.Add(7 * 24 * time.Hour),
	}
	author := person("ann@example.com")
	policy := waiting().Policy
	for name, row := range map[string]struct {
		change      func(*promotion.Waiver)
		enforcement pipelines.Enforcement
		refused     string
	}{
		"good":                {enforcement: pipelines.Overridable},
		"mandatory":           {enforcement: pipelines.Mandatory, refused: "cannot be waived"},
		"advisory":            {enforcement: pipelines.Advisory, refused: "does not block"},
		"unknown enforcement": {enforcement: "soft", refused: "does not block"},
		"of a pass":           {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.Outcome = gates.Pass }, refused: "let the run through"},
		"without a reason":    {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.Reason = "" }, refused: "needs a reason"},
		"without a bundle":    {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.Bundle = "" }, refused: "made no bundle"},
		"that never begins":   {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.Expires = w.Time }, refused: "at most 90 days"},
		"for ever":            {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.Expires = w.Time.Add(91 * 24 * time.Hour) }, refused: "at most 90 days"},
		"of one's own run":    {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.By = author }, refused: "somebody else"},
		"by a stranger":       {enforcement: pipelines.Overridable, change: func(w *promotion.Waiver) { w.By = person("eve") }, refused: "none of the approvers"},
	} {
		waiver := good
		if row.change != nil {
			row.change(&waiver)
		}
		err := waiver.Check(row.enforcement, policy, &author)
		if row.refused == "" && err != nil || row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)) {
			t.Errorf("%s: %v, want %q", name, err, row.refused)
		}
	}

	covers := func(change func(w *promotion.Waiver, v *gates.Verdict, e *pipelines.Enforcement, at *time.Time)) bool {
		w, v, e, at := good, verdict, pipelines.Overridable, noon.Add(time.Hour)
		change(&w, &v, &e, &at)
		return w.Covers("production", "quality/coverage", gates.PhaseBuild, e, "sha256:b", v, at)
	}
	type change = func(w *promotion.Waiver, v *gates.Verdict, e *pipelines.Enforcement, at *time.Time)
	for name, allowed := range map[string]change{
		"as it was": func(*promotion.Waiver, *gates.Verdict, *pipelines.Enforcement, *time.Time) {},
		"a better number": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Summary, v.Measurements = "78.3 % of lines, limit 80 %", lines(78.3)
		},
		"its last moment": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, at *time.Time) {
			*at = w.Expires.Add(-1)
		},
		"a note beside it": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Findings = []gates.Finding{{Level: gates.LevelNote, Message: "x"}}
		},
	} {
		if !covers(allowed) {
			t.Errorf("%s: not covered", name)
		}
	}
	for name, other := range map[string]change{
		"another bundle": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			w.Bundle = "sha256:c"
		},
		"another environment": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			w.Environment = "staging"
		},
		"another gate": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			w.Gate = "quality/tests"
		},
		"another phase": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			w.Phase = gates.PhaseBake
		},
		"expired": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, at *time.Time) { *at = w.Expires },
		"mandatory by now": func(_ *promotion.Waiver, _ *gates.Verdict, e *pipelines.Enforcement, _ *time.Time) {
			*e = pipelines.Mandatory
		},
		"an error now": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Outcome = gates.Error
		},
		"a worse number": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Summary, v.Measurements = "10 % of lines, limit 80 %", lines(10)
		},
		"no number any more": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Measurements = lines(math.NaN())
		},
		"a number that was not seen": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Measurements = append(lines(78.2), gates.Measurement{Name: "branches", Value: 3, Unit: "%", Limit: &limit, Better: "higher"})
		},
		"of an older Penstock": func(w *promotion.Waiver, _ *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) { w.Measured = nil },
		"a new finding": func(_ *promotion.Waiver, v *gates.Verdict, _ *pipelines.Enforcement, _ *time.Time) {
			v.Findings = []gates.Finding{{Level: gates.LevelError, Rule: "file", Message: "src/new.ts is below the limit"}}
		},
	} {
		if covers(other) {
			t.Errorf("%s: covered", name)
		}
	}
}

// TestWhoseWaiversCount: a waiver is judged by the rules of the run that it is used in, signatures too.
func TestWhoseWaiversCount(t *testing.T) {
	t.Parallel()
	anns, beas, eves := key(t), key(t), key(t)
	ann, bea := person("ann@example.com"), person("bea@example.com")
	approvers := promotion.Policy{Approvers: []string{ann.Name, bea.Name}, Needed: 1}
	signed := approvers
	signed.Signers = bea.Name + " " + string(ssh.MarshalAuthorizedKey(beas.PublicKey())) + ann.Name + " " + string(ssh.MarshalAuthorizedKey(anns.PublicKey()))
	for name, row := range map[string]struct {
		policy  promotion.Policy
		by      event.Identity
		signer  ssh.Signer
		change  func(*promotion.Waiver)
		refused string
	}{
		"where nobody is asked":      {by: person("eve")},
		"by an approver":             {policy: approvers, by: bea},
		"of one's own run":           {policy: approvers, by: ann, refused: "somebody else"},
		"by a stranger":              {policy: approvers, by: person("eve"), refused: "none of the approvers"},
		"signed":                     {policy: signed, by: bea, signer: beas},
		"not signed":                 {policy: signed, by: bea, refused: "not signed"},
		"with another's key":         {policy: signed, by: bea, signer: eves, refused: "not signed by a key of bea"},
		"changed after it was given": {policy: signed, by: bea, signer: beas, change: func(w *promotion.Waiver) { w.Expires = w.Expires.Add(time.Hour) }, refused: "not signed by a key of bea"},
		"for more than was seen": {policy: signed, by: bea, signer: beas, change: func(w *promotion.Waiver) {
			w.Measured = []gates.Measurement{{Name: "lines", Value: 1, Better: "higher"}}
		}, refused: "not signed by a key of bea"},
	} {
		waiver := promotion.Waiver{
			ID: "w", App: "guide", Environment: "production", Run: "r1", Gate: "quality/coverage", Phase: gates.PhaseBuild, Bundle: "sha256:b", Verdict: "sha256:v",
			Outcome: gates.Fail, Reason: "hot fix", By: row.by, Time: noon, Expires: noon.Add(time.Hour),
		}
		if row.signer != nil {
			if err := waiver.Sign(row.signer); err != nil {
				t.Fatal(err)
			}
		}
		if row.change != nil {
			row.change(&waiver)
		}
		// As the ledger gives it back.
		text, err := json.Marshal(waiver)
		if err != nil {
			t.Fatal(err)
		}
		var kept promotion.Waiver
		if err := json.Unmarshal(text, &kept); err != nil {
			t.Fatal(err)
		}
		begun := promotion.Beginning{Run: "r2", App: "shop", Environment: "production", Source: "sha256:s", By: &ann}
		if err := begun.Sign(anns); err != nil {
			t.Fatal(err)
		}
		err = kept.Counts(row.policy, begun)
		if row.refused == "" && err != nil || row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)) {
			t.Errorf("%s: %v, want %q", name, err, row.refused)
		}
	}
}

// TestWhatAWaiverWasGivenFor: what is objected to is told apart by its numbers, except for times and for what measurements say.
func TestWhatAWaiverWasGivenFor(t *testing.T) {
	t.Parallel()
	finding := func(rule, message string) gates.Verdict {
		return gates.Verdict{Outcome: gates.Fail, Findings: []gates.Finding{{Level: gates.LevelError, Rule: rule, Message: message}}}
	}
	limit := 200.0
	measured := func(verdict gates.Verdict, name string, value float64, unit, better string) gates.Verdict {
		verdict.Measurements = []gates.Measurement{{Name: name, Value: value, Unit: unit, Limit: &limit, Better: better}}
		return verdict
	}
	slow := func(summary string, value float64) gates.Verdict {
		return measured(gates.Verdict{Outcome: gates.Fail, Summary: summary}, "p95", value, "ms", "lower")
	}
	for name, row := range map[string]struct {
		was, is gates.Verdict
		covered bool
	}{
		"the same test":             {finding("test failed", "answers 404: took 31 ms"), finding("test failed", "answers 404: took 45.5 ms"), true},
		"another test":              {finding("test failed", "answers 404"), finding("test failed", "answers 500"), false},
		"another vulnerability":     {finding("audit", "CVE-2026-1111 in a 1.0"), finding("audit", "CVE-2026-2222 in a 1.0"), false},
		"without any measurement":   {gates.Verdict{Outcome: gates.Fail, Summary: "3 errors"}, gates.Verdict{Outcome: gates.Fail, Summary: "300 errors"}, false},
		"times of the day":          {gates.Verdict{Outcome: gates.Pending, Summary: "soaked for 1h2m3s, until 2026-01-02T10:00:00Z"}, gates.Verdict{Outcome: gates.Pending, Summary: "soaked for 1h30m0s, until 2026-01-02T10:00:01Z"}, true},
		"times as Span says them":   {gates.Verdict{Outcome: gates.Pending, Summary: "soaked for " + gates.Span(62*time.Minute)}, gates.Verdict{Outcome: gates.Pending, Summary: "soaked for " + gates.Span(2*time.Hour)}, true},
		"about as slow":             {slow("p95 is 512.1 ms", 512.1), slow("p95 is 530 ms", 530), true},
		"much slower":               {slow("p95 is 512.1 ms", 512.1), slow("p95 is 900 ms", 900), false},
		"an alert that fires less":  {measured(finding("ErrorRate", "ErrorRate: it is 500"), "ErrorRate: errors", 500, "count", "lower"), measured(finding("ErrorRate", "ErrorRate: it is 300"), "ErrorRate: errors", 300, "count", "lower"), true},
		"an alert that fires more":  {measured(finding("ErrorRate", "ErrorRate: it is 500"), "ErrorRate: errors", 500, "count", "lower"), measured(finding("ErrorRate", "ErrorRate: it is 501"), "ErrorRate: errors", 501, "count", "lower"), false},
		"worse, within the limit":   {measured(finding("x", "y"), "errors", 5, "count", "lower"), measured(finding("x", "y"), "errors", 6, "count", "lower"), true},
		"another unit":              {slow("slow", 512), measured(gates.Verdict{Outcome: gates.Fail, Summary: "slow"}, "p95", 512, "s", "lower"), false},
		"a limit without direction": {measured(finding("x", "y"), "n", 5, "count", ""), measured(finding("x", "y"), "n", 6, "count", ""), false},
	} {
		waiver := promotion.Waiver{Gate: "g", Environment: "e", Bundle: "b", Verdict: promotion.Fingerprint(row.was), Measured: row.was.Measurements, Expires: noon.Add(time.Hour)}
		if got := waiver.Covers("e", "g", "", pipelines.Overridable, "b", row.is, noon); got != row.covered {
			t.Errorf("%s: covered=%v", name, got)
		}
	}
}
