package githubtest

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed webhooks
var payloads embed.FS

// app is a GitHub App that is installed.
type app struct {
	id  int64
	key *rsa.PrivateKey
}

// App registers a GitHub App, returns its private key as the PEM that GitHub hands out, and gives its installation tokens
// what token says (its value is chosen anew each time).
func (g *GitHub) App(id int64) []byte {
	g.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.app = &app{id, key}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// check verifies a JSON Web Token as GitHub does (RFC 7519; RS256; at most ten minutes); it returns what GitHub would say.
func (a *app) check(token string) string {
	const bad = "A JSON web token could not be decoded"
	parts := strings.Split(token, ".")
	if a == nil || len(parts) != 3 {
		return bad
	}
	decode := func(part string, into any) bool {
		text, err := base64.RawURLEncoding.DecodeString(part)
		return err == nil && json.Unmarshal(text, into) == nil
	}
	var header struct{ Alg string }
	var claims struct {
		Iat, Exp int64
		Iss      any
	}
	if !decode(parts[0], &header) || !decode(parts[1], &claims) || header.Alg != "RS256" {
		return bad
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return bad
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(&a.key.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return bad
	}
	now := time.Now().Unix()
	switch {
	case fmt.Sprint(claims.Iss) != strconv.FormatInt(a.id, 10):
		return "'Issuer' claim ('iss') must be an Integer or the app's client id"
	case claims.Exp <= now:
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time"
	case claims.Exp > now+600 || claims.Exp-claims.Iat > 660:
		return "'Expiration time' claim ('exp') is too far in the future"
	case claims.Iat > now+60:
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	}
	return ""
}

func (g *GitHub) createInstallationToken(w http.ResponseWriter, _ *http.Request) {
	token := WorkflowToken("ghs_" + rand.Text())
	token.Login = "penstock[bot]"
	g.tokens[token.Value] = token
	write(w, 201, map[string]any{"token": token.Value, "expires_at": expiry()})
}

// Payload is GitHub's example of a webhook's payload: webhooks/<name>.json, changed by change where that is not nil. It is held
// against the schema of that webhook ("pull-request-opened").
func (g *GitHub) Payload(name, schema string, change func(map[string]any)) []byte {
	g.t.Helper()
	text, err := payloads.ReadFile(path.Join("webhooks", name+".json"))
	if err != nil {
		g.t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(text, &payload); err != nil {
		g.t.Fatal(err)
	}
	if change != nil {
		change(payload)
	}
	doc, err := described()
	if err != nil {
		g.t.Fatal(err)
	}
	ref := doc.Components.Schemas["webhook-"+schema]
	if ref == nil {
		g.t.Fatalf("the trimmed description has no schema of the webhook %s", schema)
	}
	text, err = json.Marshal(payload)
	if err != nil {
		g.t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		g.t.Fatal(err)
	}
	if err := ref.Value.VisitJSON(plain, openapi3.SetSchemaErrorMessageCustomizer(briefly)); err != nil {
		g.t.Errorf("GitHub's schema forbids the payload %s: %v", name, err)
	}
	return text
}

// Deliver signs a payload and sends it, as GitHub does. A delivery id that was used before is a redelivery or a replay.
func (g *GitHub) Deliver(url, event, delivery, secret string, payload []byte) *http.Response {
	g.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(payload)
	request, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		g.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "GitHub-Hookshot/044aadd")
	request.Header.Set("X-GitHub-Event", event)
	request.Header.Set("X-GitHub-Delivery", delivery)
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { response.Body.Close() })
	return response
}
