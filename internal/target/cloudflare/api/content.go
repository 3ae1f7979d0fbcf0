package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Content is the code of a version.
type Content struct {
	Main    string // name of the entry module
	Modules []Module
}

// Module is one file of it.
type Module struct {
	Name, Type string // Type is its media type
	Content    []byte
}

// maxContent is more than Cloudflare lets a Worker have.
const maxContent = 128 << 20

// Content reads the code of a version as it was uploaded.
func (c *Client) Content(ctx context.Context, name, version string) (Content, error) {
	req, err := c.object(ctx, http.MethodGet, "/workers/scripts/"+url.PathEscape(name)+"/content/v2?version="+url.QueryEscape(version), nil)
	if err != nil {
		return Content{}, err
	}
	var body bytes.Buffer
	header, _, err := c.plain(req, &body, maxContent)
	if err != nil {
		return Content{}, err
	}
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return Content{}, fmt.Errorf("%w: the code of version %s came as %q", promotion.ErrUnreachable, version, header.Get("Content-Type"))
	}
	content := Content{Main: header.Get("cf-entrypoint")}
	form := multipart.NewReader(&body, params["boundary"])
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Content{}, fmt.Errorf("read the code of version %s: %w", version, err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return Content{}, fmt.Errorf("read the code of version %s: %w", version, err)
		}
		content.Modules = append(content.Modules, Module{Name: part.FormName(), Type: part.Header.Get("Content-Type"), Content: text})
	}
	for _, module := range content.Modules {
		if module.Name == content.Main {
			return content, nil
		}
	}
	return Content{}, fmt.Errorf("the code of version %s has no entry module %q: only Workers of modules can be handled", version, content.Main)
}
