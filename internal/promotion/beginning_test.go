package promotion_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
)

// begunBy is [waiting] with a signed beginning.
func begunBy(t *testing.T, signer ssh.Signer) promotion.Held {
	t.Helper()
	held := waiting()
	begun := held.Begun()
	if err := begun.Sign(signer); err != nil {
		t.Fatal(err)
	}
	held.Beginning = begun.Signature
	return held
}

// TestNobodyApprovesARunBegunUnderAnotherName: where only signatures count, a name that is only said does not hide who began.
func TestNobodyApprovesARunBegunUnderAnotherName(t *testing.T) {
	t.Parallel()
	anns, beas, cyds := key(t), key(t), key(t)
	line := func(who string, signer ssh.Signer) string {
		return who + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	}
	everybody := line("ann@example.com", anns) + line("bea@example.com", beas) + line("cyd@example.com", cyds)
	as := func(name string) func(*promotion.Held) {
		return func(h *promotion.Held) { h.Author = &event.Identity{Kind: event.IdentityClaimed, Name: name} }
	}
	type approval struct {
		name string
		key  ssh.Signer
	}
	for name, row := range map[string]struct {
		held      func(*promotion.Held)
		signers   string
		begins    ssh.Signer // who signs the beginning; nil nobody
		spoil     func(*promotion.Held)
		approvals []approval
		approved  bool
		refused   string // of the last
	}{
		"another approves": {begins: anns, approvals: []approval{{"bea@example.com", beas}}, approved: true},
		"the beginner":     {begins: anns, approvals: []approval{{"ann@example.com", anns}}, refused: "somebody else"},
		"nobody signed the beginning, one approves": {held: as("eve"), approvals: []approval{{"ann@example.com", anns}}},
		"nobody signed, and two approve":            {held: as("eve"), approvals: []approval{{"ann@example.com", anns}, {"bea@example.com", beas}}, approved: true},
		"it is not known who began, one approves":   {held: func(h *promotion.Held) { h.Author = nil }, approvals: []approval{{"ann@example.com", anns}}},
		"signed under another's name":               {held: as("bea@example.com"), begins: anns, approvals: []approval{{"ann@example.com", anns}}},
		"signed as a name that nobody knows":        {held: as("eve"), begins: anns, approvals: []approval{{"ann@example.com", anns}}},
		"a second name for the beginner's key": {
			begins: anns, signers: everybody + line("cyd@example.com", anns), approvals: []approval{{"cyd@example.com", anns}}, refused: "has the key of who began",
		},
		"two names for one key": {
			held: func(h *promotion.Held) { h.Policy.Needed = 2 }, begins: anns, signers: everybody + line("cyd@example.com", beas),
			approvals: []approval{{"bea@example.com", beas}, {"cyd@example.com", beas}}, refused: "already",
		},
		"a signature of another run": {begins: anns, spoil: func(h *promotion.Held) {
			begun := h.Begun()
			begun.Run = "r0"
			if err := begun.Sign(anns); err != nil {
				t.Error(err)
			}
			h.Beginning = begun.Signature
		}, approvals: []approval{{"bea@example.com", beas}}},
		"a decision's signature": {begins: anns, spoil: func(h *promotion.Held) {
			decision := promotion.Decision{Run: "r1"}
			if err := decision.Sign(anns); err != nil {
				t.Error(err)
			}
			h.Beginning = decision.Signature
		}, approvals: []approval{{"bea@example.com", beas}}},
		"a machine passes on who began": {
			begins: cyds, signers: line("bea@example.com", beas) + `ann@example.com namespaces="penstock-beginning" ` + line("", cyds)[1:],
			approvals: []approval{{"bea@example.com", beas}}, approved: true,
		},
		"that machine approves": {
			held: as("bea@example.com"), begins: cyds, signers: `ann@example.com,bea@example.com namespaces="penstock-beginning" ` + line("", cyds)[1:],
			approvals: []approval{{"ann@example.com", cyds}}, refused: "not signed by a key of ann",
		},
		"where self-approval is allowed": {held: func(h *promotion.Held) { h.Policy.SelfApproval = true }, approvals: []approval{{"ann@example.com", anns}}, approved: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := waiting()
			held.Policy.Signers = everybody
			if row.signers != "" {
				held.Policy.Signers = row.signers
			}
			if row.held != nil {
				row.held(&held)
			}
			if row.begins != nil {
				begun := held.Begun()
				if err := begun.Sign(row.begins); err != nil {
					t.Fatal(err)
				}
				held.Beginning = begun.Signature
			}
			if row.spoil != nil {
				row.spoil(&held)
			}
			var err error
			for _, one := range row.approvals {
				decision := yes(one.name)
				if err := decision.Sign(one.key); err != nil {
					t.Fatal(err)
				}
				if held.State, err = held.Take(decision, noon); err == nil || row.refused != "" {
					held.Decisions = append(held.Decisions, decision) // also what was refused, as if somebody had written it
				}
			}
			if row.refused == "" && err != nil || row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)) {
				t.Errorf("%v, want %q", err, row.refused)
			}
			if got := held.Standing(held.Plan).Approved; got != row.approved || (held.State == promotion.Approved) != row.approved {
				t.Errorf("approved: %v, and it is %s; want %v", got, held.State, row.approved)
			}
		})
	}
}

// TestARunThatNobodyCouldApprove is refused at its beginning, and only that.
func TestARunThatNobodyCouldApprove(t *testing.T) {
	t.Parallel()
	held := waiting()
	held.Policy.Signers = "ann@example.com " + string(ssh.MarshalAuthorizedKey(key(t).PublicKey()))
	if err := held.Policy.TooFew(held.Begun()); err != nil {
		t.Errorf("two others can approve: %v", err)
	}
	held.Policy.Approvers = held.Policy.Approvers[:2]
	if err := held.Policy.TooFew(held.Begun()); err == nil || !strings.Contains(err.Error(), "2 others than they must approve it, and there are 1") {
		t.Errorf("one other: %v", err)
	}
	held.Policy.Signers = ""
	if err := held.Policy.TooFew(held.Begun()); err != nil {
		t.Errorf("where nothing is signed: %v", err)
	}
}

// TestNobodyWaivesTheirOwnRun: a waiver is one person's word, so where it is not proven who began the run it is not enough.
func TestNobodyWaivesTheirOwnRun(t *testing.T) {
	t.Parallel()
	anns, beas := key(t), key(t)
	held := waiting()
	held.Policy.Signers = "ann@example.com " + string(ssh.MarshalAuthorizedKey(anns.PublicKey())) + "bea@example.com " + string(ssh.MarshalAuthorizedKey(beas.PublicKey()))
	waiver := promotion.Waiver{ID: "w", Environment: "production", Run: "r1", Gate: "quality/coverage", By: person("ann@example.com"), Time: noon, Expires: noon.AddDate(0, 0, 7)}
	if err := waiver.Sign(anns); err != nil {
		t.Fatal(err)
	}
	held.Author.Name = "eve"
	if err := waiver.Counts(held.Policy, held.Begun()); err == nil || !strings.Contains(err.Error(), "not proven that eve began") {
		t.Errorf("begun under another name: %v", err)
	}
	held.Author.Name = "bea@example.com"
	begun := held.Begun()
	if err := begun.Sign(beas); err != nil {
		t.Fatal(err)
	}
	if err := waiver.Counts(held.Policy, begun); err != nil {
		t.Errorf("begun by another: %v", err)
	}
	waiver.Expires = noon.AddDate(10, 0, 0)
	if err := waiver.Sign(anns); err != nil {
		t.Fatal(err)
	}
	if err := waiver.Counts(held.Policy, begun); err == nil || !strings.Contains(err.Error(), "90 days") {
		t.Errorf("for ten years: %v", err)
	}
}
