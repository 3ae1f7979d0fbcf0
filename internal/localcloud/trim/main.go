// Command trim cuts Cloudflare's OpenAPI description down to the parts of the API that the local Cloudflare serves, and to
// what those refer to. Examples and prose go; every constraint stays.
//
//	git clone https://github.com/cloudflare/api-schemas && git -C api-schemas checkout cca3064f1aba08cc6cef52fc7b3d3064a9eafcc9
//	go run ./internal/localcloud/trim api-schemas/openapi.json > internal/localcloud/testdata/api.cloudflare.com.json
//
// The description is BSD-3-Clause, Copyright (c) 2022, Cloudflare; its licence is beside the result. Its later versions are
// too large for the tools of the tests.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// kept are the beginnings of the paths that stay, and left those below them that do not.
var (
	kept = []string{
		"/accounts/{account_id}/workers/", "/accounts/{account_id}/d1/", "/accounts/{account_id}/storage/kv/", "/accounts/{account_id}/r2/buckets",
		"/accounts/{account_id}/queues", "/accounts/{account_id}/vectorize/v2/", "/zones/{zone_id}/workers/routes", "/zones/{zone_id}/ssl/",
		"/zones/{zone_id}/settings",
	}
	left = []string{
		"/dispatch/", "/environments/", "/zaraz", "/sippy", "/settings/fonts", "/settings/rum", "/settings/origin_max_http_version",
		"/account-settings", "/by-script/", "/usage-model", "/messages/", "/ssl/analyze", "/verification/", "/objects", "/script_name}/content",
	}
	exactly = []string{"/zones", "/zones/{zone_id}", "/user", "/user/tokens/verify", "/accounts", "/accounts/{account_id}"}
)

func main() {
	if err := trim(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trim:", err)
		os.Exit(1)
	}
}

func trim(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: trim openapi.json > internal/localcloud/testdata/api.cloudflare.com.json")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var whole struct {
		OpenAPI    string                    `json:"openapi"`
		Info       map[string]any            `json:"info"`
		Paths      map[string]map[string]any `json:"paths"`
		Components map[string]map[string]any `json:"components"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return err
	}
	paths := map[string]any{}
	for path, item := range whole.Paths {
		wanted := slices.ContainsFunc(kept, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) &&
			!slices.ContainsFunc(left, func(part string) bool { return strings.Contains(path, part) })
		if wanted || slices.Contains(exactly, path) {
			paths[path] = clean(item)
		}
	}
	components := map[string]map[string]any{}
	if err := follow(whole.Components, components, paths); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(map[string]any{"openapi": whole.OpenAPI, "info": map[string]any{"title": whole.Info["title"], "version": whole.Info["version"]}, "paths": paths, "components": components})
}

// follow takes over what value refers to.
func follow(from, into map[string]map[string]any, value any) error {
	switch value := value.(type) {
	case map[string]any:
		if ref, isText := value["$ref"].(string); isText {
			kind, name, found := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
			if !found || from[kind][name] == nil {
				return fmt.Errorf("the description has no %s", ref)
			}
			if into[kind] == nil {
				into[kind] = map[string]any{}
			}
			if into[kind][name] != nil {
				return nil
			}
			into[kind][name] = clean(from[kind][name])
			return follow(from, into, into[kind][name])
		}
		for _, below := range value {
			if err := follow(from, into, below); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range value {
			if err := follow(from, into, below); err != nil {
				return err
			}
		}
	}
	return nil
}

// prose are the keys that constrain nothing. Within "properties" they are names of fields and stay.
var prose = []string{"example", "examples", "summary", "tags", "externalDocs", "title", "security", "operationId", "x-api-token-group", "x-cfPlanAvailability", "x-cfPermissionsRequired", "x-stainless-collection-type", "x-auditable", "x-fern-pagination"}

// clean copies value without prose. Descriptions become empty where they must be, and go elsewhere.
func clean(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, below := range value {
			fields, isObject := below.(map[string]any)
			switch {
			case slices.Contains(prose, key):
			case key == "description":
				if !slices.ContainsFunc([]string{"type", "schema", "in", "allOf", "oneOf", "anyOf"}, func(key string) bool { return value[key] != nil }) {
					out[key] = "" // a response must have one
				}
			case key == "properties" && isObject:
				kept := map[string]any{}
				for name, field := range fields {
					kept[name] = clean(field)
				}
				out[key] = kept
			default:
				out[key] = clean(below)
			}
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, below := range value {
			out[i] = clean(below)
		}
		return out
	}
	return value
}
