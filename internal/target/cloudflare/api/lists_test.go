package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// lists are all paged lists that the target asks for, with how many items it wants of a long one.
var lists = map[string]struct {
	ask  func(ctx context.Context, c *api.Client) (int, error)
	want int
	most int // that may be asked for at once; 0 for no bound
}{
	"databases":    {ask: count((*api.Client).Databases), want: 130},
	"namespaces":   {ask: count((*api.Client).Namespaces), want: 130, most: 100},
	"queues":       {ask: count((*api.Client).Queues), want: 130},
	"classes":      {ask: count((*api.Client).Classes), want: 130},
	"certificates": {ask: countOf((*api.Client).CertificatePacks), want: 130, most: 50},
	"versions":     {ask: countOf((*api.Client).Versions), want: 100},
	"keys":         {ask: countOf((*api.Client).Keys), want: 130},
	"objects": {ask: func(ctx context.Context, c *api.Client) (int, error) {
		list, err := c.Objects(ctx, "bucket", "")
		return len(list), err
	}, want: 130},
}

func count[T any](ask func(*api.Client, context.Context) ([]T, error)) func(context.Context, *api.Client) (int, error) {
	return func(ctx context.Context, c *api.Client) (int, error) {
		list, err := ask(c, ctx)
		return len(list), err
	}
}

func countOf[T any](ask func(*api.Client, context.Context, string) ([]T, error)) func(context.Context, *api.Client) (int, error) {
	return func(ctx context.Context, c *api.Client) (int, error) {
		list, err := ask(c, ctx, "name")
		return len(list), err
	}
}

// TestListsAreReadToTheirEnd asks a server that has 130 of everything and gives 20 at once, whatever is asked for, and that says
// more or less about it.
func TestListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	for said, info := range map[string]func(page, perPage int) map[string]any{
		"everything": func(page, perPage int) map[string]any {
			return map[string]any{"page": page, "per_page": perPage, "count": 20, "total_count": 130}
		},
		"the total":        func(int, int) map[string]any { return map[string]any{"total_count": 130} },
		"the page's size":  func(_, perPage int) map[string]any { return map[string]any{"per_page": perPage} },
		"a total of three": nil,
	} {
		for name, list := range lists {
			t.Run(said+" "+name, func(t *testing.T) {
				t.Parallel()
				items, perPage := 130, 20
				if info == nil {
					items = 3
				}
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					query := r.URL.Query()
					if asked, _ := strconv.Atoi(query.Get("per_page")); list.most > 0 && asked > list.most {
						t.Errorf("%d are asked for at once", asked)
					}
					page, _ := strconv.Atoi(query.Get("page") + query.Get("cursor"))
					page = max(page, 1)
					var cut []any
					for i := (page - 1) * perPage; i < min(items, page*perPage); i++ {
						cut = append(cut, map[string]any{"id": fmt.Sprint(i), "name": fmt.Sprint(i), "key": fmt.Sprint(i), "uuid": fmt.Sprint(i)})
					}
					told := map[string]any{}
					if info != nil {
						told = info(page, perPage)
					}
					var result any = cut
					switch {
					case strings.HasSuffix(r.URL.Path, "/versions"):
						result = map[string]any{"items": cut}
					case strings.HasSuffix(r.URL.Path, "/keys"), strings.HasSuffix(r.URL.Path, "/objects"):
						told["cursor"] = ""
						if page*perPage < items {
							told["cursor"] = fmt.Sprint(page + 1)
						}
					}
					_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result, "result_info": told})
				}))
				defer server.Close()
				client, err := api.New(api.Options{BaseURL: server.URL, Token: "t", AccountID: strings.Repeat("0", 32)})
				if err != nil {
					t.Fatal(err)
				}
				got, err := list.ask(t.Context(), client)
				if want := min(list.want, items); got != want || err != nil {
					t.Errorf("%d, want %d, %v", got, want, err)
				}
			})
		}
	}
}
