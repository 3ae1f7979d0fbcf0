package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// pingClient makes one request per connection: readiness must not leave a connection behind that workerd waits for.
var pingClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ping succeeds once the entry worker answers.
func (p *process) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address(entrySocket)+"/ready", nil)
	if err != nil {
		return fmt.Errorf("ask for a sign of life: %w", err)
	}
	req.Header.Set(headerKey, p.key)
	res, err := pingClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for a sign of life: %w", err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("ask for a sign of life: it answered %s", res.Status)
	}
	return nil
}

// call posts an event to the entry worker and decodes its answer. The caller has entered k.
func (k *kept) call(ctx context.Context, path string, event, answer any) error {
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	p, err := k.running(ctx, nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address(entrySocket)+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	req.Header.Set(headerKey, p.key)
	res, err := k.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s: %s: %.500s", path, res.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", path, err)
	}
	return nil
}
