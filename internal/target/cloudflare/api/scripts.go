package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// Script is a Worker as the account's list shows it.
type Script struct {
	Name string `json:"id"`
	// MigrationTag is the last Durable Object migration that was applied, "" when there was none.
	MigrationTag string `json:"migration_tag"`
	// HasAssets says that static files were uploaded with it.
	HasAssets bool `json:"has_assets"`
}

// Script returns the Worker of that name; [ErrNotFound] when there is none. Only the account's list carries the
// migration tag, which is why wrangler asks for all of it too.
func (c *Client) Script(ctx context.Context, name string) (Script, error) {
	var got answer[[]Script]
	params := workers.ScriptListParams{}
	params.AccountID.Value = c.account
	if _, err := workers.NewScriptService(c.base...).List(ctx, params, c.reading(&got)...); err != nil {
		return Script{}, err
	}
	for _, script := range got.Result {
		if script.Name == name {
			return script, nil
		}
	}
	return Script{}, fmt.Errorf("worker %s: %w", name, ErrNotFound)
}

// PutScript uploads a Worker and deploys it at once to all of its traffic. It is the only call that accepts Durable
// Object migrations, and the only one that can make a Worker.
func (c *Client) PutScript(ctx context.Context, name, contentType string, body []byte) error {
	var got answer[json.RawMessage]
	params := workers.ScriptUpdateParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptService(c.base...).Update(ctx, name, params, c.changing(&got,
		option.WithRequestBody(contentType, body), option.WithQuery("bindings_inherit", "strict"))...)
	return err
}

// ScriptSettings are the settings of a Worker that no version carries.
type ScriptSettings struct {
	Logpush       bool            `json:"logpush"`
	Observability json.RawMessage `json:"observability,omitempty"`
	TailConsumers json.RawMessage `json:"tail_consumers,omitempty"`
}

// SetScriptSettings replaces them.
func (c *Client) SetScriptSettings(ctx context.Context, name string, settings ScriptSettings) error {
	var got answer[json.RawMessage]
	params := workers.ScriptSettingEditParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptSettingService(c.base...).Edit(ctx, name, params, c.changing(&got, jsonBody(settings))...)
	return err
}

// Secrets lists the names of a Worker's secrets as of its deployed version.
func (c *Client) Secrets(ctx context.Context, name string) ([]string, error) {
	var got answer[[]struct {
		Name string `json:"name"`
	}]
	params := workers.ScriptSecretListParams{}
	params.AccountID.Value = c.account
	if _, err := workers.NewScriptSecretService(c.base...).List(ctx, name, params, c.reading(&got)...); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(got.Result))
	for _, secret := range got.Result {
		names = append(names, secret.Name)
	}
	return names, nil
}

// PutSecret gives a Worker a secret, on a new version that gets all traffic at once. Refused unless the newest version is
// the deployed one: [CodeSecretEditLatest], [CodeSecretEditDeployed].
func (c *Client) PutSecret(ctx context.Context, name, secret, value string) error {
	var got answer[json.RawMessage]
	params := workers.ScriptSecretUpdateParams{}
	params.AccountID.Value = c.account
	body := struct {
		Name string `json:"name"`
		Text string `json:"text"`
		Type string `json:"type"`
	}{secret, value, "secret_text"}
	_, err := workers.NewScriptSecretService(c.base...).Update(ctx, name, params, c.changing(&got, jsonBody(body))...)
	return err
}

// TailFilter is one condition of a tail, in Cloudflare's words.
type TailFilter map[string]any

// TailSession is a tail that can be listened to.
type TailSession struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"` // of a WebSocket; who knows it may listen
	ExpiresAt time.Time `json:"expires_at"`
}

// CreateTail begins a tail of a Worker.
func (c *Client) CreateTail(ctx context.Context, name string, filters []TailFilter) (TailSession, error) {
	var got answer[TailSession]
	params := workers.ScriptTailNewParams{}
	params.AccountID.Value = c.account
	body := struct {
		Filters []TailFilter `json:"filters"`
	}{filters}
	_, err := workers.NewScriptTailService(c.base...).New(ctx, name, params, c.changing(&got, jsonBody(body))...)
	return got.Result, err
}

// DeleteTail ends it.
func (c *Client) DeleteTail(ctx context.Context, name, id string) error {
	var got answer[json.RawMessage]
	params := workers.ScriptTailDeleteParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptTailService(c.base...).Delete(ctx, name, id, params, c.changing(&got)...)
	return err
}
