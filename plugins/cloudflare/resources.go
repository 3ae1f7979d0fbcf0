package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// kind is how one kind of resource is called and bound.
type kind struct {
	word        string // for people
	bindingType string // in Cloudflare's words
	byID        bool   // the binding names the id, not the name
}

var kinds = map[string]kind{
	evidence.ResourceD1:            {"D1 database", "d1", true},
	evidence.ResourceKV:            {"KV namespace", "kv_namespace", true},
	evidence.ResourceR2:            {"R2 bucket", "r2_bucket", false},
	evidence.ResourceQueue:         {"queue", "queue", false},
	evidence.ResourceVectorize:     {"Vectorize index", "vectorize", false},
	evidence.ResourceDurableObject: {"Durable Object class", "durable_object_namespace", false},
}

// resourceGate judges whether all resources of a kind exist and are bound to the version, and what more a kind has to say.
func resourceGate(name, title, of, config string, more func(*gates.Request) (func(*sight, evidence.Resource), error)) environmentGate {
	return environmentGate{name: name, title: title, phases: live, config: config, judge: func(request *gates.Request, seen *sight) error {
		further := func(*sight, evidence.Resource) {}
		if more != nil {
			var err error
			if further, err = more(request); err != nil {
				return err
			}
		}
		seen.subject = kinds[of].word
		count := 0
		for _, resource := range seen.Resources {
			if resource.Kind != of {
				continue
			}
			count++
			if seen.exists(resource) {
				seen.bound(resource)
				further(seen, resource)
			}
		}
		seen.measurements = append(seen.measurements, gates.Count(plural(kinds[of].word), count, nil))
		return nil
	}}
}

func plural(word string) string {
	if before, ok := strings.CutSuffix(word, "index"); ok {
		return before + "indexes"
	}
	if strings.HasSuffix(word, "class") {
		return word + "es"
	}
	return word + "s"
}

// exists reports whether the resource does, and notes what stands against it.
func (s *sight) exists(resource evidence.Resource) bool {
	what := kinds[resource.Kind]
	switch resource.State {
	case evidence.Present:
		s.found("%s %s exists", what.word, resource.Name)
		return true
	case evidence.Missing:
		s.wrong("missing", s.create(resource), "%s %s%s does not exist", what.word, resource.Name, boundAs(resource))
	default:
		s.unknown(resource.Reason, "whether %s %s exists is not known", what.word, resource.Name)
	}
	return false
}

// create is how a person gets a resource that does not exist. What a version is bound to is settled when it is uploaded, so a
// deployment has to follow.
func (s *sight) create(resource evidence.Resource) string {
	switch resource.Kind {
	case evidence.ResourceDurableObject:
		return "name the class under new_sqlite_classes in a migration of the wrangler config, unless one does: " + s.penstock("deploy") + " applies it. A class of another Worker comes with that one"
	case evidence.ResourceVectorize:
		return "create it with " + s.penstock("provision", "--index", resource.Name+"=768:cosine") + ", with the dimensions and the metric of the embedding model; then " + s.penstock("deploy")
	default:
		return "create it, empty, with " + s.penstock("provision") + "; then " + s.penstock("deploy") + " makes a version that is bound to it"
	}
}

func boundAs(resource evidence.Resource) string {
	if resource.Binding == "" {
		return ""
	}
	return " (binding " + resource.Binding + ")"
}

// bound looks at the version that is judged: it must reach the resource under the name that the config gives it.
func (s *sight) bound(resource evidence.Resource) {
	if resource.Binding == "" || s.run.VersionID == "" {
		return
	}
	version := s.version()
	if version == nil || version.BindingsState != evidence.Present {
		s.unknown("its bindings could not be read", "what version %s is bound to is not known", short(s.run.VersionID))
		return
	}
	what := kinds[resource.Kind]
	at := slices.IndexFunc(version.Bindings, func(b evidence.Binding) bool { return b.Name == resource.Binding })
	if at < 0 {
		s.wrong("unbound", s.penstock("deploy")+" makes a version that has the bindings of the wrangler config",
			"version %s has no binding %s to %s %s", short(version.ID), resource.Binding, what.word, resource.Name)
		return
	}
	binding, wanted := version.Bindings[at], resource.Name
	if what.byID {
		wanted = resource.ID
	}
	if binding.Type != what.bindingType || (binding.Target != "" && binding.Target != wanted) {
		s.wrong("bound elsewhere", s.penstock("deploy")+" makes a version that is bound to it", "binding %s of version %s leads to %s %s, and %s %s is %s",
			resource.Binding, short(version.ID), binding.Type, binding.Target, what.word, resource.Name, wanted)
	}
}

// short is enough of an id for people.
func short(id string) string { return id[:min(len(id), 8)] }

var kvGate = resourceGate("kv", "every KV namespace exists and is bound", evidence.ResourceKV, "", nil)

var durableObjectsGate = resourceGate("durable-objects", "every Durable Object class is deployed and bound", evidence.ResourceDurableObject, "", nil)

var d1Gate = resourceGate("d1", "every D1 database exists and is migrated", evidence.ResourceD1, "",
	func(*gates.Request) (func(*sight, evidence.Resource), error) { return (*sight).migrated, nil })

func (s *sight) migrated(resource evidence.Resource) {
	database := resource.Database
	switch {
	case database == nil || database.MigrationsState != evidence.Present:
		reason := ""
		if database != nil {
			reason = database.Reason
		}
		s.unknown(reason, "whether D1 database %s is migrated is not known", resource.Name)
	case len(database.Pending) > 0:
		s.wrong("pending", s.penstock("deploy")+" applies what is missing; until then the code that is live has an older schema",
			"%s not applied to D1 database %s: %s", are(len(database.Pending), "migration"), resource.Name, limited(database.Pending))
	default:
		s.found("%s applied to %s", gates.Counted(len(database.Applied), "migration"), resource.Name)
	}
	if database != nil {
		s.measurements = append(s.measurements, gates.Count("pending migrations of "+resource.Name, len(database.Pending), gates.AtMost(0)))
	}
}

func are(n int, word string) string {
	if n == 1 {
		return "1 " + word + " is"
	}
	return fmt.Sprintf("%d %ss are", n, word)
}

var r2Gate = resourceGate("r2", "every R2 bucket exists, is bound, and is public only where that is meant", evidence.ResourceR2, `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object", "additionalProperties": false,
	"properties": {
		"public": {"type": "array", "items": {"type": "string"}, "default": [], "description": "names of the buckets that everybody may read"}
	}
}`, func(request *gates.Request) (func(*sight, evidence.Resource), error) {
	config := struct {
		Public []string `json:"public"`
	}{}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	return func(s *sight, resource evidence.Resource) { s.private(resource, config.Public) }, nil
})

func (s *sight) private(resource evidence.Resource, meant []string) {
	bucket := resource.Bucket
	if bucket == nil {
		bucket = &evidence.Bucket{}
	}
	allowed := slices.Contains(meant, resource.Name)
	switch {
	case allowed:
	case bucket.Public == evidence.Missing:
		s.found("%s is not public", resource.Name)
	case bucket.Public == evidence.Present:
		s.wrong("public", "close it (`wrangler r2 bucket dev-url disable "+resource.Name+"`, or remove its domain), or name it under public: in the gate's config",
			"everybody can read R2 bucket %s at %s", resource.Name, strings.Join(bucket.Domains, ", "))
	default:
		s.unknown(bucket.PublicReason, "who can read R2 bucket %s is not known", resource.Name)
	}
}

var vectorizeGate = resourceGate("vectorize", "every Vectorize index exists, is bound, and has the wanted shape", evidence.ResourceVectorize, `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object", "additionalProperties": false,
	"properties": {
		"indexes": {
			"type": "object", "description": "what is wanted of an index, by its name",
			"additionalProperties": {
				"type": "object", "additionalProperties": false,
				"properties": {
					"dimensions": {"type": "integer", "minimum": 1, "description": "of its vectors: as many as the model's"},
					"metric": {"enum": ["cosine", "euclidean", "dot-product"]},
					"vectors": {"type": "integer", "minimum": 0, "description": "how many it must have at least"}
				}
			}
		}
	}
}`, func(request *gates.Request) (func(*sight, evidence.Resource), error) {
	config := struct {
		Indexes map[string]wantedIndex `json:"indexes"`
	}{}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	return func(s *sight, resource evidence.Resource) { s.shaped(resource, config.Indexes[resource.Name]) }, nil
})

type wantedIndex struct {
	Dimensions int    `json:"dimensions"`
	Metric     string `json:"metric"`
	Vectors    int64  `json:"vectors"`
}

func (s *sight) shaped(resource evidence.Resource, wanted wantedIndex) {
	index := resource.Vectorize
	if index == nil {
		s.unknown("", "what Vectorize index %s is like is not known", resource.Name)
		return
	}
	anew := "an index cannot be changed: make a new one, fill it, and bind that"
	if wanted.Dimensions > 0 && wanted.Dimensions != index.Dimensions {
		s.wrong("dimensions", anew, "Vectorize index %s has %d dimensions, %d are wanted", resource.Name, index.Dimensions, wanted.Dimensions)
	}
	if wanted.Metric != "" && wanted.Metric != index.Metric {
		s.wrong("metric", anew, "Vectorize index %s compares by %s, %s is wanted", resource.Name, index.Metric, wanted.Metric)
	}
	if wanted.Vectors == 0 {
		return
	}
	switch {
	case index.CountState != evidence.Present:
		s.unknown("", "how many vectors Vectorize index %s has is not known", resource.Name)
	case index.Vectors < wanted.Vectors:
		s.wrong("vectors", "fill the index before the version that searches it takes traffic", "Vectorize index %s has %d vectors, at least %d are wanted", resource.Name, index.Vectors, wanted.Vectors)
	}
}
