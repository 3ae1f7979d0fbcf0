package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// PathError says what in a bundle depends on the folder in which it was built.
type PathError struct {
	Module string // "" for the metadata
	What   string // what was found
}

// Error names the module, what was found in it, and the way out.
func (e *PathError) Error() string {
	where := "the upload metadata"
	if e.Module != "" {
		where = "module " + e.Module
	}
	return fmt.Sprintf("%s %s, so the same source would have another digest in another folder; make the build write relative paths (no __dirname, no absolute sourceRoot, no absolute imports)", where, e.What)
}

// absolute matches paths and URLs that name a place on one machine.
var absolute = regexp.MustCompile(`^(/|[A-Za-z]:[/\\]|file:|\\\\)`)

func checkPaths(b *Bundle, folder string) error {
	spellings := folderSpellings(folder)
	if found := contains(b.Metadata, spellings); found != "" {
		return &PathError{What: "contains the build folder " + found}
	}
	for _, module := range b.Modules {
		if absolute.MatchString(module.Name) {
			return &PathError{Module: module.Name, What: "is named by an absolute path"}
		}
		if err := checkSourceMap(module); err != nil {
			return err
		}
		if found := contains(module.Body, spellings); found != "" {
			return &PathError{Module: module.Name, What: "contains the build folder " + found}
		}
	}
	return nil
}

// checkSourceMap looks at the places of a source map that hold paths. What is not a readable map is left to Cloudflare,
// which ignores it.
func checkSourceMap(module Module) error {
	if module.ContentType != "application/source-map" {
		return nil
	}
	var m struct {
		File       string   `json:"file"`
		SourceRoot string   `json:"sourceRoot"`
		Sources    []string `json:"sources"`
	}
	if err := json.Unmarshal(module.Body, &m); err != nil {
		return nil //nolint:nilerr // see above
	}
	for _, path := range append([]string{m.File, m.SourceRoot}, m.Sources...) {
		if absolute.MatchString(path) {
			return &PathError{Module: module.Name, What: "names the absolute path " + path}
		}
	}
	return nil
}

// folderSpellings are the ways in which a folder appears in JavaScript and JSON. A folder directly under the root, like
// /app in a container, has none: as a text it is as likely to be a URL's path.
func folderSpellings(folder string) []string {
	if folder == "" || !filepath.IsAbs(folder) {
		return nil
	}
	folder = filepath.Clean(folder)
	slashed := filepath.ToSlash(strings.TrimPrefix(folder, filepath.VolumeName(folder)))
	if strings.Count(slashed, "/") < 2 {
		return nil
	}
	spellings := []string{filepath.ToSlash(folder)}
	if filepath.Separator == '\\' {
		spellings = append(spellings, folder, strings.ReplaceAll(folder, `\`, `\\`))
	}
	return spellings
}

func contains(text []byte, spellings []string) string {
	for _, spelling := range spellings {
		if bytes.Contains(text, []byte(spelling)) {
			return spelling
		}
	}
	return ""
}
