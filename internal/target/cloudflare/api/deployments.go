package api

import (
	"context"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// Deployment says which versions take a Worker's traffic.
type Deployment struct {
	ID          string      `json:"id,omitempty"`
	CreatedOn   time.Time   `json:"created_on,omitzero"`
	Strategy    string      `json:"strategy"`
	Versions    []Share     `json:"versions"`
	Annotations Annotations `json:"annotations"`
}

// Share is a version's part of the traffic in percent; 0 is allowed.
type Share struct {
	VersionID  string  `json:"version_id"`
	Percentage float64 `json:"percentage"`
}

// Deployments lists a Worker's deployments, the current one first. [ErrNotFound] says that there is no such Worker.
func (c *Client) Deployments(ctx context.Context, name string) ([]Deployment, error) {
	var got answer[struct {
		Deployments []Deployment `json:"deployments"`
	}]
	params := workers.ScriptDeploymentListParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptDeploymentService(c.base...).List(ctx, name, params, c.reading(&got)...)
	return got.Result.Deployments, err
}

// Deploy makes the shares the current deployment. force answers yes to the question whether a version whose secrets are not
// today's is meant (code 10220). Cloudflare names that as an example of what it overrides, so send it only when exactly that was
// asked.
func (c *Client) Deploy(ctx context.Context, name string, shares []Share, message string, force bool) error {
	var got answer[Deployment]
	params := workers.ScriptDeploymentNewParams{}
	params.AccountID.Value = c.account
	body := Deployment{Strategy: "percentage", Versions: shares, Annotations: Annotations{Message: message}}
	options := c.changing(&got, jsonBody(body))
	if force {
		options = append(options, option.WithQuery("force", "true"))
	}
	_, err := workers.NewScriptDeploymentService(c.base...).New(ctx, name, params, options...)
	return err
}
