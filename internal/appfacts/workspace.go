package appfacts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"github.com/penstock-ci/penstock/pipelines"
)

// maxClimb is how many folders above the app's may be the workspace's: real repositories have two or three.
const maxClimb = 8

// SourceRoot is the folder whose files the app is made of, and where in it, with slashes, the app lies: the workspace that the app is a
// member of, by package.json or pnpm-workspace.yaml, or the app's folder itself (place is then ""). It does not leave the
// repository. What cannot be read is no workspace; reading the app tells what is wrong with its files.
func SourceRoot(dir string) (root, place string) {
	own, err := filepath.Abs(dir)
	if err != nil {
		return dir, ""
	}
	root = own
	for range maxClimb {
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil || filepath.Dir(root) == root {
			break
		}
		root = filepath.Dir(root)
		relative, err := filepath.Rel(root, own)
		if err != nil {
			break
		}
		if relative = filepath.ToSlash(relative); memberOf(workspaceGlobs(root), relative) {
			return root, relative
		}
	}
	return dir, ""
}

// workspaceGlobs are what the package managers take for a workspace's members; nil when the folder is no workspace.
func workspaceGlobs(root string) []string {
	if text, err := os.ReadFile(filepath.Join(root, "pnpm-workspace.yaml")); err == nil {
		var workspace struct {
			Packages []string `yaml:"packages"`
		}
		if yaml.Unmarshal(text, &workspace) == nil && len(workspace.Packages) > 0 {
			return workspace.Packages
		}
	}
	text, err := os.ReadFile(filepath.Join(root, manifestName))
	if err != nil {
		return nil
	}
	var found struct {
		Workspaces json.RawMessage `json:"workspaces"`
	}
	if json.Unmarshal(text, &found) != nil {
		return nil
	}
	var globs []string
	if json.Unmarshal(found.Workspaces, &globs) == nil {
		return globs
	}
	var nested struct { // Yarn 1
		Packages []string `json:"packages"`
	}
	_ = json.Unmarshal(found.Workspaces, &nested) // absent or of a form that no manager reads
	return nested.Packages
}

// memberOf reports whether a folder is a member: the last pattern that matches decides.
func memberOf(globs []string, folder string) bool {
	member := false
	for _, glob := range globs {
		positive := strings.TrimPrefix(glob, "!")
		positive = strings.TrimSuffix(strings.TrimPrefix(positive, "./"), "/")
		if matched, err := doublestar.Match(positive, folder); err == nil && matched {
			member = positive == strings.TrimSuffix(strings.TrimPrefix(glob, "./"), "/")
		}
	}
	return member
}

// readWorkspace takes over what the workspace above the app says: its packages, and what its root brings for all of them.
func (r *reading) readWorkspace() error {
	root, place := SourceRoot(r.dir)
	r.top = root
	if place == "" || r.app.Dependencies == nil {
		return nil
	}
	up := path.Join(slices.Repeat([]string{".."}, strings.Count(place, "/")+1)...)
	workspace := &pipelines.Workspace{Up: up, Place: place}
	members, err := membersOf(root)
	if err != nil {
		return fmt.Errorf("look for the packages of the workspace: %w", err)
	}
	needed := neededBy(members, place)
	for _, folder := range slices.Sorted(maps.Keys(members)) {
		if folder == place {
			continue
		}
		workspace.Members = append(workspace.Members, path.Join(up, folder))
		if !needed[folder] {
			workspace.Others = append(workspace.Others, path.Join(up, folder))
		} else if members[folder].Scripts["build"] != "" {
			workspace.Built = append(workspace.Built, members[folder].Name)
		}
	}
	r.app.Workspace = workspace
	top, err := readMember(root)
	if err != nil || top == nil {
		return err
	}
	// wrangler, typescript and eslint often stand only at the root.
	for _, group := range []map[string]string{top.Dependencies, top.DevDependencies} {
		for name, version := range group {
			if !r.app.DependsOn(name) {
				r.app.Dependencies[name] = version
			}
		}
	}
	r.manifest.PackageManager = cmp.Or(r.manifest.PackageManager, top.PackageManager)
	r.app.NodeRange = cmp.Or(r.app.NodeRange, top.Engines.Node)
	r.app.InstallScripts = installs(top.Scripts)
	return nil
}

// membersOf reads the package.json of each member, by folder. A workspace has tens of them.
func membersOf(root string) (map[string]*manifest, error) {
	globs := workspaceGlobs(root)
	members := map[string]*manifest{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || len(entry.Name()) > 1 && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.Name() != manifestName:
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		if folder = filepath.ToSlash(folder); memberOf(globs, folder) {
			if found, err := readMember(filepath.Dir(file)); err != nil {
				return err
			} else if found != nil {
				members[folder] = found
			}
		}
		return nil
	})
	return members, err
}

// readMember is a folder's package.json, nil when npm could not read it either.
func readMember(folder string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(folder, manifestName))
	if err != nil {
		return nil, err
	}
	found := &manifest{}
	if json.Unmarshal(text, found) != nil {
		return nil, nil
	}
	return found, nil
}

// neededBy are the folders of the packages that the app depends on, through others too.
func neededBy(members map[string]*manifest, place string) map[string]bool {
	byName := map[string]string{}
	for folder, found := range members {
		byName[found.Name] = folder
	}
	needed := map[string]bool{}
	var visit func(folder string)
	visit = func(folder string) {
		if needed[folder] || members[folder] == nil {
			return
		}
		needed[folder] = true
		for _, group := range []map[string]string{members[folder].Dependencies, members[folder].DevDependencies} {
			for name := range group {
				if other, within := byName[name]; within {
					visit(other)
				}
			}
		}
	}
	visit(place)
	return needed
}
