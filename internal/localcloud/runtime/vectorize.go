package runtime

import (
	"errors"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/vectors"
)

// vectorBodyLimit bounds one request of a Vectorize binding, in bytes: 1,000 vectors of 1,536 numbers and their metadata.
const vectorBodyLimit = 100 << 20

// vectorOperations are the calls of workerd's src/cloudflare/internal/vectorize-api.ts, version 2, by their paths.
var vectorOperations = map[string]string{
	"GET /info": "info", "POST /query": "query", "POST /insert": "insert", "POST /upsert": "upsert",
	"POST /getByIds": "getByIds", "POST /deleteByIds": "deleteByIds",
}

func (d *dataPlane) serveVectors(w http.ResponseWriter, r *http.Request, index string) {
	operation, known := vectorOperations[r.Method+" "+r.URL.Path]
	if !known {
		http.Error(w, "unknown operation", http.StatusNotFound)
		return
	}
	answer, err := d.runtime.store.VectorCall(r.Context(), index, operation, http.MaxBytesReader(w, r.Body, vectorBodyLimit))
	var refused *vectors.Refusal
	switch {
	case errors.As(err, &refused):
		writeStatusJSON(w, http.StatusBadRequest, map[string]any{"error": refused.Message})
	case errors.Is(err, ErrNotFound):
		writeStatusJSON(w, http.StatusNotFound, map[string]any{"error": "the index " + index + " does not exist"})
	case err != nil:
		d.fail(w, "vectorize "+operation, err)
	default:
		writeJSON(w, answer)
	}
}

func (p *planner) vectorize(b Binding) string {
	return "wrapped = (moduleName = \"cloudflare-internal:vectorize-api\", innerBindings = [" +
		"(name = \"fetcher\", service = " + p.refer("vectorize:"+b.IndexName) + "), " +
		"(name = \"indexId\", text = " + capnpText(b.IndexName) + "), " +
		"(name = \"indexVersion\", text = \"v2\"), (name = \"useNdJson\", json = \"true\")])"
}

// serveAI answers for models that are not here: every use of the binding fails, and says why. A made-up answer would pass
// tests that a real model might fail.
func serveAI(w http.ResponseWriter, r *http.Request) {
	model := r.Header.Get("Cf-Consn-Model-Id")
	if model == "" {
		model = strings.TrimPrefix(r.URL.Path, "/")
	}
	writeStatusJSON(w, http.StatusNotImplemented, map[string]any{
		"name": "AiError", "internalCode": 501,
		"description": "there is no Workers AI on this machine, so " + model + " cannot answer; deploy to a Cloudflare account to use it",
	})
}
