package localcloud

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/faults"
)

// faultsPath shows and replaces the faults while it runs; it wants the instance's token like every other call.
const faultsPath = "/local/faults"

// faulty puts the faults in force before a handler.
func (c *Cloud) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := c.faults.Strike(r.Method, strings.TrimPrefix(r.URL.Path, apiPrefix))
		if fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		c.log.Info("fault on purpose", "method", r.Method, "path", r.URL.Path, "rule", fault.Call, "delay", time.Duration(fault.Delay), "status", fault.Status, "lost", fault.Lost)
		// A client may lose patience: what it asked for happens all the same, as it would far away.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if fault.Delay > 0 {
			timer := time.NewTimer(time.Duration(fault.Delay))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-c.stopping.Done():
			}
		}
		switch {
		case fault.Status != 0:
			refuseOnPurpose(w, fault)
		case fault.Lost == faults.LostRequest:
			panic(http.ErrAbortHandler) // cuts the connection, silently
		case fault.Lost == faults.LostReply:
			next.ServeHTTP(&unheard{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// unheard is a writer for an answer that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(p []byte) (int, error) { return len(p), nil }
func (u *unheard) WriteHeader(int)             {}

// refuseOnPurpose answers as Cloudflare does with such a status: its API in an envelope, what stands before the API in HTML.
func refuseOnPurpose(w http.ResponseWriter, fault *faults.Rule) {
	if fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(time.Duration(fault.RetryAfter)/time.Second))))
	}
	code, message := fault.Code, fault.Message
	switch {
	case fault.Status == http.StatusTooManyRequests:
		code, message = orElse(code, codeTooManyRequests), orElse(message, "Please wait and consider throttling your request speed")
	case fault.Status == http.StatusUnauthorized, fault.Status == http.StatusForbidden:
		code, message = orElse(code, codeAuthentication), orElse(message, "Authentication error")
	case fault.Status >= 502 && code == 0 && message == "":
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, "<html><head><title>"+strconv.Itoa(fault.Status)+" "+http.StatusText(fault.Status)+"</title></head><body>cloudflare</body></html>\n")
		return
	}
	writeEnvelope(w, fault.Status, envelope{
		Errors: []notice{{orElse(code, codeInternal), orElse(message, "An unknown error has occurred. If this error persists, please report it.")}}, Messages: []notice{},
	})
}

func orElse[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

// serveFaults shows the faults in force and what they did, replaces them with the body, or ends them.
func (c *Cloud) serveFaults(w http.ResponseWriter, r *http.Request) (*answer, error) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		text := &bytes.Buffer{}
		if _, err := text.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			return nil, refuse(http.StatusBadRequest, codeBadJSON, "could not read the faults: %v", err)
		}
		plan, err := faults.Parse(text.Bytes())
		if err != nil {
			return nil, refuse(http.StatusBadRequest, codeBadJSON, "%v", err)
		}
		c.faults.Set(plan)
	case http.MethodDelete:
		c.faults.Set(faults.Plan{})
	default:
		return nil, refuse(http.StatusMethodNotAllowed, codeUnknownRoute, "use GET, PUT or DELETE on %s", faultsPath)
	}
	plan := c.faults.Plan()
	return ok(map[string]any{"seed": plan.Seed, "calls": c.faults.Hits(), "propagation": plan.Propagation, "certificates": plan.Certificates}), nil
}
