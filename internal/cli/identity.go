package cli

import (
	"context"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/snapshot"
)

// whoami says who acts: whom --as names, else the actor of a GitHub workflow run, else git's user.email in the folder, else
// the account of this machine. What is only said stays marked as such.
func (s *Streams) whoami(ctx context.Context, folder, as string) event.Identity {
	account := s.account()
	if as = said(as); as != "" {
		return event.Identity{Kind: event.IdentityClaimed, Name: as, Account: account}
	}
	if s.Env("GITHUB_ACTIONS") == "true" && s.Env("GITHUB_ACTOR") != "" {
		return event.Identity{Kind: event.IdentityGitHub, Name: said(s.Env("GITHUB_ACTOR")), Account: account}
	}
	if email := gitConfig(ctx, folder, "user.email"); email != "" {
		return event.Identity{Kind: event.IdentityGit, Name: email, Full: gitConfig(ctx, folder, "user.name"), Account: account}
	}
	name, _, _ := strings.Cut(account, "@")
	return event.Identity{Kind: event.IdentityAccount, Name: name, Account: account}
}

// account is user@host; "" where the system does not say.
func (s *Streams) account() string {
	current, err := user.Current()
	if err != nil {
		return ""
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return current.Username + "@" + host
}

// gitConfig reads one value of git's config; "" when there is none, and where there is no git.
func gitConfig(ctx context.Context, folder, key string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	value, err := gitOutput(ctx, folder, "config", "--get", key)
	if err != nil {
		return ""
	}
	return said(value)
}

// said is what a person or a config says, on one line and visible as a whole: others will read it and go by it.
func said(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
}

// gitOutput is what git answers in the folder, on one line.
func gitOutput(ctx context.Context, folder string, arguments ...string) (string, error) {
	out, err := snapshot.GitCommand(ctx, folder, arguments...).Output()
	return strings.TrimSpace(string(out)), err
}
