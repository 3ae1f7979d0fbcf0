package localcloud

import (
	"fmt"
	"net/http"
	"testing"
)

func TestStrangersAreRefused(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	tests := []struct {
		name, path, authorization string
		status, code              int
	}{
		{"no token", "/user", "", 401, codeAuthentication},
		{"not a bearer", "/user", "Basic " + cloud.Info().Token, 401, codeAuthentication},
		{"wrong token", "/user", "Bearer x", 401, codeInvalidToken},
		{"wrong token, unknown route", "/nothing", "Bearer x", 401, codeInvalidToken},
		{"foreign account", "/accounts/0123/workers/scripts", "Bearer " + cloud.Info().Token, 403, codeInvalidToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := read(t, request(t, cloud, "GET", test.path, nil, "Authorization", test.authorization))
			if got.Status != test.status || got.code() != test.code {
				t.Errorf("%d %v", got.Status, got.Errors)
			}
		})
	}
}

func TestUnknownCallsAreRefused(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	for _, call := range []string{"GET @/nothing", "PATCH @/workers/scripts", "POST @/d1/database/x/unknown", "GET /"} {
		var method, path string
		if _, err := fmt.Sscan(call, &method, &path); err != nil {
			t.Fatal(err)
		}
		if got := send(t, cloud, method, path, nil); got.Status != http.StatusNotFound || got.code() != codeUnknownRoute {
			t.Errorf("%s: %d %v", call, got.Status, got.Errors)
		}
	}
}

func TestPagesAreHonoured(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	for i := range 5 {
		succeed(t, cloud, "POST", "@/storage/kv/namespaces", map[string]any{"title": fmt.Sprint(i)})
	}
	for page, want := range []int{2, 2, 1, 0} {
		got := succeed(t, cloud, "GET", fmt.Sprintf("@/storage/kv/namespaces?per_page=2&page=%d", page+1), nil)
		if got.Info.Count != want || got.Info.TotalCount != 5 || got.Info.TotalPages != 3 || got.Info.Page != page+1 {
			t.Errorf("page %d: %+v", page+1, got.Info)
		}
	}
	if got := send(t, cloud, "GET", "@/storage/kv/namespaces?page=0", nil); got.Status != 400 {
		t.Errorf("page 0: %d", got.Status)
	}
}

func TestWhoAmI(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	if got := succeed(t, cloud, "GET", "/user/tokens/verify", nil).get(t, "status"); got != "active" {
		t.Errorf("the token is %v", got)
	}
	if got := succeed(t, cloud, "GET", "/accounts?page=1", nil).get(t, "0.id"); got != cloud.Info().AccountID {
		t.Errorf("the account is %v", got)
	}
}
