package bundle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"sort"
	"strings"
)

// The bounds of what Parse accepts. Cloudflare takes Workers of at most 64 MiB before compression; source maps come on
// top of that.
const (
	MaxSize         = 128 << 20 // of the whole body, in bytes
	MaxMetadataSize = 1 << 20   // in bytes
	MaxModules      = 10_000
)

// metadataPart is the name of the part that describes the upload, in Cloudflare's API.
const metadataPart = "metadata"

// Parse reads an upload body as wrangler wrote it. The boundary is taken from its first line.
//
// folder is where the bundle was built, "" when that is not known. A bundle that depends on it (a module named by an
// absolute path, a source map or a module that contains the folder) is refused with a [*PathError], since the same
// source would have another digest elsewhere.
func Parse(r io.Reader, folder string) (*Bundle, error) {
	limited := &io.LimitedReader{R: r, N: MaxSize + 1}
	b, err := parse(bufio.NewReader(limited), folder)
	if limited.N <= 0 {
		return nil, fmt.Errorf("read bundle: more than %d MiB; Cloudflare does not accept Workers of that size: leave out what is not used at run time", MaxSize>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return b, nil
}

func parse(r *bufio.Reader, folder string) (*Bundle, error) {
	boundary, err := peekBoundary(r)
	if err != nil {
		return nil, err
	}
	b := &Bundle{}
	seen := map[string]bool{}
	parts := multipart.NewReader(r, boundary)
	for {
		// Raw: a Content-Transfer-Encoding header must not change what is digested and sent.
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("next part: %w", err)
		}
		name, isFile, err := partName(part)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("two parts are named %q", name)
		}
		seen[name] = true
		if !isFile {
			if name != metadataPart {
				return nil, fmt.Errorf("part %q is neither the metadata nor a module", name)
			}
			if b.Metadata, err = readMetadata(part); err != nil {
				return nil, err
			}
			continue
		}
		if len(b.Modules) == MaxModules {
			return nil, fmt.Errorf("more than %d modules", MaxModules)
		}
		module, err := readModule(part, name)
		if err != nil {
			return nil, err
		}
		b.Modules = append(b.Modules, module)
	}
	if b.Metadata == nil {
		return nil, errors.New(`no part is named "metadata": this is not what "wrangler deploy --dry-run --outfile" writes`)
	}
	sort.Slice(b.Modules, func(i, j int) bool { return b.Modules[i].Name < b.Modules[j].Name })
	if err := checkEntry(b); err != nil {
		return nil, err
	}
	if err := checkPaths(b, folder); err != nil {
		return nil, err
	}
	b.Digest = digest(b.Metadata, b.Modules)
	return b, nil
}

// peekBoundary reads the boundary off the first line and leaves the line where it is. RFC 2046 allows 70 characters.
func peekBoundary(r *bufio.Reader) (string, error) {
	head, err := r.Peek(2 + 70 + 2)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("first line: %w", err)
	}
	line, _, found := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	boundary, dashes := bytes.CutPrefix(line, []byte("--"))
	if !found || !dashes || len(boundary) == 0 {
		return "", errors.New(`it does not begin with a multipart boundary: this is not what "wrangler deploy --dry-run --outfile" writes`)
	}
	return string(boundary), nil
}

// partName returns a part's form name and whether it has a file name. multipart.Part.FileName is of no use here: it
// drops the folders of a module's name.
func partName(part *multipart.Part) (name string, isFile bool, err error) {
	header := part.Header.Get("Content-Disposition")
	disposition, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", false, fmt.Errorf("part header %q: %w", header, err)
	}
	if disposition != "form-data" || params["name"] == "" {
		return "", false, fmt.Errorf("part header %q names no form field", header)
	}
	name = params["name"]
	file, isFile := params["filename"]
	if isFile && file != name {
		return "", false, fmt.Errorf("module %q has the file name %q: import specifiers would not find it", name, file)
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' || c == 0x7f || c == '\uFFFD' }) {
		return "", false, fmt.Errorf("part name %q has characters that an upload cannot carry", name)
	}
	return name, isFile, nil
}

func readModule(part *multipart.Part, name string) (Module, error) {
	header := part.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		return Module{}, fmt.Errorf("content type of module %q: %w", name, err)
	}
	body, err := io.ReadAll(part)
	if err != nil {
		return Module{}, fmt.Errorf("module %q: %w", name, err)
	}
	return Module{Name: name, ContentType: mime.FormatMediaType(kind, params), Body: body}, nil
}

func readMetadata(part io.Reader) (json.RawMessage, error) {
	raw, err := io.ReadAll(io.LimitReader(part, MaxMetadataSize+1))
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if len(raw) > MaxMetadataSize {
		return nil, fmt.Errorf("metadata is larger than %d KiB", MaxMetadataSize>>10)
	}
	canonical, err := canonicalJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return canonical, nil
}

// canonicalJSON sorts the keys and drops insignificant space. Numbers stay as written: wrangler's JSON.stringify writes
// them in the one form that RFC 8785 takes from it.
func canonicalJSON(raw []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("is null, not an object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has more than one JSON value")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// checkEntry makes sure that the module which Cloudflare is told to start is there.
func checkEntry(b *Bundle) error {
	var entry struct {
		MainModule string `json:"main_module"` // ES modules
		BodyPart   string `json:"body_part"`   // the older service-worker format
	}
	if err := json.Unmarshal(b.Metadata, &entry); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	name := entry.MainModule
	if name == "" {
		name = entry.BodyPart
	}
	if name == "" {
		return errors.New(`metadata names no entry: neither "main_module" nor "body_part"; a Worker with static assets only cannot be promoted yet: give it a "main"`)
	}
	if b.Module(name) == nil {
		return fmt.Errorf("metadata names the entry %q, and no module has that name", name)
	}
	return nil
}
