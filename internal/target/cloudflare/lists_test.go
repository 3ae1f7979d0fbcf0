package cloudflare_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/pipelines"
)

// TestListsOfMoreThanOnePage reads what a local Cloudflare gives in pages, which is held to Cloudflare's own description.
func TestListsOfMoreThanOnePage(t *testing.T) {
	t.Parallel()
	p := newPlace(t, secretConfig, pipelines.Environment{})
	info := p.cloud.Info()
	client, err := api.New(api.Options{BaseURL: info.APIURL, Token: info.Token, AccountID: info.AccountID})
	if err != nil {
		t.Fatal(err)
	}
	const many = 105
	for i := range many {
		for path, body := range map[string]string{
			"/d1/database": `{"name": "db-%d"}`, "/storage/kv/namespaces": `{"title": "ns-%d"}`, "/queues": `{"queue_name": "q-%d"}`,
		} {
			p.call("POST", "/accounts/ACCOUNT"+path, "application/json", fmt.Appendf(nil, body, i))
		}
	}
	databases, err := client.Databases(t.Context())
	if err != nil || len(databases) != many {
		t.Errorf("databases: %d, %v", len(databases), err)
	}
	namespaces, err := client.Namespaces(t.Context())
	if err != nil || len(namespaces) != many {
		t.Fatalf("namespaces: %d, %v", len(namespaces), err)
	}
	if list, err := client.Queues(t.Context()); err != nil || len(list) != many {
		t.Errorf("queues: %d, %v", len(list), err)
	}

	var pairs []string
	for i := range 1005 { // a page of keys has 1,000
		pairs = append(pairs, fmt.Sprintf(`{"key": "k%d", "value": "x"}`, i))
	}
	p.call("PUT", "/accounts/ACCOUNT/storage/kv/namespaces/"+namespaces[0].ID+"/bulk", "application/json", []byte("["+strings.Join(pairs, ",")+"]"))
	if list, err := client.Keys(t.Context(), namespaces[0].ID); err != nil || len(list) != 1005 {
		t.Errorf("keys: %d, %v", len(list), err)
	}

	p.call("POST", "/accounts/ACCOUNT/r2/buckets", "application/json", []byte(`{"name": "many"}`))
	for i := range 1005 { // of objects, too
		if err := client.PutObject(t.Context(), "many", fmt.Sprintf("o/%d", i), bytes.NewReader([]byte("x")), 1); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := client.Objects(t.Context(), "many", "o/"); err != nil || len(list) != 1005 {
		t.Errorf("objects: %d, %v", len(list), err)
	}
}
