package runtime

import (
	"cmp"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/assetrules"
)

// Assets are the static files that belong to a version, and how paths find them.
// Source: https://developers.cloudflare.com/workers/static-assets/routing/
type Assets struct {
	Files map[string]Asset // by path, /index.html
	// HTMLHandling is auto-trailing-slash (also when empty), force-trailing-slash, drop-trailing-slash or none.
	HTMLHandling string
	// NotFoundHandling is none (also when empty), single-page-application or 404-page.
	NotFoundHandling string
	// WorkerFirst are the patterns of paths for which the Worker is asked before the files; /* when it always is. One that
	// begins with ! is an exception to the others.
	WorkerFirst []string
	// Redirects come before the files, and Headers are for what the files or redirects answer, not the Worker.
	Redirects assetrules.Redirects
	Headers   assetrules.Headers
	// Alone says that there is no Worker besides the files.
	Alone bool
}

// Asset is one file.
type Asset struct {
	Hash        string
	ContentType string // empty: none is told
	Size        int64
	Open        func() (io.ReadCloser, error)
}

// found is what a path leads to: a file with a status, or another path.
type found struct {
	status   int
	file     *Asset
	redirect string
}

// find looks a path up as the HTML handling says; false when nothing is there.
func (a *Assets) find(requested string) (found, bool) {
	file := func(name string) (found, bool) {
		if asset, there := a.Files[name]; there {
			return found{status: http.StatusOK, file: &asset}, true
		}
		return found{}, false
	}
	has := func(name string) bool { _, there := a.Files[name]; return there }
	to := func(name string) (found, bool) {
		return found{status: http.StatusTemporaryRedirect, redirect: name}, true
	}
	handling := cmp.Or(a.HTMLHandling, "auto-trailing-slash")
	if handling == "none" {
		return file(requested)
	}
	// page is the path without what HTML handling hides: /index.html, /index, .html and a slash at the end.
	page := strings.TrimSuffix(requested, ".html")
	page = strings.TrimSuffix(page, "/")
	if base := path.Base(page); base == "index" {
		page = strings.TrimSuffix(page, "/index")
	}
	folder, single := has(page+"/index.html"), page != "" && has(page+".html")
	var right string // the one path under which the page is to be seen
	switch {
	case !folder && !single:
		return file(requested)
	case page == "":
		right = "/"
	case handling == "force-trailing-slash":
		right = page + "/"
	case handling == "drop-trailing-slash":
		right = page
	case folder && single: // each under its own
		if right = page; strings.HasSuffix(requested, "/") || strings.HasSuffix(requested, "/index") || strings.HasSuffix(requested, "/index.html") {
			right = page + "/"
		}
	case folder:
		right = page + "/"
	default:
		right = page
	}
	if requested != right {
		if asset, there := file(requested); there && !strings.HasSuffix(requested, ".html") {
			return asset, true // a file that happens to have the name of a page
		}
		return to(right)
	}
	if folder && (!single || strings.HasSuffix(right, "/")) {
		return file(page + "/index.html")
	}
	return file(page + ".html")
}

// missing is what a path leads to that finds nothing.
func (a *Assets) missing(requested string) (found, bool) {
	switch a.NotFoundHandling {
	case "single-page-application":
		if page, there := a.Files["/index.html"]; there {
			return found{status: http.StatusOK, file: &page}, true
		}
	case "404-page":
		for folder := path.Dir(requested); ; folder = path.Dir(folder) {
			if page, there := a.Files[strings.TrimSuffix(folder, "/")+"/404.html"]; there {
				return found{status: http.StatusNotFound, file: &page}, true
			}
			if folder == "/" || folder == "." {
				break
			}
		}
	}
	return found{}, false
}

// workerFirst tells whether the Worker is asked for a path before the files.
func (a *Assets) workerFirst(requested string) bool {
	matched := func(exception bool) bool {
		return slices.ContainsFunc(a.WorkerFirst, func(pattern string) bool {
			pattern, negated := strings.CutPrefix(pattern, "!")
			return negated == exception && globMatches(pattern, requested)
		})
	}
	return matched(false) && !matched(true)
}

// globMatches compares with a pattern in which * is any text.
func globMatches(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, begins := strings.CutPrefix(text, head)
	if !begins {
		return false
	}
	for i := 0; i <= len(text); i++ {
		if globMatches(rest, text[i:]) {
			return true
		}
	}
	return false
}

// serveBefore answers a request from the edge out of the files, or says that the Worker is to be asked.
func (a *Assets) serveBefore(w http.ResponseWriter, r *http.Request) bool {
	if a.Alone {
		a.serve(w, r)
		return true
	}
	if a.workerFirst(r.URL.Path) {
		return false
	}
	// A browser that goes to a page gets the page for what is missing; a script's fetch goes to the Worker.
	orElse := nothing
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && len(a.WorkerFirst) == 0 {
		orElse = a.missing
	}
	return a.answer(w, r, orElse)
}

// serve answers out of the files alone: for a version without a Worker, and for the ASSETS binding.
func (a *Assets) serve(w http.ResponseWriter, r *http.Request) {
	if !a.answer(w, r, a.missing) {
		a.ruled(w, r).WriteHeader(http.StatusNotFound)
	}
}

// nothing is what a path leads to that finds nothing, where the Worker is asked then.
func nothing(string) (found, bool) { return found{}, false }

// answer follows the redirects, and then serves the file of the path, or else what orElse has for it. False, with nothing
// answered, when that is nothing. Only files depend on the method.
func (a *Assets) answer(w http.ResponseWriter, r *http.Request, orElse func(string) (found, bool)) bool {
	requested := r.URL.Path
	redirect, redirected := a.redirect(r)
	if redirected {
		if requested = redirect.Path; redirect.Location != "" {
			w = a.ruled(w, r)
			w.Header().Set("Location", redirect.Location)
			w.WriteHeader(redirect.Status)
			return true
		}
	}
	at, there := a.find(requested)
	if !there {
		at, there = orElse(requested)
	}
	switch {
	case !there && redirected: // to a file that is not there; the Worker was not meant
		a.ruled(w, r).WriteHeader(http.StatusNotFound)
	case !there:
		return false
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w = a.ruled(w, r)
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		at.write(a.ruled(w, r), r)
	}
	return true
}

func (f found) write(w http.ResponseWriter, r *http.Request) {
	if f.redirect != "" {
		to := f.redirect
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", to)
		w.WriteHeader(f.status)
		return
	}
	tag := `"` + f.file.Hash + `"`
	header := w.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "public, max-age=0, must-revalidate")
	header.Set("Cf-Cache-Status", "HIT")
	if strings.Contains(r.Header.Get("If-None-Match"), tag) && f.status == http.StatusOK {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := f.file.Open()
	if err != nil {
		header.Del("ETag")
		edgeError(w, http.StatusInternalServerError, "error code: 1101", "the file could not be read")
		return
	}
	defer body.Close()
	if header["Content-Type"] = nil; f.file.ContentType != "" { // nil: net/http must not guess one
		header.Set("Content-Type", f.file.ContentType)
	}
	header.Set("Content-Length", strconv.FormatInt(f.file.Size, 10))
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body) // the length is announced: a client that gets less knows
	}
}

// serveAssets answers for an ASSETS binding; name is the script and the version.
func (d *dataPlane) serveAssets(w http.ResponseWriter, r *http.Request, name string) {
	script, version, _ := strings.Cut(name, "/")
	assets := (*Assets)(nil)
	if s := d.runtime.script(script); s != nil {
		assets = s.assetsOf(version)
	}
	if assets == nil {
		edgeError(w, http.StatusNotFound, "error code: 1042", "this version has no static assets")
		return
	}
	assets.serve(w, r)
}

// assetsOf are the files of a version that is deployed, or about to be; nil when it has none.
func (s *script) assetsOf(version string) *Assets {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assets[version]
}

// holdAssets makes the files of a deployment's versions reachable, besides those of the one before: it still serves.
func (s *script) holdAssets(next Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := map[string]*Assets{}
	for _, share := range s.shares {
		if assets := s.assets[share.VersionID]; assets != nil {
			held[share.VersionID] = assets
		}
	}
	for _, version := range next.Versions {
		if version.Assets != nil {
			held[version.ID] = version.Assets
		}
	}
	s.assets = held
}
