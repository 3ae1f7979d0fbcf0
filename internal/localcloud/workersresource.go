package localcloud

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// workerResourceRoutes are the newer resource for Workers, which newer wranglers ask first, and the list of Durable Object
// namespaces.
// Source: https://developers.cloudflare.com/api/resources/workers/subresources/beta/
func (c *Cloud) workerResourceRoutes() []route {
	const workers = "/accounts/{account}/workers/workers"
	return []route{
		{"GET " + workers, c.listWorkers},
		{"GET " + workers + "/{worker}", c.getWorker},
		{"PATCH " + workers + "/{worker}", c.patchWorker},
		{"DELETE " + workers + "/{worker}", c.deleteWorker},
		{"GET /accounts/{account}/workers/durable_objects/namespaces", c.listObjectNamespaces},
	}
}

func (c *Cloud) describeWorker(ctx context.Context, script store.Script) (map[string]any, error) {
	deployments, err := c.store.Deployments(ctx, script.Name, 1)
	if err != nil {
		return nil, err
	}
	out := scriptSettings(script)
	for name, otherwise := range map[string]any{
		"tags": []string{}, "tail_consumers": []any{},
		"observability": map[string]any{"enabled": false, "head_sampling_rate": 1},
	} {
		if raw, isRaw := out[name].(rawJSON); out[name] == nil || isRaw && string(raw) == "null" {
			out[name] = otherwise
		}
	}
	out["id"], out["name"], out["created_on"], out["updated_on"] = script.Tag, script.Name, script.CreatedAt, script.ModifiedAt
	out["deployed_on"] = nil
	if len(deployments) > 0 {
		out["deployed_on"] = deployments[0].CreatedAt
	}
	out["subdomain"] = describeSubdomain(script)
	references, err := c.references(ctx, script)
	out["references"] = references
	return out, err
}

// references are what points to a Worker from elsewhere.
func (c *Cloud) references(ctx context.Context, script store.Script) (map[string]any, error) {
	domains, err := c.store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := c.store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	hosts, consumed := []map[string]any{}, []map[string]any{}
	for _, domain := range domains {
		if domain.Script != script.Name {
			continue
		}
		described, err := c.describeDomain(ctx, domain)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, map[string]any{
			"id": domain.ID, "certificate_id": described["cert_id"], "hostname": domain.Hostname, "zone_id": domain.ZoneID, "zone_name": described["zone_name"],
		})
	}
	for _, queue := range queues {
		consumers, err := c.store.Consumers(ctx, queue.ID)
		if err != nil {
			return nil, err
		}
		for _, consumer := range consumers {
			if consumer.Script == script.Name {
				consumed = append(consumed, map[string]any{"queue_id": queue.ID, "queue_name": queue.Name, "queue_consumer_id": consumer.ID})
			}
		}
	}
	return map[string]any{
		"domains": hosts, "queues": consumed, "durable_objects": []any{}, "dispatch_namespace_outbounds": []any{}, "workers": []any{},
	}, nil
}

func (c *Cloud) listWorkers(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	scripts, err := c.store.Scripts(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, script := range scripts {
		described, err := c.describeWorker(r.Context(), script)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	return paged(r, out, 10)
}

// worker finds the Worker that the path names, by its name or its ID, and lets the handlers for scripts find it too.
func (c *Cloud) worker(r *http.Request) (store.Script, error) {
	scripts, err := c.store.Scripts(r.Context())
	if err != nil {
		return store.Script{}, err
	}
	wanted := r.PathValue("worker")
	at := slices.IndexFunc(scripts, func(script store.Script) bool { return script.Name == wanted || script.Tag == wanted })
	if at < 0 {
		return store.Script{}, refuse(http.StatusNotFound, codeScriptNotFound, "This Worker does not exist on your account.")
	}
	r.SetPathValue("script", scripts[at].Name)
	return scripts[at], nil
}

func (c *Cloud) getWorker(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.worker(r)
	if err != nil {
		return nil, err
	}
	described, err := c.describeWorker(r.Context(), script)
	return ok(described), err
}

func (c *Cloud) patchWorker(w http.ResponseWriter, r *http.Request) (*answer, error) {
	if _, err := c.worker(r); err != nil {
		return nil, err
	}
	patch, err := decode[map[string]rawJSON](r)
	if err != nil {
		return nil, err
	}
	if _, err := c.changeScript(r, func(script *store.Script) (any, error) {
		if script.Settings == nil {
			script.Settings = map[string]rawJSON{}
		}
		for name, value := range patch {
			switch _, known := scriptSettings(*script)[name]; {
			case name == "subdomain":
				change := subdomainChange{}
				if err := json.Unmarshal(value, &change); err != nil {
					return nil, refuse(http.StatusBadRequest, codeBadJSON, "subdomain: %v", err)
				}
				change.apply(script)
			case known:
				script.Settings[name] = value
			default:
				return nil, refuse(http.StatusBadRequest, codeBadQuery, "a Worker's %q cannot be changed: logpush, observability, subdomain, tail_consumers and tags can", name)
			}
		}
		return nil, nil
	}); err != nil {
		return nil, err
	}
	return c.getWorker(w, r)
}

func (c *Cloud) deleteWorker(w http.ResponseWriter, r *http.Request) (*answer, error) {
	if _, err := c.worker(r); err != nil {
		return nil, err
	}
	return c.deleteScript(w, r)
}

// listObjectNamespaces shows each class that a migration made.
func (c *Cloud) listObjectNamespaces(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	scripts, err := c.store.Scripts(r.Context())
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, script := range scripts {
		classes, err := c.store.Classes(r.Context(), script.Name)
		if err != nil {
			return nil, err
		}
		for _, class := range classes {
			out = append(out, map[string]any{
				"id": class.UniqueKey, "name": script.Name + "_" + class.ClassName, "script": script.Name, "class": class.ClassName, "use_sqlite": class.SQL,
			})
		}
	}
	return paged(r, out, 20)
}
