package localcloud

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is a refusal in Cloudflare's words. Codes are Cloudflare's own where wrangler, cloudflare-go or the docs name
// them; clients branch on the code, people read the message.
type apiError struct {
	status  int
	code    int
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%s [code: %d]", e.message, e.code) }

func refuse(status, code int, message string, args ...any) error {
	return &apiError{status, code, fmt.Sprintf(message, args...)}
}

// answer is a successful result. A handler that writes the response itself returns nil instead.
type answer struct {
	status   int // 0 means 200
	result   any
	info     *pageInfo
	messages []string
}

func ok(result any) *answer { return &answer{result: result} }

// pageInfo is Cloudflare's result_info, with either page numbers or a cursor.
type pageInfo struct {
	Page       int    `json:"page,omitempty"`
	PerPage    int    `json:"per_page,omitempty"`
	Count      int    `json:"count"`
	TotalCount int    `json:"total_count,omitempty"`
	TotalPages int    `json:"total_pages,omitempty"`
	Cursor     string `json:"cursor,omitempty"`
}

// envelope is the shape of every JSON answer.
// Source: https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/
type envelope struct {
	Success    bool      `json:"success"`
	Errors     []notice  `json:"errors"`
	Messages   []notice  `json:"messages"`
	Result     any       `json:"result"`
	ResultInfo *pageInfo `json:"result_info,omitempty"`
}

type notice struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// call is one API call's own part: what it answers, or why it refuses.
type call func(w http.ResponseWriter, r *http.Request) (*answer, error)

// reply wraps a call into the envelope.
func (c *Cloud) reply(do call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done, err := do(w, r)
		var refused *apiError
		switch {
		case errors.As(err, &refused):
			c.log.Debug("api call refused", "method", r.Method, "path", r.URL.Path, "code", refused.code, "reason", refused.message)
			writeEnvelope(w, refused.status, envelope{Errors: []notice{{refused.code, refused.message}}, Messages: []notice{}})
		case err != nil:
			c.log.Error("api call failed", "method", r.Method, "path", r.URL.Path, "error", err)
			writeEnvelope(w, http.StatusInternalServerError, envelope{Errors: []notice{{codeInternal, "local cloudflare: " + err.Error()}}, Messages: []notice{}})
		case done != nil:
			messages := []notice{}
			for _, message := range done.messages {
				messages = append(messages, notice{Code: codeInformation, Message: message})
			}
			writeEnvelope(w, max(done.status, http.StatusOK), envelope{
				Success: true, Errors: []notice{}, Messages: messages, Result: done.result, ResultInfo: done.info,
			})
		}
	})
}

func writeEnvelope(w http.ResponseWriter, status int, body envelope) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client has gone, and then there is nobody to tell
}

// decode reads a JSON body, whatever its Content-Type says: wrangler often sends JSON as text/plain.
func decode[T any](r *http.Request) (T, error) {
	var body T
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return body, refuse(http.StatusBadRequest, codeBadJSON, "could not parse request body: %v", err)
	}
	return body, nil
}

// paged cuts out the page that the client asks for. An emulator that ignores ?page makes wrangler ask for ever.
func paged[T any](r *http.Request, all []T, perPage int) (*answer, error) {
	page, err := positive(r, "page", 1)
	if err != nil {
		return nil, err
	}
	if perPage, err = positive(r, "per_page", perPage); err != nil {
		return nil, err
	}
	from := min((page-1)*perPage, len(all))
	cut := append([]T{}, all[from:min(from+perPage, len(all))]...)
	return &answer{result: cut, info: &pageInfo{
		Page: page, PerPage: perPage, Count: len(cut), TotalCount: len(all), TotalPages: (len(all) + perPage - 1) / perPage,
	}}, nil
}

// maxOfZone is how many items of a zone, or zones, there are at most on a page: Cloudflare refuses to be asked for more.
// Source: Cloudflare's OpenAPI description of GET /zones.
const maxOfZone = 50

// pagedOfZone is paged with Cloudflare's bound.
func pagedOfZone[T any](r *http.Request, all []T, perPage int) (*answer, error) {
	if asked, err := positive(r, "per_page", perPage); err != nil || asked > maxOfZone {
		return nil, cmp.Or(err, refuse(http.StatusBadRequest, codeBadQuery, "per_page must be at most %d", maxOfZone))
	}
	return paged(r, all, perPage)
}

func positive(r *http.Request, name string, otherwise int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, refuse(http.StatusBadRequest, codeBadQuery, "%s must be a positive number, not %q", name, text)
	}
	return n, nil
}
