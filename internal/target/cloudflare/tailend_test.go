package cloudflare_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// tailOf is a target whose tail can be listened to at the address, by who knows it.
func tailOf(t *testing.T, address string) *cloudflare.Target {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			_, _ = io.WriteString(w, `{"success":true,"result":null}`)
			return
		}
		fmt.Fprintf(w, `{"success":true,"result":{"id":"tail-1","url":%q}}`, address)
	}))
	t.Cleanup(server.Close)
	target, err := cloudflare.New(cloudflare.Options{
		BaseURL: server.URL + "/client/v4", Token: "token", AccountID: "0123456789abcdef0123456789abcdef",
		Worker: wrangler.Worker{Name: "app"}, ConfigFile: "wrangler.jsonc", AppDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// Who stops listening before there was anything to hear has stopped all the same.
func TestATailThatIsStoppedWhileItBeginsIsNoError(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		if connection, err := silent.Accept(); err == nil {
			stop()
			defer connection.Close()
			<-t.Context().Done()
		}
	}()
	if err := tailOf(t, "ws://"+silent.Addr().String()+"/secret-tail").Tail(ctx, cloudflare.TailFilter{}, nil); err != nil {
		t.Error(err)
	}
}

func TestATailsAddressIsInNoError(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	err := tailOf(t, strings.Replace(gone.URL, "http:", "ws:", 1)+"/secret-tail").Tail(t.Context(), cloudflare.TailFilter{}, nil)
	if !errors.Is(err, promotion.ErrUnreachable) || strings.Contains(err.Error(), "secret-tail") {
		t.Error(err)
	}
}
