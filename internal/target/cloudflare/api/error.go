package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Codes of Cloudflare's on which somebody acts. Source: what wrangler 4.86.0 acts on.
const (
	CodeScriptNotFound  = 10007
	CodeServiceNotFound = 10090
	// Both refuse to edit a secret while the newest version is not the deployed one.
	CodeSecretEditLatest   = 10215
	CodeSecretEditDeployed = 10214
	// CodeSecretsChanged refuses to deploy a version whose secrets are not today's, unless it is forced.
	CodeSecretsChanged = 10220
)

// ErrNotFound is wrapped when what was asked for does not exist.
var ErrNotFound = errors.New("does not exist")

// ErrDenied is wrapped when the token is invalid or lacks a permission.
var ErrDenied = errors.New("not allowed")

// Detail is one of the errors in an answer.
type Detail struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error is an answer of Cloudflare's that is not a success.
type Error struct {
	Method     string
	Path       string
	Status     int // HTTP
	Details    []Detail
	RetryAfter time.Duration // what the answer asked for; zero when it did not
}

// Error shows Cloudflare's own codes and messages, and for a refusal which permission the call needs.
func (e *Error) Error() string {
	text := fmt.Sprintf("cloudflare answered %d to %s %s", e.Status, e.Method, e.Path)
	if said := e.Message(); said != "" {
		text += ": " + said
	}
	switch {
	case e.denied():
		text += "; check that the API token is valid and has the permission " + permission(e.Method, e.Path)
	case e.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
		text += fmt.Sprintf("; too many requests: try again in %d s", int(e.RetryAfter.Round(time.Second).Seconds()))
	}
	return text
}

// Message is what Cloudflare said, with its codes, in one line.
func (e *Error) Message() string {
	said := make([]string, 0, len(e.Details))
	for _, detail := range e.Details {
		said = append(said, fmt.Sprintf("%s [code: %d]", inOneLine.Replace(strings.TrimSpace(detail.Message)), detail.Code))
	}
	return strings.Join(said, "; ")
}

// inOneLine is for messages that list the lines of a file, as those about _redirects and _headers do.
var inOneLine = strings.NewReplacer(":\n", ": ", ".\n", ". ", "\n", "; ")

// Has reports whether Cloudflare gave that code.
func (e *Error) Has(code int) bool {
	for _, detail := range e.Details {
		if detail.Code == code {
			return true
		}
	}
	return false
}

// Is makes errors.Is work with ErrNotFound, ErrDenied and promotion.ErrUnreachable. A 5xx says nothing about what was
// done, so it counts as unreachable; so does 429, which says "ask later".
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound || e.Has(CodeScriptNotFound) || e.Has(CodeServiceNotFound)
	case ErrDenied:
		return e.denied()
	case promotion.ErrUnreachable:
		return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
	default:
		return false
	}
}

// denied: 10000 "Authentication error" and 9109 "Unauthorized to access requested resource" also come with other statuses.
func (e *Error) denied() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || e.Has(10000) || e.Has(9109)
}

// permission names what a token needs for a call, in the words of Cloudflare's token page.
func permission(method, path string) string {
	level := "Edit"
	if method == http.MethodGet || strings.Contains(path, "/graphql") {
		level = "Read"
	}
	for _, area := range []struct{ path, name string }{
		{"/d1/", "Account > D1"},
		{"/storage/kv/", "Account > Workers KV Storage"},
		{"/r2/", "Account > Workers R2 Storage"},
		{"/queues", "Account > Queues"},
		{"/workers/routes", "Zone > Workers Routes"},
		{"/ssl/", "Zone > SSL and Certificates"},
		{"/vectorize/", "Account > Vectorize"},
		{"/graphql", "Account > Account Analytics"},
		{"/workers/", "Account > Workers Scripts"},
		{"/zones", "Zone > Zone"},
	} {
		if strings.Contains(path, area.path) {
			return fmt.Sprintf("%q", area.name+" > "+level)
		}
	}
	return fmt.Sprintf("%q", "Account > Workers Scripts > "+level)
}
