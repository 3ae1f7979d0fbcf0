package localcloud

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) scriptRoutes() []route {
	const script = "/accounts/{account}/workers/scripts/{script}"
	return []route{
		{"GET /accounts/{account}/workers/scripts", c.listScripts},
		{"PUT " + script, c.putScript},
		{"GET " + script, c.getContent},
		{"DELETE " + script, c.deleteScript},
		{"GET " + script + "/content/v2", c.getContent},
		{"GET /accounts/{account}/workers/services/{script}", c.getService},
		{"DELETE /accounts/{account}/workers/services/{script}", c.deleteScript},
	}
}

// script finds the Worker that the path names.
func (c *Cloud) script(r *http.Request) (store.Script, error) {
	script, err := c.store.Script(r.Context(), r.PathValue("script"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Script{}, refuse(http.StatusNotFound, codeScriptNotFound, "This Worker does not exist on your account.")
	}
	return script, err
}

// newest is a script's latest version, whether deployed or not; nil when there is none.
func (c *Cloud) newest(ctx context.Context, script string) (*store.Version, error) {
	versions, err := c.store.Versions(ctx, script, 1)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	return &versions[0], nil
}

func (c *Cloud) listScripts(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	scripts, err := c.store.Scripts(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, script := range scripts {
		described, err := c.describe(r.Context(), script)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	return ok(out), nil // Cloudflare does not page this list
}

// describe is the shape of a script in lists and in the answer to its upload.
func (c *Cloud) describe(ctx context.Context, script store.Script) (map[string]any, error) {
	out := map[string]any{
		"id": script.Name, "tag": script.Tag, "created_on": script.CreatedAt, "modified_on": script.ModifiedAt,
		"last_deployed_from": script.Source, "usage_model": "standard", "has_modules": true, "has_assets": false,
		"handlers": []string{"fetch"}, "logpush": false, "routes": nil, "tail_consumers": nil, "tags": nil,
	}
	if script.MigrationTag != "" {
		out["migration_tag"] = script.MigrationTag
	}
	for name, value := range script.Settings {
		out[name] = value
	}
	version, err := c.newest(ctx, script.Name)
	if err != nil || version == nil {
		return out, err
	}
	out["etag"], out["compatibility_date"] = version.ETag, version.CompatibilityDate
	out["compatibility_flags"] = append([]string{}, version.CompatibilityFlags...)
	out["has_assets"], out["has_modules"] = version.Assets != nil, version.MainModule != ""
	return out, nil
}

func (c *Cloud) getService(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.store.Script(r.Context(), r.PathValue("script"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, codeServiceNotFound, "This Worker does not exist on this account.")
	}
	if err != nil {
		return nil, err
	}
	described, err := c.describe(r.Context(), script)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{
		"id": script.Name, "created_on": script.CreatedAt, "modified_on": script.ModifiedAt,
		"default_environment": map[string]any{
			"environment": "production", "created_on": script.CreatedAt, "modified_on": script.ModifiedAt, "script": described,
		},
	}), nil
}

// putScript uploads a version and deploys it at once to everybody, with Durable Object migrations if there are any.
func (c *Cloud) putScript(w http.ResponseWriter, r *http.Request) (*answer, error) {
	name := r.PathValue("script")
	if !scriptName(name) {
		return nil, refuse(http.StatusBadRequest, codeBadUpload, "script name %q is not valid: lower-case letters, digits, - and _, at most 63", name)
	}
	meta, modules, err := c.readUpload(w, r)
	if err != nil {
		return nil, err
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	ctx := r.Context()
	script, err := c.store.Script(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		script, err = store.Script{Name: name, Tag: store.NewID(), CreatedAt: now()}, nil
	}
	if err != nil {
		return nil, err
	}
	base, err := c.newest(ctx, name)
	if err != nil {
		return nil, err
	}
	classes, err := c.store.Classes(ctx, name)
	if err != nil {
		return nil, err
	}
	if meta.Migrations != nil {
		if classes, err = migrate(script, classes, meta.Migrations); err != nil {
			return nil, err
		}
		script.MigrationTag = meta.Migrations.NewTag
	}
	bindings, err := c.resolve(ctx, name, meta, base, classes)
	if err != nil {
		return nil, err
	}
	for setting, value := range meta.settings() {
		if script.Settings == nil {
			script.Settings = map[string]rawJSON{}
		}
		script.Settings[setting] = value
	}
	assets, err := c.versionAssets(ctx, name, meta, base)
	if err != nil {
		return nil, err
	}
	fresh := newVersion(r, name, meta, modules, bindings)
	fresh.Assets = assets
	began := time.Now()
	version, err := c.release(r, script, classes, fresh, "upload")
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	if script, err = c.store.Script(ctx, name); err != nil {
		return nil, err
	}
	described, err := c.describe(ctx, script)
	if err != nil {
		return nil, err
	}
	described["startup_time_ms"] = took.Milliseconds()
	described["deployment_id"] = strings.ReplaceAll(version.ID, "-", "") // wrangler reads it as the version's ID
	return ok(described), nil
}

// release stores a version and deploys it at 100 %. Callers hold deploying.
func (c *Cloud) release(r *http.Request, script store.Script, classes []runtime.DurableObjectClass, version store.Version, trigger string) (store.Version, error) {
	deployment := store.Deployment{
		ID: uuid.NewString(), Script: script.Name, CreatedAt: now(), Source: source(r),
		Annotations: map[string]string{"workers/triggered_by": trigger},
		Shares:      []runtime.Share{{VersionID: version.ID, Percentage: 100}},
	}
	if message := version.Annotations["workers/message"]; message != "" {
		deployment.Annotations["workers/message"] = message
	}
	version.MigrationTag = script.MigrationTag
	return c.deploy(r.Context(), script, classes, &version, deployment)
}

// deploy makes a deployment real and writes it down; version is a new one that comes with it, or nil. When it cannot be
// applied nothing is written and the deployment before keeps serving. Callers hold deploying.
func (c *Cloud) deploy(ctx context.Context, script store.Script, classes []runtime.DurableObjectClass, version *store.Version, deployment store.Deployment) (store.Version, error) {
	// From here on the client may go: half a deployment must not be left because of that.
	ctx = context.WithoutCancel(ctx)
	var fresh []store.Version
	if version != nil {
		fresh = append(fresh, *version)
	}
	delay := time.Duration(c.faults.Plan().Propagation.Delay)
	before, err := c.current(ctx, script.Name)
	if err != nil {
		return store.Version{}, err
	}
	switch {
	case delay == 0:
		if err := c.apply(ctx, script, classes, deployment.Shares, fresh...); err != nil {
			return store.Version{}, startRefusal(err)
		}
	case version != nil:
		if _, err := c.check(ctx, *version, classes); err != nil {
			return store.Version{}, err
		}
	}
	script.ModifiedAt, script.Source = deployment.CreatedAt, deployment.Source
	if classes == nil {
		classes = []runtime.DurableObjectClass{}
	}
	stored, err := c.store.Commit(ctx, store.Change{Script: script, Classes: classes, Version: version, Deployment: &deployment})
	if err != nil {
		return store.Version{}, errors.Join(err, ignoreNotFound(c.reapply(ctx, script.Name)))
	}
	if delay == 0 {
		c.propagation.arrives(script.Name)
	} else {
		c.propagate(script.Name, before, deployment, delay)
	}
	return stored, c.openSite(ctx, script.Name)
}

// startRefusal turns the runtime's refusal of an upload into Cloudflare's.
func startRefusal(err error) error {
	var start *runtime.StartError
	var unsupported *runtime.UnsupportedError
	if errors.As(err, &start) {
		return badUpload("%s", start.Output)
	}
	if errors.As(err, &unsupported) {
		return badUpload("%s", unsupported.Error())
	}
	return err
}

func (c *Cloud) deleteScript(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	c.propagation.arrives(script.Name)
	ctx := context.WithoutCancel(r.Context())
	if err := errors.Join(c.store.DeleteScript(ctx, script.Name), c.closeSite(script.Name)); err != nil {
		return nil, err
	}
	return ok(map[string]any{"id": script.Name}), c.workers.Remove(ctx, script.Name)
}

// scriptName tells whether a name can be a Worker's: it becomes part of a host name.
func scriptName(name string) bool {
	if name == "" || len(name) > 63 {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
