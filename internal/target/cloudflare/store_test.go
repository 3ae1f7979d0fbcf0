package cloudflare_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/pipelines"
)

// newStore is a store that the account of a Cloudflare of its own does not have yet.
func newStore(t *testing.T) cloudflare.StoreOptions {
	t.Helper()
	options := newPlace(t, rowsConfig, pipelines.Environment{}).options
	return cloudflare.StoreOptions{
		BaseURL: options.BaseURL, Token: options.Token, AccountID: options.AccountID, Database: "team-ledger", Bucket: "team-vault", Folder: "team-ledger",
	}
}

func TestAStoreIsMadeOnce(t *testing.T) {
	t.Parallel()
	options := newStore(t)
	if _, err := cloudflare.OpenStore(t.Context(), options); !errors.Is(err, cloudflare.ErrNoStore) {
		t.Errorf("%v", err)
	}
	lacks, err := cloudflare.StoreLacks(t.Context(), options)
	if err != nil || lacks != (cloudflare.Lacking{Database: true, Bucket: true}) {
		t.Fatalf("%+v, %v", lacks, err)
	}
	for range 2 { // the second finds that somebody made them meanwhile
		if err := cloudflare.MakeStore(t.Context(), options, lacks); err != nil {
			t.Fatal(err)
		}
	}
	if lacks, err := cloudflare.StoreLacks(t.Context(), options); err != nil || lacks != (cloudflare.Lacking{}) {
		t.Errorf("%+v, %v", lacks, err)
	}
	store, err := cloudflare.OpenStore(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.HasBucket(t.Context()); err != nil {
		t.Error(err)
	}
	// A name that is only a part of that one's is another database.
	options.Database = "team"
	if _, err := cloudflare.OpenStore(t.Context(), options); !errors.Is(err, cloudflare.ErrNoStore) {
		t.Errorf("%v", err)
	}
}

func TestObjectsOfAStore(t *testing.T) {
	t.Parallel()
	options := newStore(t)
	if err := cloudflare.MakeStore(t.Context(), options, cloudflare.Lacking{Database: true, Bucket: true}); err != nil {
		t.Fatal(err)
	}
	open := func(change func(*cloudflare.StoreOptions)) *cloudflare.Store {
		t.Helper()
		options := options
		change(&options)
		store, err := cloudflare.OpenStore(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store := open(func(*cloudflare.StoreOptions) {})
	content := bytes.Repeat([]byte{0, 1, 254, 255}, 300_000)
	for _, name := range []string{"bundles/aa.tar.gz", "sources/bb.tar.gz"} {
		if err := store.Put(t.Context(), name, bytes.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
	}
	var read bytes.Buffer
	if found, err := store.Get(t.Context(), "bundles/aa.tar.gz", &read); err != nil || !found || !bytes.Equal(read.Bytes(), content) {
		t.Errorf("%v, %v, %d bytes", found, err, read.Len())
	}
	if found, err := store.Get(t.Context(), "bundles/cc.tar.gz", &read); err != nil || found {
		t.Errorf("what is not there: %v, %v", found, err)
	}
	if written, err := store.List(t.Context()); err != nil || len(written) != 2 || written["sources/bb.tar.gz"].IsZero() {
		t.Errorf("%v, %v", written, err)
	}
	// Two ledgers in one bucket do not see each other's.
	if written, err := open(func(o *cloudflare.StoreOptions) { o.Folder = "team" }).List(t.Context()); err != nil || len(written) != 0 {
		t.Errorf("another folder: %v, %v", written, err)
	}
	for range 2 { // the second finds nothing to remove
		if err := store.Delete(t.Context(), "bundles/aa.tar.gz"); err != nil {
			t.Error(err)
		}
	}
	if written, err := store.List(t.Context()); err != nil || len(written) != 1 {
		t.Errorf("%v, %v", written, err)
	}
	if err := store.Put(t.Context(), "large", strings.NewReader(""), cloudflare.MaxObject+1); err == nil {
		t.Error("Cloudflare's API does not take as much")
	}
	nowhere := open(func(o *cloudflare.StoreOptions) { o.Bucket = "absent" })
	if _, err := nowhere.List(t.Context()); !errors.Is(err, cloudflare.ErrNoStore) {
		t.Errorf("list without a bucket: %v", err)
	}
	if err := nowhere.Put(t.Context(), "a", strings.NewReader("a"), 1); !errors.Is(err, cloudflare.ErrNoStore) {
		t.Errorf("put without a bucket: %v", err)
	}
	if err := nowhere.HasBucket(t.Context()); !errors.Is(err, cloudflare.ErrNoStore) {
		t.Errorf("%v", err)
	}
}

// That a list has no such name is known only from all of it, and not from an answer that did not come.
func TestAStoreThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(server.Close)
	options := cloudflare.StoreOptions{
		BaseURL: server.URL, Token: "secret-t0ken", AccountID: strings.Repeat("a", 32), Database: "team-ledger", Bucket: "team-vault", Folder: "team-ledger",
	}
	_, err := cloudflare.OpenStore(t.Context(), options)
	if !errors.Is(err, promotion.ErrUnreachable) || errors.Is(err, cloudflare.ErrNoStore) || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("%v", err)
	}
	if _, err := cloudflare.StoreLacks(t.Context(), options); !errors.Is(err, promotion.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	options.AccountID = "none"
	if _, err := cloudflare.OpenStore(t.Context(), options); err == nil || !strings.Contains(err.Error(), "account id") {
		t.Errorf("%v", err)
	}
}
