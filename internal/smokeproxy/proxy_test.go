package smokeproxy

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

const (
	version  = "1a2b3c4d-0000-4000-8000-000000000001"
	override = "Cloudflare-Workers-Version-Overrides"
)

func start(t *testing.T, handler http.HandlerFunc) *Proxy {
	t.Helper()
	target := httptest.NewServer(handler)
	t.Cleanup(target.Close)
	proxy, err := Start(t.Context(), promotion.Address{URL: target.URL, Header: http.Header{override: {`app="` + version + `"`}}}, version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	return proxy
}

func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestAPlainClientReachesTheVersion(t *testing.T) {
	t.Parallel()
	proxy := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shown" {
			w.Header().Set("X-Version-Id", version)
		}
		fmt.Fprint(w, r.Host, " ", r.URL.RequestURI(), " ", r.Header.Get(override))
	})
	_, body := get(t, proxy.URL+"/api?q=1")
	if strings.Contains(proxy.URL, strings.Fields(body)[0]) || !strings.Contains(body, " /api?q=1 app=\""+version) {
		t.Errorf("the target saw %q", body)
	}
	get(t, proxy.URL+"/shown")
	// The first only repeats what it was asked.
	if seen := proxy.Seen(); seen != (Seen{Answers: 2, Proven: 1, Unproven: "/api?q=1"}) {
		t.Errorf("%+v", seen)
	}
}

func TestAnAnswerOfAnotherVersionIsNotProven(t *testing.T) {
	t.Parallel()
	proxy := start(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "9f8e7d6c") })
	get(t, proxy.URL)
	if seen := proxy.Seen(); seen != (Seen{Answers: 1, Unproven: "/"}) {
		t.Errorf("%+v", seen)
	}
}

func TestAnIdSplitOverTwoReadsIsFound(t *testing.T) {
	t.Parallel()
	found := 0
	body := io.NopCloser(io.MultiReader(strings.NewReader("xx"+version[:7]), strings.NewReader(version[7:20]), strings.NewReader(version[20:]+"yy")))
	if _, err := io.Copy(io.Discard, &scanner{ReadCloser: body, proof: promotion.Address{}.Proof(version), found: func() { found++ }}); err != nil || found != 1 {
		t.Errorf("found %d times, %v", found, err)
	}
}

func TestRedirectsStayInTheProxy(t *testing.T) {
	t.Parallel()
	proxy := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "http://"+r.Host+"/home?x=1", http.StatusFound)
			return
		}
		fmt.Fprint(w, "home")
	})
	response, body := get(t, proxy.URL+"/")
	if body != "home" || "http://"+response.Request.URL.Host != proxy.URL {
		t.Errorf("%q from %s", body, response.Request.URL)
	}
}

// A Worker may have no host of its own, but a path of one: what it calls "/app/home" is "/home" here.
func TestRedirectsWithinThePathOfTheWorkerStayInTheProxy(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/app/relative":
			w.Header().Set("Location", "/app/home?x=1")
			w.WriteHeader(http.StatusFound)
		case "/app/whole":
			http.Redirect(w, r, "http://"+r.Host+"/app/home?x=1", http.StatusFound)
		case "/app/out":
			http.Redirect(w, r, "http://"+r.Host+"/application", http.StatusFound)
		default:
			fmt.Fprint(w, r.URL.RequestURI())
		}
	}))
	t.Cleanup(target.Close)
	proxy, err := Start(t.Context(), promotion.Address{URL: target.URL + "/app"}, version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	for _, way := range []string{"/relative", "/whole"} {
		response, body := get(t, proxy.URL+way)
		if body != "/app/home?x=1" || response.Request.URL.String() != proxy.URL+"/home?x=1" {
			t.Errorf("%s: %q from %s", way, body, response.Request.URL)
		}
	}
	// What lies beside that path is no part of the Worker, and not to be had through the proxy.
	if response, body := get(t, proxy.URL+"/out"); body != "/application" || response.Request.URL.String() != target.URL+"/application" {
		t.Errorf("%q from %s", body, response.Request.URL)
	}
}

// What a client asks to be packed is shown all the same: fetch() of Node does, and Cloudflare packs what it is asked to.
func TestAnIdInAPackedAnswerIsFound(t *testing.T) {
	t.Parallel()
	proxy := start(t, func(w http.ResponseWriter, r *http.Request) {
		text := `{"version":"` + version + `"}`
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			fmt.Fprint(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		fmt.Fprint(packed, text)
		_ = packed.Close()
	})
	_, body := get(t, proxy.URL+"/health") // net/http asks for gzip, and unpacks
	if seen := proxy.Seen(); seen != (Seen{Answers: 1, Proven: 1}) || !strings.Contains(body, version) {
		t.Errorf("%+v, %q", seen, body)
	}
}

func TestATargetThatIsGoneIsA502(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	proxy, err := Start(t.Context(), promotion.Address{URL: gone.URL}, version)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	response, _ := get(t, proxy.URL)
	if response.StatusCode != http.StatusBadGateway || proxy.Seen().Failed != 1 {
		t.Errorf("%d, %+v", response.StatusCode, proxy.Seen())
	}
}

// A switched connection carries bytes both ways, as a WebSocket does after its handshake.
func TestWebSocketsPass(t *testing.T) {
	t.Parallel()
	proxy := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get(override) == "" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Version-Id: %s\r\n\r\n", version)
		line, err := buffered.ReadString('\n')
		if err == nil {
			fmt.Fprint(connection, "echo "+line)
		}
	})
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := net.DialTimeout("tcp", address.Host, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(connection, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", response, err)
	}
	fmt.Fprint(connection, "ping\n")
	if line, err := reader.ReadString('\n'); err != nil || line != "echo ping\n" {
		t.Errorf("%q, %v", line, err)
	}
	if seen := proxy.Seen(); seen.Proven != 1 {
		t.Errorf("%+v", seen)
	}
}

func TestItEndsWithTheStage(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.NotFoundHandler())
	defer target.Close()
	ctx, cancel := context.WithCancel(t.Context())
	proxy, err := Start(ctx, promotion.Address{URL: target.URL}, version)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-proxy.served
	if _, err := http.Get(proxy.URL); err == nil {
		t.Error("it still listens")
	}
	if err := errors.Join(proxy.Close(), proxy.Close()); err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), promotion.Address{URL: "not an address"}, version); err == nil {
		t.Error("started")
	}
}
