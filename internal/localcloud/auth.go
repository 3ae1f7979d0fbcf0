package localcloud

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// authenticated lets a call through that bears the token and names the account.
func (c *Cloud) authenticated(next http.Handler) http.Handler {
	return c.reply(func(w http.ResponseWriter, r *http.Request) (*answer, error) {
		token := bearer(r)
		if token == "" {
			return nil, refuse(http.StatusUnauthorized, codeAuthentication, "Authentication error")
		}
		// Who uploads static assets bears the token of the session instead, and can do nothing else with it.
		uploads := strings.HasSuffix(r.URL.Path, "/workers/assets/upload") && c.assets.get(token) != nil
		if !uploads && subtle.ConstantTimeCompare([]byte(token), []byte(c.identity.Token)) != 1 {
			return nil, refuse(http.StatusUnauthorized, codeInvalidToken, "Invalid access token")
		}
		if account, named := strings.CutPrefix(r.URL.Path, apiPrefix+"/accounts/"); named {
			if id, _, _ := strings.Cut(account, "/"); id != c.identity.AccountID {
				return nil, refuse(http.StatusForbidden, codeInvalidToken, "Unauthorized to access requested resource")
			}
		}
		next.ServeHTTP(w, r)
		return nil, nil
	})
}

// bearer is the token that a call bears, empty when it bears none.
func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == r.Header.Get("Authorization") {
		return ""
	}
	return token
}

func (c *Cloud) verifyToken(http.ResponseWriter, *http.Request) (*answer, error) {
	done := ok(map[string]any{"id": c.identity.AccountID, "status": "active"})
	done.messages = []string{"This API Token is valid and active"}
	return done, nil
}

func (c *Cloud) user(http.ResponseWriter, *http.Request) (*answer, error) {
	return ok(map[string]any{
		"id": c.identity.AccountID, "email": author, "first_name": nil, "last_name": nil, "username": "local", "country": nil,
		"two_factor_authentication_enabled": false, "suspended": false,
	}), nil
}

// author is who every change is said to be made by.
const author = "local@localhost"

func (c *Cloud) account() map[string]any {
	return map[string]any{"id": c.identity.AccountID, "name": "Local Cloudflare", "type": "standard", "settings": map[string]any{"enforce_twofactor": false}}
}

func (c *Cloud) accounts(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	return paged(r, []map[string]any{c.account()}, 20)
}

func (c *Cloud) getAccount(http.ResponseWriter, *http.Request) (*answer, error) {
	return ok(c.account()), nil
}
