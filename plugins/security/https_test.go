package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
	"github.com/penstock-ci/penstock/gates/host"
)

// sites are a network of its own: what answers at http:// and at https://, and the error when it does not.
type sites struct {
	plain, encrypted http.HandlerFunc
	failure          error
}

func (s sites) RoundTrip(request *http.Request) (*http.Response, error) {
	handler := s.plain
	if request.URL.Scheme == "https" {
		handler = s.encrypted
		if s.failure != nil {
			return nil, s.failure
		}
	}
	if handler == nil || request.URL.Hostname() != "shop.example" {
		return nil, errors.New("connection refused")
	}
	recorder := httptest.NewRecorder()
	handler(recorder, request)
	return recorder.Result(), nil
}

func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to+r.URL.Path)
		w.WriteHeader(status)
	}
}

func transportSecurity(value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if value != "" {
			w.Header().Set("Strict-Transport-Security", value)
		}
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	good, guide := redirect(308, "https://shop.example"), transportSecurity(guideHeaders["Strict-Transport-Security"])
	for _, one := range []struct {
		name   string
		sites  sites
		config string
		want   gates.Outcome
		check  gatetest.Check
	}{
		{"enforced", sites{plain: good, encrypted: guide}, `{"paths": ["/", "/api/guides"]}`, gates.Pass, gatetest.Says("shop.example sends plain HTTP to HTTPS for good", "2 paths")},
		{"enforced by 301", sites{plain: redirect(301, "https://www.shop.example"), encrypted: guide}, "", gates.Pass, nil},
		{"plain HTTP is served", sites{plain: guide, encrypted: guide}, "", gates.Fail, foundSaying("redirect", "GET http://shop.example/ (200)", "not sent to HTTPS")},
		{"for now only", sites{plain: redirect(302, "https://shop.example"), encrypted: guide}, "", gates.Fail, foundSaying("redirect", "for now only")},
		{"to plain HTTP", sites{plain: redirect(301, "http://www.shop.example"), encrypted: guide}, "", gates.Fail, foundSaying("redirect", "not HTTPS")},
		{"nowhere", sites{plain: redirect(301, ""), encrypted: guide}, "", gates.Fail, foundSaying("redirect", "not HTTPS")},
		{"no HSTS", sites{plain: good, encrypted: transportSecurity("")}, "", gates.Fail, foundSaying("strict-transport-security", "GET https://shop.example/ (200)", "is missing")},
		{"short HSTS", sites{plain: good, encrypted: transportSecurity("max-age=60")}, "", gates.Fail, foundSaying("strict-transport-security", "max-age is 60")},
		{"short HSTS is enough", sites{plain: good, encrypted: transportSecurity("max-age=60")}, `{"hsts": "max-age=60"}`, gates.Pass, nil},
		{"a certificate that nobody trusts", sites{plain: good, encrypted: guide, failure: &tls.CertificateVerificationError{Err: errors.New("has expired")}}, "", gates.Fail,
			foundSaying("certificate", "has expired")},
		{"no HTTPS", sites{plain: good}, "", gates.Error, gatetest.Says("GET / was not answered: connection refused")},
		{"no plain HTTP", sites{encrypted: guide}, "", gates.Error, gatetest.Says("connection refused")},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			gatetest.Run(t, httpsGate{transport: one.sites}, []gatetest.Case{{
				Name: "asked", Config: one.config, Want: one.want, Check: one.check, Request: gates.Request{Run: gates.Run{PublicURL: "https://shop.example"}},
			}})
		})
	}

	t.Run("says which network it asks for", func(t *testing.T) {
		t.Parallel()
		content, err := os.ReadFile(gatetest.Binary(t))
		if err != nil {
			t.Fatal(err)
		}
		set := host.PluginRef{Set: "security", Path: gatetest.Binary(t), Pin: host.Pin{Set: "security", SHA256: fmt.Sprintf("%x", sha256.Sum256(content))}}
		h := host.New(host.Options{Sets: []host.PluginRef{set}, ScratchDir: t.TempDir()})
		defer h.Close(context.WithoutCancel(t.Context()))
		confined, err := h.Confinement(t.Context(), "security/https")
		if err != nil {
			t.Fatal(err)
		}
		if told := fmt.Sprint(confined); strings.Contains(told, "network: none") || !strings.Contains(told, "the public address:80") && runtime.GOOS == "linux" {
			t.Errorf("of the network it is told: %s", told)
		}
	})

	// What a Cloudflare on this machine serves under the app's own name: the certificate of httptest is for example.com.
	encrypted := httptest.NewTLSServer(guide)
	t.Cleanup(encrypted.Close)
	plain, sends := httptest.NewServer(guide), httptest.NewServer(redirect(301, "https://example.com"))
	t.Cleanup(plain.Close)
	t.Cleanup(sends.Close)
	signer := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encrypted.Certificate().Raw})
	onEdge := func(name string, answers *httptest.Server, authority []byte) gates.Request {
		edge := gates.Edge{Host: name, Plain: answers.Listener.Addr().String(), Encrypted: encrypted.Listener.Addr().String(), Authority: authority}
		return gates.Request{Run: gates.Run{PublicURL: "http://127.0.0.1:8787", Edge: &edge}}
	}

	at := func(url string) gates.Request { return gates.Request{Run: gates.Run{PublicURL: url}} }
	nobody := httptest.NewServer(nil)
	nobody.Close()
	gatetest.Try(t, httpsGate{}, []gatetest.Case{
		{Name: "local", Request: at("http://shop.localhost:8787"), Want: gates.Inconclusive, Check: gatetest.Says("the environment is local")},
		{Name: "no public address", Request: at(""), Want: gates.Inconclusive, Check: gatetest.Says("no public address")},
		{Name: "an edge that enforces it", Request: onEdge("example.com", sends, signer), Want: gates.Pass, Check: gatetest.Says("example.com sends plain HTTP to HTTPS for good")},
		{Name: "an edge that answers plain HTTP", Request: onEdge("example.com", plain, signer), Want: gates.Fail, Check: foundSaying("redirect", "GET http://example.com/ (200)")},
		{Name: "an edge with another name's certificate", Request: onEdge("shop.example", sends, signer), Want: gates.Fail, Check: foundSaying("certificate", "shop.example")},
		{Name: "an edge whose signer nobody knows", Request: onEdge("example.com", sends, nil), Want: gates.Error},
		{Name: "an address that is none", Request: at("shop"), Want: gates.Error},
		// The connection is refused by the one who is not there, and not by the sandbox.
		{Name: "refused", Request: at("https" + nobody.URL[len("http"):]), Want: gates.Error, Check: gatetest.Says("was not answered", "refused")},
	})
}
