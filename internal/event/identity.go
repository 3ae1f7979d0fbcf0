package event

import "strings"

// Identity is who did something, as far as this machine can tell. Only a signature proves one: the others are what git, the
// system or the person says.
type Identity struct {
	Kind string `json:"kind"`           // how it is known: the constants below
	Name string `json:"name"`           // what approvers are called by: an email address, an account
	Full string `json:"full,omitempty"` // for people
	// Account is the account of this machine that acted, whoever it said it was.
	Account string `json:"account,omitempty"`
}

// How an identity is known, from the weakest.
const (
	IdentityClaimed = "claimed" // said with --as
	IdentityAccount = "account" // the system's account
	IdentityGit     = "git"     // git's user.email
	IdentityGitHub  = "github"  // the actor of a workflow run
	IdentitySSH     = "ssh"     // a signature, checked against the allowed signers
)

// Is reports whether a name, as approvers are written, means this identity. Case does not count, as in email addresses.
func (i Identity) Is(name string) bool {
	name = strings.TrimSpace(name)
	return name != "" && strings.EqualFold(strings.TrimSpace(i.Name), name)
}

// String is the identity for people, with what is only claimed said so.
func (i Identity) String() string {
	switch {
	case i.Name == "":
		return "somebody unknown"
	case i.Kind == IdentityClaimed && i.Account != "":
		return i.Name + " (as " + i.Account + " says)"
	default:
		return i.Name
	}
}
