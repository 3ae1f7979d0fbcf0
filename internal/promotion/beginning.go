package promotion

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/penstock-ci/penstock/internal/event"
)

// BeginningNamespace keeps keys that may only say who began a run from deciding about it: a CI system's, for those whose word
// it passes on.
const BeginningNamespace = "penstock-beginning"

// Beginning says who began a run, and proves it when it is signed. Where only signed decisions count it must be, or nobody
// could tell an approver who approves their own run, begun under another name.
type Beginning struct {
	Run, App, Environment string
	Source                string // its digest
	By                    *event.Identity
	Signature             string // an armored SSH signature over [Beginning.Signed]; "" when it is not signed
}

// Signed is the text that a signature covers. Its form is part of every signature.
func (b Beginning) Signed() []byte {
	name := ""
	if b.By != nil {
		name = b.By.Name
	}
	return fmt.Appendf(nil, "penstock beginning 1\nrun %s\napp %q\nenvironment %q\nsource %s\nby %q\n", b.Run, b.App, b.Environment, b.Source, name)
}

// Sign signs the beginning with an SSH key, as [Decision.Sign] does.
func (b *Beginning) Sign(signer ssh.Signer) (err error) {
	b.Signature, err = sign(b.Signed(), signer, BeginningNamespace)
	return err
}

// Proven says why it is not proven who began a run ([*RefusedError]); nil where no proof is asked for.
func (p Policy) Proven(b Beginning) error {
	if !p.wantsProof() {
		return nil
	}
	_, err := p.beganWith(b)
	return err
}

// wantsProof reports whether it matters who began a run, and only what is signed counts.
func (p Policy) wantsProof() bool {
	return p.Signers != "" && len(p.Approvers) > 0 && !p.SelfApproval
}

// beganWith returns the key that proves who began a run.
func (p Policy) beganWith(b Beginning) (ssh.PublicKey, error) {
	if b.By == nil || strings.TrimSpace(b.By.Name) == "" {
		return nil, &RefusedError{"it is not known who began run " + b.Run, "begin it anew with --sign KEY"}
	}
	key, err := signedBy(p.Signers, BeginningNamespace, b.By.Name, b.Signed(), b.Signature)
	if err != nil {
		return nil, &RefusedError{"it is not proven that " + b.By.Name + " began run " + b.Run + ": " + err.Error(), "begin it anew with --sign KEY"}
	}
	return key, nil
}

// need is how many must approve a run. Where it is not proven who began it, one of them may have: then one more must.
func (p Policy) need(b Beginning) (needed int, unproven bool) {
	if p.Needed > 0 && p.Proven(b) != nil {
		return p.Needed + 1, true
	}
	return p.Needed, false
}

// TooFew says that a run can never be approved ([*RefusedError]), because too few are left who could.
func (p Policy) TooFew(b Beginning) error {
	needed, unproven := p.need(b)
	if left := len(p.others(b.By)); left < needed && unproven {
		return &RefusedError{
			fmt.Sprintf("%v, so %d others than they must approve it, and there are %d", p.Proven(b), needed, left),
			"sign the beginning: add --sign KEY, with a key that the environment's signers file lists for them",
		}
	}
	return nil
}

// clears says why somebody may not approve a run, or waive one of its gates, by what they signed; nil when they may.
func (p Policy) clears(who event.Identity, b Beginning, text []byte, signature string) (ssh.PublicKey, error) {
	if why := p.MayClear(who, b.By); why != "" {
		return nil, &RefusedError{why, "ask " + strings.Join(p.others(b.By), " or ")}
	}
	if p.Signers == "" {
		return nil, nil
	}
	key, err := signedBy(p.Signers, SignatureNamespace, who.Name, text, signature)
	if err != nil {
		return nil, err
	}
	if p.wantsProof() {
		if began, unproven := p.beganWith(b); unproven == nil && sameKey(began, key) {
			return nil, &RefusedError{who.Name + " has the key of who began this run, and the environment wants somebody else", "ask " + strings.Join(p.others(b.By), " or ")}
		}
	}
	return key, nil
}

func sameKey(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && slices.Equal(a.Marshal(), b.Marshal())
}
