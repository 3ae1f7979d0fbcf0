package localcloud

import (
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) secretRoutes() []route {
	const script = "/accounts/{account}/workers/scripts/{script}"
	return []route{
		{"GET " + script + "/secrets", c.listSecrets},
		{"PUT " + script + "/secrets", c.putSecret},
		{"GET " + script + "/secrets/{secret}", c.getSecret},
		{"DELETE " + script + "/secrets/{secret}", c.deleteSecret},
		{"PATCH " + script + "/secrets-bulk", c.patchSecrets},
	}
}

// secrets of the newest version: the one that the next edit will build on.
func (c *Cloud) secrets(r *http.Request) ([]store.Binding, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	version, err := c.newest(r.Context(), script.Name)
	if err != nil || version == nil {
		return nil, err
	}
	return slices.DeleteFunc(shown(version.Bindings), func(binding store.Binding) bool { return !binding.Secret() }), nil
}

func (c *Cloud) listSecrets(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	secrets, err := c.secrets(r)
	if err != nil {
		return nil, err
	}
	return ok(append([]store.Binding{}, secrets...)), nil
}

func (c *Cloud) getSecret(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	secrets, err := c.secrets(r)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(secrets, named(r.PathValue("secret")))
	if at < 0 {
		return nil, noSecret(r.PathValue("secret"))
	}
	return ok(secrets[at]), nil
}

func noSecret(name string) error {
	return refuse(http.StatusNotFound, codeSecretNotFound, "secret %s does not exist", name)
}

func (c *Cloud) putSecret(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	secret, err := decode[store.Binding](r)
	if err != nil {
		return nil, err
	}
	if secret.Name() == "" || secret.Type() != "secret_text" || secret.String("text") == "" {
		return nil, refuse(http.StatusBadRequest, codeBadUpload, "a secret needs a name, the type secret_text and a text")
	}
	err = c.editBindings(r, codeSecretNotDeployed, func(bindings []store.Binding) ([]store.Binding, error) {
		return append(slices.DeleteFunc(bindings, named(secret.Name())), secret), nil
	})
	if err != nil {
		return nil, err
	}
	return ok(store.Binding{"name": secret.Name(), "type": secret.Type()}), nil
}

func (c *Cloud) deleteSecret(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	name := r.PathValue("secret")
	err := c.editBindings(r, codeSecretNotDeployed, func(bindings []store.Binding) ([]store.Binding, error) {
		left := slices.DeleteFunc(bindings, func(binding store.Binding) bool { return binding.Secret() && binding.Name() == name })
		if len(left) == len(bindings) {
			return nil, noSecret(name)
		}
		return left, nil
	})
	if err != nil {
		return nil, err
	}
	return ok(nil), nil
}

// patchSecrets is a JSON merge patch over all secrets: null deletes.
func (c *Cloud) patchSecrets(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	patch, err := decode[struct {
		Secrets map[string]store.Binding `json:"secrets"`
	}](r)
	if err != nil {
		return nil, err
	}
	out := map[string]store.Binding{}
	err = c.editBindings(r, codeSettingsNotDeployed, func(bindings []store.Binding) ([]store.Binding, error) {
		for name, secret := range patch.Secrets {
			bindings = slices.DeleteFunc(bindings, func(binding store.Binding) bool { return binding.Secret() && binding.Name() == name })
			if secret == nil {
				continue
			}
			secret["name"] = name
			bindings = append(bindings, secret)
		}
		for _, binding := range shown(bindings) {
			if binding.Secret() {
				out[binding.Name()] = binding
			}
		}
		return bindings, nil
	})
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

// editBindings makes a version with other bindings from the newest one and deploys it at once. It is refused with the
// given code while the newest version is not all that serves, which is during every gradual deployment: the edit would
// silently finish it.
func (c *Cloud) editBindings(r *http.Request, refusal int, edit func([]store.Binding) ([]store.Binding, error)) error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	script, err := c.script(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	newest, err := c.newest(ctx, script.Name)
	if err != nil {
		return err
	}
	shares, err := c.current(ctx, script.Name)
	if err != nil {
		return err
	}
	if newest == nil || len(shares) != 1 || shares[0].VersionID != newest.ID {
		return refuse(http.StatusBadRequest, refusal,
			"Secret edit failed. You attempted to modify a secret, but the latest version of your Worker isn't currently deployed.")
	}
	version := *newest
	version.ID, version.CreatedAt, version.Source = uuid.NewString(), now(), source(r)
	version.Annotations = map[string]string{"workers/triggered_by": "secret"}
	if version.Bindings, err = edit(slices.Clone(newest.Bindings)); err != nil {
		return err
	}
	classes, err := c.store.Classes(ctx, script.Name)
	if err != nil {
		return err
	}
	for _, binding := range version.Bindings {
		if err := c.exists(ctx, script.Name, binding, classes); err != nil {
			return err
		}
	}
	_, err = c.release(r, script, classes, version, "secret")
	return err
}
