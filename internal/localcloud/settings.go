package localcloud

import (
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

type rawJSON = json.RawMessage

func (c *Cloud) settingRoutes() []route {
	const script = "/accounts/{account}/workers/scripts/{script}"
	return []route{
		{"GET " + script + "/settings", c.getSettings},
		{"PATCH " + script + "/settings", c.patchSettings},
		{"GET " + script + "/script-settings", c.getScriptSettings},
		{"PATCH " + script + "/script-settings", c.patchScriptSettings},
		{"GET " + script + "/subdomain", c.getScriptSubdomain},
		{"POST " + script + "/subdomain", c.setScriptSubdomain},
		{"GET /accounts/{account}/workers/subdomain", c.getSubdomain},
	}
}

// scriptSettings are those without a version, with Cloudflare's defaults.
func scriptSettings(script store.Script) map[string]any {
	out := map[string]any{"logpush": false, "observability": nil, "tail_consumers": nil, "tags": nil}
	for name, value := range script.Settings {
		out[name] = value
	}
	return out
}

// getSettings answers with the settings of the script and of its newest version.
func (c *Cloud) getSettings(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	return c.settings(r.Context(), script)
}

func (c *Cloud) settings(ctx context.Context, script store.Script) (*answer, error) {
	out := scriptSettings(script)
	out["usage_model"], out["bindings"] = "standard", []store.Binding{}
	if script.MigrationTag != "" {
		out["migration_tag"] = script.MigrationTag
	}
	version, err := c.newest(ctx, script.Name)
	if err != nil {
		return nil, err
	}
	if version != nil {
		out["bindings"], out["annotations"] = shown(version.Bindings), version.Annotations
		out["compatibility_date"] = version.CompatibilityDate
		out["compatibility_flags"] = append([]string{}, version.CompatibilityFlags...)
		for name, value := range version.Extra {
			out[name] = value
		}
	}
	return ok(out), nil
}

// patchSettings changes the bindings in one step; it is how wrangler puts secrets in bulk. A binding that is sent with
// its name and type alone stays as it is.
func (c *Cloud) patchSettings(w http.ResponseWriter, r *http.Request) (*answer, error) {
	patch := struct {
		Bindings *[]store.Binding `json:"bindings"`
	}{}
	if err := form(w, r, "settings", &patch, func(*multipart.Part) error { return badUpload("settings come in one part") }); err != nil {
		return nil, err
	}
	if patch.Bindings != nil {
		err := c.editBindings(r, codeSettingsNotDeployed, func(before []store.Binding) ([]store.Binding, error) {
			base := &store.Version{Bindings: before}
			after := []store.Binding{}
			for _, binding := range *patch.Bindings {
				if len(binding) == 2 && slices.ContainsFunc(before, named(binding.Name())) {
					binding = store.Binding{"name": binding.Name(), "type": "inherit"}
				}
				if binding.Type() == "inherit" {
					inherited, err := inherit(binding, base)
					if err != nil {
						return nil, err
					}
					binding = inherited
				}
				after = append(after, binding)
			}
			return after, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c.getSettings(w, r)
}

func (c *Cloud) getScriptSettings(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	return ok(scriptSettings(script)), nil
}

func (c *Cloud) patchScriptSettings(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	patch, err := decode[map[string]rawJSON](r)
	if err != nil {
		return nil, err
	}
	return c.changeScript(r, func(script *store.Script) (any, error) {
		if script.Settings == nil {
			script.Settings = map[string]rawJSON{}
		}
		for name, value := range patch {
			if _, known := scriptSettings(*script)[name]; !known {
				return nil, refuse(http.StatusBadRequest, codeBadQuery, "script setting %q is not known: logpush, observability, tail_consumers and tags are", name)
			}
			script.Settings[name] = value
		}
		return scriptSettings(*script), nil
	})
}

// changeScript changes what a script has outside of its versions; what change returns is the answer.
func (c *Cloud) changeScript(r *http.Request, change func(*store.Script) (any, error)) (*answer, error) {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	result, err := change(&script)
	if err != nil {
		return nil, err
	}
	return ok(result), c.store.PutScript(r.Context(), script)
}

func describeSubdomain(script store.Script) map[string]any {
	return map[string]any{"enabled": script.WorkersDev, "previews_enabled": script.Previews}
}

func (c *Cloud) getScriptSubdomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	return ok(describeSubdomain(script)), nil
}

func (c *Cloud) setScriptSubdomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	change, err := decode[subdomainChange](r)
	if err != nil {
		return nil, err
	}
	return c.changeScript(r, func(script *store.Script) (any, error) {
		change.apply(script)
		return describeSubdomain(*script), nil
	})
}

// subdomainChange switches a Worker's workers.dev address and its previews; absent members stay as they are.
type subdomainChange struct {
	Enabled  *bool `json:"enabled"`
	Previews *bool `json:"previews_enabled"`
}

func (s subdomainChange) apply(script *store.Script) {
	if s.Enabled != nil {
		// Previews follow workers_dev unless they are set themselves.
		script.WorkersDev, script.Previews = *s.Enabled, *s.Enabled
	}
	if s.Previews != nil {
		script.Previews = *s.Previews
	}
}

func (c *Cloud) getSubdomain(http.ResponseWriter, *http.Request) (*answer, error) {
	return ok(map[string]any{"subdomain": c.identity.Subdomain}), nil
}
