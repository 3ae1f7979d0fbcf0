package runtime

import (
	"net/http"
	"net/url"

	"github.com/penstock-ci/penstock/internal/localcloud/assetrules"
)

// askedFor is the address of a request as rules compare it; false when a client sent what is none.
func askedFor(r *http.Request) (assetrules.Address, bool) {
	at, err := assetrules.ParseAddress(clientScheme(r) + "://" + r.Host + r.URL.RequestURI())
	return at, err == nil
}

// redirect is what the rules make of a request. Its Path is as the names of files are, without escapes.
func (a *Assets) redirect(r *http.Request) (assetrules.Redirect, bool) {
	at, ok := askedFor(r)
	if !ok {
		return assetrules.Redirect{}, false
	}
	redirect, matches := a.Redirects.Match(at)
	if plain, err := url.PathUnescape(redirect.Path); err == nil {
		redirect.Path = plain
	}
	return redirect, matches
}

// ruled makes an answer's headers as the rules say, once the rest of them is known.
func (a *Assets) ruled(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	at, ok := askedFor(r)
	if !ok {
		return w
	}
	return &ruledWriter{ResponseWriter: w, headers: a.Headers, at: at}
}

type ruledWriter struct {
	http.ResponseWriter
	headers assetrules.Headers
	at      assetrules.Address
}

// Unwrap lets http.ResponseController reach the connection.
func (w *ruledWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader is called for every answer out of files.
func (w *ruledWriter) WriteHeader(status int) {
	header := w.Header()
	w.headers.Apply(w.at, header)
	if _, told := header["Content-Type"]; !told {
		header["Content-Type"] = nil // detached, or never there: net/http must not guess one
	}
	w.ResponseWriter.WriteHeader(status)
}
