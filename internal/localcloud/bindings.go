package localcloud

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// resolve turns the bindings of an upload into those of the version: what is inherited or kept is copied from base (nil
// for a first upload), and everything that a binding names must exist.
func (c *Cloud) resolve(ctx context.Context, script string, meta metadata, base *store.Version, classes []runtime.DurableObjectClass) ([]store.Binding, error) {
	resolved := make([]store.Binding, 0, len(meta.Bindings))
	for _, binding := range meta.Bindings {
		if binding.Name() == "" || binding.Type() == "" {
			return nil, badUpload("every binding must have a name and a type")
		}
		if slices.ContainsFunc(resolved, named(binding.Name())) {
			return nil, badUpload("binding name %q is used twice", binding.Name())
		}
		if binding.Type() == "inherit" {
			inherited, err := inherit(binding, base)
			if err != nil {
				return nil, err
			}
			binding = inherited
		}
		resolved = append(resolved, binding)
	}
	resolved = append(resolved, kept(meta.KeepBindings, resolved, base)...)
	for _, binding := range resolved {
		if err := c.exists(ctx, script, binding, classes); err != nil {
			return nil, err
		}
	}
	return resolved, nil
}

func named(name string) func(store.Binding) bool {
	return func(binding store.Binding) bool { return binding.Name() == name }
}

// inherit copies a binding from the version before, by its name or, after a renaming, by old_name.
func inherit(binding store.Binding, base *store.Version) (store.Binding, error) {
	from := binding.String("old_name")
	if from == "" {
		from = binding.Name()
	}
	if base != nil {
		if at := slices.IndexFunc(base.Bindings, named(from)); at >= 0 {
			copied := store.Binding{}
			for field, value := range base.Bindings[at] {
				copied[field] = value
			}
			copied["name"] = binding.Name()
			return copied, nil
		}
	}
	return nil, refuse(http.StatusBadRequest, codeBadInherit, "binding %s cannot be inherited: the previous version has no binding %s", binding.Name(), from)
}

// kept lists the bindings of the version before that stay without being named again. An upload that does not say keeps
// its secrets: `wrangler deploy` does not say, and has never removed one.
func kept(types *[]string, already []store.Binding, base *store.Version) []store.Binding {
	if base == nil {
		return nil
	}
	keep := []string{"secret_text", "secret_key"}
	if types != nil {
		keep = *types
	}
	var out []store.Binding
	for _, binding := range base.Bindings {
		if slices.Contains(keep, binding.Type()) && !slices.ContainsFunc(already, named(binding.Name())) {
			out = append(out, binding)
		}
	}
	return out
}

// exists refuses a binding to something that is not there. The wording is Cloudflare's, which wrangler compares for D1.
func (c *Cloud) exists(ctx context.Context, script string, binding store.Binding, classes []runtime.DurableObjectClass) error {
	var err error
	var field string
	switch binding.Type() {
	case "d1":
		field = "id"
		if binding.String(field) == "" {
			binding["id"] = binding.String("database_id") // the documented name; the older one is what wrangler sends
		}
		_, err = c.store.Database(ctx, binding.String(field))
	case "kv_namespace":
		field = "namespace_id"
		_, err = c.store.Namespace(ctx, binding.String(field))
	case "r2_bucket":
		field = "bucket_name"
		_, err = c.store.Bucket(ctx, binding.String(field))
	case "queue":
		field = "queue_name"
		err = c.needQueue(ctx, binding.String(field))
	case "service":
		field = "service"
		if binding.String(field) != script {
			_, err = c.store.Script(ctx, binding.String(field))
		}
	case "vectorize":
		field = "index_name"
		_, err = c.store.VectorIndex(ctx, binding.String(field))
	case "durable_object_namespace":
		return c.classExists(ctx, script, binding, classes)
	case "secret_text":
		field = "text"
		if binding.String(field) == "" {
			err = store.ErrNotFound
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return badUpload("binding %s of type %s must have a valid `%s` specified", binding.Name(), binding.Type(), field)
	}
	return err
}

func (c *Cloud) classExists(ctx context.Context, script string, binding store.Binding, classes []runtime.DurableObjectClass) error {
	switch other := binding.String("script_name"); other {
	case "":
	case script:
		delete(binding, "script_name") // saying one's own name is as good as saying none
	default:
		var err error
		if classes, err = c.store.Classes(ctx, other); err != nil {
			return err
		}
	}
	class := binding.String("class_name")
	if !slices.ContainsFunc(classes, func(one runtime.DurableObjectClass) bool { return one.ClassName == class }) {
		return refuse(http.StatusBadRequest, codeClassNotConfigured,
			"Cannot create binding for class '%s' because it is not currently configured to implement Durable Objects. Did you forget to apply a migration?", class)
	}
	return nil
}

// shown copies bindings for an answer: a secret's value never leaves.
func shown(bindings []store.Binding) []store.Binding {
	out := make([]store.Binding, 0, len(bindings))
	for _, binding := range bindings {
		if binding.Secret() {
			binding = store.Binding{"name": binding.Name(), "type": binding.Type()}
		}
		out = append(out, binding)
	}
	return out
}
