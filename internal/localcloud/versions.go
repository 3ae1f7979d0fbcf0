package localcloud

import (
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) versionRoutes() []route {
	const versions = "/accounts/{account}/workers/scripts/{script}/versions"
	return []route{
		{"GET " + versions, c.listVersions},
		{"POST " + versions, c.addVersion},
		{"GET " + versions + "/{version}", c.getVersion},
	}
}

// addVersion uploads a version without giving it traffic. Migrations cannot come this way: they take effect for all
// versions at once.
// Source: https://developers.cloudflare.com/workers/configuration/versions-and-deployments/gradual-deployments/
func (c *Cloud) addVersion(w http.ResponseWriter, r *http.Request) (*answer, error) {
	if _, err := c.script(r); err != nil {
		return nil, err
	}
	meta, modules, err := c.readUpload(w, r)
	if err != nil {
		return nil, err
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	ctx := r.Context()
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	if meta.Migrations != nil && meta.Migrations.NewTag != script.MigrationTag {
		return nil, refuse(http.StatusBadRequest, codeMigrationInVersion,
			"Version upload failed. You attempted to upload a version of a Worker with a Durable Object migration, but migrations must be fully applied by running 'wrangler deploy'.")
	}
	base, err := c.newest(ctx, script.Name)
	if err != nil {
		return nil, err
	}
	classes, err := c.store.Classes(ctx, script.Name)
	if err != nil {
		return nil, err
	}
	bindings, err := c.resolve(ctx, script.Name, meta, base, classes)
	if err != nil {
		return nil, err
	}
	version := newVersion(r, script.Name, meta, modules, bindings)
	version.MigrationTag = script.MigrationTag
	if version.Assets, err = c.versionAssets(ctx, script.Name, meta, base); err != nil {
		return nil, err
	}
	took, err := c.check(ctx, version, classes)
	if err != nil {
		return nil, err
	}
	if version, err = c.store.AddVersion(ctx, version); err != nil {
		return nil, err
	}
	described := describeVersion(version)
	described["startup_time_ms"] = took.Milliseconds()
	return ok(described), nil
}

// describeVersion is a version in full. Two spellings of the preview flag: wrangler reads one, cloudflare-go the other.
// It is always false, since the local edge serves only what is deployed.
func describeVersion(version store.Version) map[string]any {
	runtimeConfig := map[string]any{
		"compatibility_date": version.CompatibilityDate, "compatibility_flags": append([]string{}, version.CompatibilityFlags...),
		"usage_model": "standard",
	}
	if version.MigrationTag != "" {
		runtimeConfig["migration_tag"] = version.MigrationTag
	}
	if limits, set := version.Extra["limits"]; set {
		runtimeConfig["limits"] = limits
	}
	annotations := map[string]string{"workers/triggered_by": "upload"}
	for name, value := range version.Annotations {
		annotations[name] = value
	}
	return map[string]any{
		"id": version.ID, "number": version.Number, "annotations": annotations,
		"metadata": map[string]any{
			"created_on": version.CreatedAt, "modified_on": version.CreatedAt, "source": version.Source,
			"author_email": author, "author_id": author, "has_preview": false, "hasPreview": false,
		},
		"resources": map[string]any{
			"bindings": shown(version.Bindings),
			"script": map[string]any{
				"etag": version.ETag, "handlers": []string{"fetch"}, "named_handlers": []any{}, "last_deployed_from": version.Source,
			},
			"script_runtime": runtimeConfig,
		},
	}
}

func (c *Cloud) listVersions(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	versions, err := c.store.Versions(r.Context(), script.Name, store.KeptVersions)
	if err != nil {
		return nil, err
	}
	out := make([]map[string]any, 0, len(versions))
	for _, version := range versions {
		described := describeVersion(version)
		delete(described, "resources")
		out = append(out, described)
	}
	// The pages differ from the default of other lists: a caller that does not ask for pages gets all that can be deployed.
	page, err := paged(r, out, store.KeptVersions)
	if err != nil {
		return nil, err
	}
	page.result = map[string]any{"items": page.result}
	return page, nil
}

func (c *Cloud) getVersion(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	if _, err := c.script(r); err != nil {
		return nil, err
	}
	version, err := c.version(r, r.PathValue("version"))
	if err != nil {
		return nil, err
	}
	return ok(describeVersion(version)), nil
}

func (c *Cloud) version(r *http.Request, id string) (store.Version, error) {
	version, err := c.store.Version(r.Context(), r.PathValue("script"), id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Version{}, refuse(http.StatusNotFound, codeVersionNotFound, "version %s of this Worker does not exist", id)
	}
	return version, err
}

// getContent gives a version's modules back as they were uploaded: ?version, or what is deployed.
func (c *Cloud) getContent(w http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	id := r.URL.Query().Get("version")
	if id == "" {
		shares, err := c.current(r.Context(), script.Name)
		if err != nil {
			return nil, err
		}
		if len(shares) == 0 {
			return nil, refuse(http.StatusNotFound, codeScriptNotFound, "This Worker has no deployment yet.")
		}
		id = largest(shares).VersionID
	}
	version, err := c.version(r, id)
	if err != nil {
		return nil, err
	}
	runnable, err := c.store.Runnable(version)
	if err != nil {
		return nil, err
	}
	form := multipart.NewWriter(w)
	w.Header().Set("Content-Type", form.FormDataContentType())
	w.Header().Set("cf-entrypoint", version.MainModule)
	w.Header().Set("ETag", version.ETag)
	return nil, writeModules(form, runnable.Modules)
}

func writeModules(form *multipart.Writer, modules []runtime.Module) error {
	for _, module := range modules {
		header := textproto.MIMEHeader{}
		header.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q; filename=%q", module.Name, module.Name))
		header.Set("Content-Type", module.ContentType)
		part, err := form.CreatePart(header)
		if err != nil {
			return err
		}
		if _, err := part.Write(module.Body); err != nil {
			return err
		}
	}
	return form.Close()
}
