package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

// running is a request about a version that answers like that, at an address that is not this machine's alone.
func running(t *testing.T, handler http.HandlerFunc) gates.Request {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return gates.Request{Run: gates.Run{URL: server.URL, PublicURL: "https://shop.example"}}
}

// cannotFindOut are the ways in which a version gives no answer. config is the rest of an object, or nothing.
func cannotFindOut(t *testing.T, config string) []gatetest.Case {
	t.Helper()
	if config != "" {
		config = ", " + config
	}
	listen := func(speak func(net.Conn)) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer connection.Close()
					speak(connection)
				}()
			}
		}()
		return "http://" + listener.Addr().String()
	}
	nobody := httptest.NewServer(nil)
	nobody.Close()
	silent := listen(func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) })
	other := listen(func(connection net.Conn) {
		// Only once it was asked: what comes before is another error, at times.
		_, _ = connection.Read(make([]byte, 1))
		_, _ = io.WriteString(connection, "220 mail.example ESMTP\r\n")
	})

	at := func(url string) gates.Request { return gates.Request{Run: gates.Run{URL: url, PublicURL: url}} }
	return []gatetest.Case{
		{Name: "refused", Config: `{"timeout": 5` + config + `}`, Request: at(nobody.URL), Want: gates.Error, Check: gatetest.Says("was not answered", "refused")},
		{Name: "no answer in time", Config: `{"timeout": 0.3` + config + `}`, Request: at(silent), Want: gates.Error, Check: gatetest.Says("no answer in time")},
		{Name: "not HTTP", Config: `{"timeout": 5` + config + `}`, Request: at(other), Want: gates.Error, Check: gatetest.Says("was not answered", "malformed")},
		{Name: "no address", Config: `{"timeout": 5` + config + `}`, Want: gates.Error},
	}
}

func TestProbeWaitsOnceForARateLimit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	always := false
	request := running(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 || always {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	asking, err := newProbe(&request, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer asking.close()
	if got, err := asking.ask(t.Context(), question{method: "GET", target: "/"}); err != nil || got.status != 200 {
		t.Errorf("%+v, %v", got, err)
	}
	always = true
	if got, err := asking.ask(t.Context(), question{method: "GET", target: "/"}); err == nil || !strings.Contains(err.Error(), "rate limit") {
		t.Errorf("turned away twice: %+v, %v", got, err)
	}
}

func TestProbeIsBounded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	request := running(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/long" {
			_, _ = io.Copy(w, io.LimitReader(endless{}, maxAnswer+1))
		}
	})
	asking, err := newProbe(&request, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer asking.close()
	if _, err := asking.ask(t.Context(), question{method: "GET", target: "/long"}); err == nil || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("a long answer: %v", err)
	}
	for range 2 * maxRequests {
		_, err = asking.ask(t.Context(), question{method: "GET", target: "/"})
	}
	if err == nil || asked.Load() > maxRequests {
		t.Errorf("%d requests were sent, and the last one gave %v", asked.Load(), err)
	}
}

// endless is a body of spaces.
type endless struct{}

func (endless) Read(into []byte) (int, error) {
	for i := range into {
		into[i] = ' '
	}
	return len(into), nil
}

// TestProbeNamesItselfOnlyHere: Cloudflare refuses visitors that say where they come from.
func TestProbeNamesItselfOnlyHere(t *testing.T) {
	t.Parallel()
	for public, named := range map[string]bool{
		"http://shop.localhost:8787": true, "http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost": true,
		"https://shop.example": false, "": false, "http://localhost.example": false, "http://10.0.0.1": false, "://": false,
	} {
		var header http.Header
		request := running(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
		request.Run.PublicURL = public
		asking, err := newProbe(&request, 5)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := asking.ask(t.Context(), question{method: "GET", target: "/"}); err != nil {
			t.Fatal(err)
		}
		asking.close()
		if got := header.Get("CF-Connecting-IP"); (net.ParseIP(got) != nil) != named {
			t.Errorf("at %q the probe says that it comes from %q", public, got)
		}
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	request := running(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if verdict, err := (headersGate{}).Evaluate(ctx, &request); err == nil {
		t.Errorf("its time was up, and it answers %+v", verdict)
	}
}
