package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "health") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }

// running is a version that answers as told, until the test has ended.
func running(t *testing.T, answer http.HandlerFunc) gates.Request {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return gates.Request{Run: gates.Run{URL: server.URL, VersionID: "7f3a2b1c-0000-4000-8000-000000000000"}}
}

// nobody is a version that does not listen.
func nobody(t *testing.T) gates.Request {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return gates.Request{Run: gates.Run{URL: "http://" + address}}
}

// finds compares the findings as "rule: message".
func finds(want ...string) gatetest.Check {
	return func(t *testing.T, verdict gates.Verdict) {
		t.Helper()
		var got []string
		for _, finding := range verdict.Findings {
			got = append(got, finding.Rule+": "+finding.Message)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the findings are\n%s\nand should be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
