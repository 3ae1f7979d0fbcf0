package cloudflare

import (
	"bytes"
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/internal/bundle"
)

// Upload makes the new version, with no traffic. Its tag is the promotion's id, by which a repeated call recognises what
// an earlier one has done.
func (t *Target) Upload(ctx context.Context, id string, b *bundle.Bundle) (string, error) {
	version, err := t.taggedVersion(ctx, id)
	if err != nil || version != "" {
		return version, err
	}
	found, err := t.findResources(ctx)
	if err != nil {
		return "", err
	}
	if err := t.nothingMissing(found); err != nil {
		return "", err
	}
	token, err := t.uploadAssets(ctx, b.Assets)
	if err != nil {
		return "", fmt.Errorf("upload the static files of Worker %s: %w", t.Worker.Name, err)
	}
	contentType, body, err := t.uploadBody(id, b, found, token)
	if err != nil {
		return "", err
	}
	create := func() error {
		created, err := t.api.CreateVersion(ctx, t.Worker.Name, contentType, body)
		version = created.ID
		return err
	}
	uploaded := func() (bool, error) {
		var err error
		version, err = t.taggedVersion(ctx, id)
		return version != "", err
	}
	if err := t.lookBeforeRepeating(ctx, create, uploaded); err != nil {
		return "", fmt.Errorf("upload a version of Worker %s: %w", t.Worker.Name, err)
	}
	if version == "" {
		return "", fmt.Errorf("upload a version of Worker %s: the answer names no version", t.Worker.Name)
	}
	return version, nil
}

// uploadBody is the body of a version's upload; assets is the token of its static files, "" when it has none.
func (t *Target) uploadBody(id string, b *bundle.Bundle, found resources, assets string) (contentType string, body []byte, err error) {
	u, err := t.prepareUpload(b, found)
	if err != nil {
		return "", nil, err
	}
	if b.Assets != nil {
		u.rest["assets"] = encode(map[string]any{"jwt": assets, "config": b.Assets.Config})
	}
	var out bytes.Buffer
	contentType, err = b.Encode(&out, u.encode(id, t.message(b)))
	return contentType, out.Bytes(), err
}

// taggedVersion returns the newest version that the promotion uploaded, "" when there is none.
func (t *Target) taggedVersion(ctx context.Context, id string) (string, error) {
	versions, err := t.api.Versions(ctx, t.Worker.Name)
	if err != nil {
		return "", fmt.Errorf("look for versions of Worker %s: %w", t.Worker.Name, err)
	}
	for _, version := range versions {
		if version.Annotations.Tag == id {
			return version.ID, nil
		}
	}
	return "", nil
}
