// Command trim cuts GitHub's OpenAPI description down to the operations and webhooks that the in-memory GitHub of our tests
// serves, and to what those refer to. Examples and prose go; every constraint stays.
//
//	npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz package/generated/api.github.com.json
//	go run ./internal/githubtest/trim package/generated/api.github.com.json > internal/githubtest/api.github.com.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// kept are the operations that are served: method and path.
var kept = []string{
	"get /user",
	"post /app/installations/{installation_id}/access_tokens",
	"post /repos/{owner}/{repo}/statuses/{sha}",
	"post /repos/{owner}/{repo}/check-runs",
	"get /repos/{owner}/{repo}/check-runs/{check_run_id}",
	"patch /repos/{owner}/{repo}/check-runs/{check_run_id}",
	"get /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations",
	"get /repos/{owner}/{repo}/commits/{ref}/check-runs",
	"get /repos/{owner}/{repo}/deployments",
	"post /repos/{owner}/{repo}/deployments",
	"get /repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
	"post /repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
	"get /repos/{owner}/{repo}/issues/{issue_number}/comments",
	"post /repos/{owner}/{repo}/issues/{issue_number}/comments",
	"patch /repos/{owner}/{repo}/issues/comments/{comment_id}",
	"post /repos/{owner}/{repo}/code-scanning/sarifs",
	"get /repos/{owner}/{repo}/releases/{release_id}",
	"patch /repos/{owner}/{repo}/releases/{release_id}",
	"get /repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments",
	"post /repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments",
	"post /repos/{owner}/{repo}/actions/runs/{run_id}/deployment_protection_rule",
}

// webhooks are those whose payloads are received or read from $GITHUB_EVENT_PATH.
var webhooks = []string{
	"deployment-protection-rule-requested", "check-run-rerequested", "check-run-requested-action", "pull-request-opened", "pull-request-synchronize", "push", "release-published",
}

const refPrefix = "#/components/"

func main() {
	if err := trim(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trim:", err)
		os.Exit(1)
	}
}

func trim(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: trim api.github.com.json > internal/githubtest/api.github.com.json")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		return err
	}
	components, _ := whole["components"].(map[string]any)
	small := map[string]any{"openapi": whole["openapi"], "info": whole["info"], "servers": whole["servers"]}
	paths := map[string]any{}
	all, _ := whole["paths"].(map[string]any)
	for _, operation := range kept {
		method, path, _ := strings.Cut(operation, " ")
		item, _ := all[path].(map[string]any)
		if item[method] == nil {
			return fmt.Errorf("the description has no %s %s", method, path)
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
			if shared := item["parameters"]; shared != nil {
				paths[path].(map[string]any)["parameters"] = clean(shared)
			}
		}
		paths[path].(map[string]any)[method] = clean(item[method])
	}
	small["paths"] = paths
	trimmed := map[string]any{}
	for _, name := range webhooks {
		schema := "webhook-" + name
		if err := take(components, trimmed, "schemas", schema); err != nil {
			return err
		}
	}
	if err := follow(components, trimmed, paths); err != nil {
		return err
	}
	small["components"] = trimmed
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(small)
}

// follow takes over what value refers to.
func follow(from, into map[string]any, value any) error {
	switch value := value.(type) {
	case map[string]any:
		if ref, ok := value["$ref"].(string); ok {
			kind, name, found := strings.Cut(strings.TrimPrefix(ref, refPrefix), "/")
			if !strings.HasPrefix(ref, refPrefix) || !found {
				return fmt.Errorf("cannot follow %s", ref)
			}
			return take(from, into, kind, name)
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

func take(from, into map[string]any, kind, name string) error {
	if into[kind] == nil {
		into[kind] = map[string]any{}
	}
	taken := into[kind].(map[string]any)
	if taken[name] != nil {
		return nil
	}
	all, _ := from[kind].(map[string]any)
	if all[name] == nil {
		return fmt.Errorf("the description has no %s/%s", kind, name)
	}
	taken[name] = clean(all[name])
	if kind == "responses" {
		taken[name].(map[string]any)["description"] = "" // which a response must have
	}
	return follow(from, into, taken[name])
}

// prose are the keys that constrain nothing. Within "properties" they are names of fields and stay.
var prose = []string{"example", "examples", "description", "summary", "tags", "externalDocs", "x-github", "x-octokit", "x-github-breaking-changes", "title"}

// clean copies value without prose. A response must have a description: there it becomes empty.
func clean(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, below := range value {
			if slices.Contains(prose, key) {
				continue
			}
			switch key {
			case "properties":
				fields := map[string]any{}
				for name, field := range below.(map[string]any) {
					fields[name] = clean(field)
				}
				out[key] = fields
			case "responses":
				answers := map[string]any{}
				for status, answer := range below.(map[string]any) {
					cleaned := clean(answer).(map[string]any)
					if cleaned["$ref"] == nil {
						cleaned["description"] = ""
					}
					answers[status] = cleaned
				}
				out[key] = answers
			case "enum", "default", "required":
				out[key] = below
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
	default:
		return value
	}
}
