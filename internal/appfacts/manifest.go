package appfacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/penstock-ci/penstock/pipelines"
)

const manifestName = "package.json"

// manifest is the part of package.json that matters here.
type manifest struct {
	Name            string            `json:"name"`
	Scripts         map[string]string `json:"scripts"`
	PackageManager  string            `json:"packageManager"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
	Engines         engines           `json:"engines"`

	tree hujson.Value
	text []byte
}

// engines is an object in all but very old packages, where it is a list of texts.
type engines struct {
	Node string `json:"node"`
}

// UnmarshalJSON takes no notice of the old form, as npm does.
func (e *engines) UnmarshalJSON(data []byte) error {
	type plain engines // without this method
	if len(data) > 0 && data[0] == '{' {
		return json.Unmarshal(data, (*plain)(e))
	}
	return nil
}

func (r *reading) readManifest() error {
	r.app.PackageManager = pipelines.NPM
	r.manifest = &manifest{}
	text, ok, err := r.text(manifestName)
	if err != nil {
		return err
	}
	if !ok {
		what, fix := "there is none in this folder", "go to the app's folder, or make one with `npm init`"
		switch {
		case r.exists("Cargo.toml"):
			what = "there is none in this folder, but a Cargo.toml: Penstock deploys Workers in JavaScript and TypeScript only"
			fix = "deploy a Worker in Rust with its own tools (`npx wrangler deploy`); in a workspace of both, go to the folder of the other"
		case r.exists("pyproject.toml"):
			what = "there is none in this folder, but a pyproject.toml: Penstock deploys Workers in JavaScript and TypeScript only"
			fix = "deploy a Worker in Python with its own tools (`pywrangler deploy`)"
		case r.exists("wrangler.toml") || r.exists("wrangler.jsonc") || r.exists("wrangler.json"):
			what = "there is none in this folder: it names the app's wrangler, with which Penstock bundles, and its scripts"
			fix = "run `npm init --yes && npm install --save-dev wrangler` here and commit package.json and package-lock.json"
		}
		r.problem(pipelines.SeverityError, manifestName, 0, 0, what, fix)
		return nil
	}
	m := r.manifest
	m.text = bytes.TrimPrefix(text, []byte("\uFEFF")) // npm takes it off too
	if err := json.Unmarshal(m.text, m); err != nil {
		line, column, what := locate(m.text, err)
		r.problem(pipelines.SeverityError, manifestName, line, column, what, "correct it; npm cannot read it either")
		r.manifest = &manifest{}
		return nil
	}
	if m.tree, err = hujson.Parse(bytes.Clone(m.text)); err != nil {
		return fmt.Errorf("read %s: %w", manifestName, err) // it has just been parsed
	}
	r.app.Name = m.Name
	r.app.NodeRange = m.Engines.Node
	r.app.Scripts = m.Scripts
	r.app.Dependencies = map[string]string{}
	for _, group := range []map[string]string{m.Dependencies, m.DevDependencies} {
		for name, version := range group {
			r.app.Dependencies[name] = version
		}
	}
	if strings.Contains(m.Scripts["test"], "no test specified") {
		delete(m.Scripts, "test") // npm init writes it, to fail
	}
	return nil
}

// locate says where and what encoding/json did not like.
func locate(text []byte, err error) (line, column int, what string) {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	offset := int64(0)
	what = err.Error()
	switch {
	case errors.As(err, &syntax):
		offset, what = syntax.Offset, "is not JSON: "+syntax.Error()
	case errors.As(err, &mismatch):
		offset, what = mismatch.Offset, fmt.Sprintf("%s cannot be a JSON %s", mismatch.Field, mismatch.Value)
	}
	line, column = position(text, int(offset)-1)
	return line, column, what
}

// place is where a value of package.json stands; 0, 0 when it is not there.
func (m *manifest) place(pointer string) (line, column int) {
	found := m.tree.Find(pointer)
	if found == nil {
		return 0, 0
	}
	return position(m.text, found.StartOffset)
}

// position turns an offset into a line and a column, from 1.
func position(text []byte, offset int) (line, column int) {
	offset = max(0, min(offset, len(text)))
	before := text[:offset]
	return bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n')
}
