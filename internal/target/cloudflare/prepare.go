package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// Prepare makes the Worker exist when this is its first deployment. A version can be uploaded without traffic only to a
// Worker that has a deployment, so a placeholder takes that place: it answers 503 until the first version is routed. It
// carries the Durable Object migrations, which no version upload may; an existing Worker gets them alone, with its own code.
func (t *Target) Prepare(ctx context.Context, id string, _ promotion.State, b *bundle.Bundle) (string, error) {
	exists, err := t.exists(ctx)
	if err != nil {
		return "", fmt.Errorf("prepare Worker %s: %w", t.Worker.Name, err)
	}
	var did string
	if exists {
		if did, err = t.applyClasses(ctx, id); err != nil {
			return "", err
		}
	} else {
		contentType, body, err := t.placeholder(id, b)
		if err != nil {
			return "", err
		}
		err = t.lookBeforeRepeating(ctx, func() error { return t.api.PutScript(ctx, t.Worker.Name, contentType, body) },
			func() (bool, error) { return t.exists(ctx) })
		if err != nil {
			return "", fmt.Errorf("make Worker %s: %w", t.Worker.Name, err)
		}
		did = "made Worker " + t.Worker.Name + " with a placeholder that answers 503"
	}
	made, err := t.reach(ctx)
	if len(made) > 0 {
		did = strings.TrimPrefix(did+"; led "+strings.Join(made, ", ")+" to it", "; ")
	}
	if err != nil {
		return did, err
	}
	if t.Resources == ByID && t.onSubdomain() {
		on, err := t.api.OnSubdomain(ctx, t.Worker.Name)
		if err != nil {
			return did, fmt.Errorf("look for Worker %s on workers.dev: %w", t.Worker.Name, err)
		}
		if !on {
			if err := t.api.SetOnSubdomain(ctx, t.Worker.Name, true); err != nil {
				return did, fmt.Errorf("put Worker %s on workers.dev: %w", t.Worker.Name, err)
			}
		}
	}
	return did, nil
}

func (t *Target) exists(ctx context.Context) (bool, error) {
	_, err := t.api.Deployments(ctx, t.Worker.Name)
	if errors.Is(err, api.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

const placeholderCode = `import { DurableObject } from "cloudflare:workers";

const page = "This service is being set up. Please try again in a minute.\n";

export default {
  fetch() {
    return new Response(page, {
      status: 503,
      headers: { "content-type": "text/plain; charset=utf-8", "retry-after": "30", "cache-control": "no-store" },
    });
  },
};
`

// identifiers are what may be written into code as a class's name.
var identifiers = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// placeholder is the upload body of the Worker that holds the place of the first version.
func (t *Target) placeholder(id string, b *bundle.Bundle) (contentType string, body []byte, err error) {
	code := placeholderCode
	for _, class := range t.finalClasses() {
		if !identifiers.MatchString(class) {
			return "", nil, fmt.Errorf("%s: %q cannot be the name of a Durable Object class", t.ConfigFile, class)
		}
		code += "export class " + class + " extends DurableObject {}\n"
	}
	var built struct {
		CompatibilityDate string `json:"compatibility_date"`
	}
	if err := json.Unmarshal(b.Metadata, &built); err != nil {
		return "", nil, fmt.Errorf("read the bundle's metadata: %w", err)
	}
	metadata := map[string]any{
		"main_module": "placeholder.js",
		"bindings":    []any{},
		// No tag: a tag names the version that a promotion uploaded.
		"annotations": map[string]string{"workers/message": "penstock placeholder for promotion " + id},
	}
	if built.CompatibilityDate != "" {
		metadata["compatibility_date"] = built.CompatibilityDate
	}
	if changes := t.allClassChanges(); changes != nil {
		metadata["migrations"] = changes
	}
	var out bytes.Buffer
	form := multipart.NewWriter(&out)
	if err := formPart(form, `form-data; name="metadata"`, "application/json", encode(metadata)); err != nil {
		return "", nil, err
	}
	if err := formPart(form, `form-data; name="placeholder.js"; filename="placeholder.js"`, "application/javascript+module", []byte(code)); err != nil {
		return "", nil, err
	}
	if err := form.Close(); err != nil {
		return "", nil, err
	}
	return form.FormDataContentType(), out.Bytes(), nil
}

func formPart(form *multipart.Writer, disposition, contentType string, content []byte) error {
	part, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {contentType}})
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	return err
}
