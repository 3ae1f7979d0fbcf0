package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// Version is one upload of a Worker.
type Version struct {
	ID       string  `json:"id"`
	Number   float64 `json:"number"`
	Metadata struct {
		CreatedOn time.Time `json:"created_on"`
	} `json:"metadata"`
	Annotations Annotations `json:"annotations"`
	// Resources are empty in a list.
	Resources Resources `json:"resources"`
}

// Annotations are what a person or a tool wrote on a version or a deployment.
type Annotations struct {
	Tag     string `json:"workers/tag,omitempty"`     // at most 100 bytes
	Message string `json:"workers/message,omitempty"` // at most 1000 bytes
}

// Resources are what a version is bound to and how it runs.
type Resources struct {
	// Bindings are as in an upload's metadata, secrets without their text.
	Bindings      []json.RawMessage `json:"bindings"`
	ScriptRuntime struct {
		CompatibilityDate  string   `json:"compatibility_date"`
		CompatibilityFlags []string `json:"compatibility_flags"`
		MigrationTag       string   `json:"migration_tag"`
	} `json:"script_runtime"`
}

// deployable is how many of the newest versions Cloudflare deploys.
// Source: https://developers.cloudflare.com/workers/versions-and-deployments/rollbacks/
const deployable = 100

// Versions lists a Worker's versions, newest first, as far as Cloudflare deploys them: an older one is of no use to anybody here.
func (c *Client) Versions(ctx context.Context, name string) ([]Version, error) {
	var all []Version
	for page := 1; ; page++ {
		var got answer[struct {
			Items []Version `json:"items"`
		}]
		params := workers.ScriptVersionListParams{}
		params.AccountID.Value = c.account
		_, err := workers.NewScriptVersionService(c.base...).List(ctx, name, params, c.reading(&got, pageNumber(page, deployable)...)...)
		if err != nil {
			return nil, err
		}
		all = append(all, got.Result.Items...)
		if len(all) >= deployable || got.ResultInfo.last(len(got.Result.Items), len(all), deployable) {
			return all[:min(len(all), deployable)], nil
		}
	}
}

// Version reads one version with its resources.
func (c *Client) Version(ctx context.Context, name, id string) (Version, error) {
	var got answer[Version]
	params := workers.ScriptVersionGetParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptVersionService(c.base...).Get(ctx, name, id, params, c.reading(&got)...)
	return got.Result, err
}

// CreateVersion uploads a version that takes no traffic. Strict inheritance makes a binding that is to be inherited and
// is not there an error rather than a hole.
func (c *Client) CreateVersion(ctx context.Context, name, contentType string, body []byte) (Version, error) {
	var got answer[Version]
	params := workers.ScriptVersionNewParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptVersionService(c.base...).New(ctx, name, params, c.changing(&got,
		option.WithRequestBody(contentType, body), option.WithQuery("bindings_inherit", "strict"))...)
	return got.Result, err
}
