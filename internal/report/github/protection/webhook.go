// Package protection answers GitHub's custom deployment protection rules: a workflow's job with `environment: production` waits
// until Penstock has judged its commit, and goes on or is rejected by the verdict.
//
// A delivery is believed when its signature is right, compared in constant time, and neither its id nor its signature was seen
// before. What was accepted is kept in a folder until it is decided, so that a server that is stopped goes on with it. What
// cannot be found out is rejected; nothing is approved by a time-out.
package protection

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// Request is a deployment that waits for a decision.
type Request struct {
	Delivery      string `json:"delivery"`
	Repository    string `json:"repository"` // owner/name
	Environment   string `json:"environment"`
	Commit        string `json:"commit"`
	DefaultBranch string `json:"defaultBranch"`
	Installation  int64  `json:"installation"`
	Run           int64  `json:"run"`      // of the workflow; 0 when a check run is to be judged again
	External      string `json:"external"` // of that check run
}

// maxBody is GitHub's own bound for a payload.
const maxBody = 25 << 20

var (
	deliveryID  = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)
	commitName  = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	callbackRun = regexp.MustCompile(`/actions/runs/([0-9]{1,19})/deployment_protection_rule$`)
	branchName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// payload is what is read of a webhook's.
type payload struct {
	Action      string `json:"action"`
	Environment string `json:"environment"`
	SHA         string `json:"sha"`
	Callback    string `json:"deployment_callback_url"`
	Deployment  *struct {
		SHA string `json:"sha"`
	} `json:"deployment"`
	CheckRun *struct {
		HeadSHA    string `json:"head_sha"`
		ExternalID string `json:"external_id"`
	} `json:"check_run"`
	RequestedAction *struct {
		Identifier string `json:"identifier"`
	} `json:"requested_action"`
	Repository struct {
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
}

// signed reports whether the signature is that of body under secret (docs.github.com, "Validating webhook deliveries").
func signed(secret, body []byte, header string) bool {
	given, found := strings.CutPrefix(header, "sha256=")
	if !found {
		return false
	}
	signature, err := hex.DecodeString(given)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(signature, mac.Sum(nil))
}

// ServeHTTP takes deliveries. It answers at once; judging comes after.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "a webhook is posted", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the payload is too large", http.StatusRequestEntityTooLarge)
		return
	}
	signature := r.Header.Get("X-Hub-Signature-256")
	if !signed(s.options.Secret, body, signature) {
		http.Error(w, "the signature is not right", http.StatusUnauthorized)
		return
	}
	delivery := r.Header.Get("X-GitHub-Delivery")
	if !deliveryID.MatchString(delivery) {
		http.Error(w, "the delivery has no id", http.StatusBadRequest)
		return
	}
	event := r.Header.Get("X-GitHub-Event")
	if event == "ping" {
		fmt.Fprintln(w, "penstock listens")
		return
	}
	request, wanted, err := s.read(event, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	if !wanted {
		fmt.Fprintln(w, "not for penstock")
		return
	}
	request.Delivery = delivery
	// The id is not part of what is signed: a captured delivery could come again under another one. The signature is.
	fresh, err := s.journal.accept(request, strings.ToLower(signature))
	switch {
	case err != nil:
		s.log("accept a delivery: %v", err)
		http.Error(w, "it could not be kept", http.StatusInternalServerError)
	case !fresh:
		http.Error(w, "this delivery was taken already", http.StatusConflict)
	default:
		s.start(request)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintln(w, "judging")
	}
}

var errNotServed = errors.New("this server does not judge for that repository")

// read makes a request of a payload. wanted is false for events that are none of ours.
func (s *Server) read(event string, body []byte) (request Request, wanted bool, err error) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return request, false, errors.New("the payload is no JSON")
	}
	request = Request{Repository: p.Repository.FullName, DefaultBranch: p.Repository.DefaultBranch, Installation: p.Installation.ID, Environment: p.Environment, Commit: p.SHA}
	switch {
	case event == "deployment_protection_rule" && p.Action == "requested":
		if p.Deployment != nil {
			request.Commit = p.Deployment.SHA
		}
		run := callbackRun.FindStringSubmatch(p.Callback)
		if run == nil {
			return request, false, errors.New("the payload names no workflow run")
		}
		// Only the number is taken: the rest of the address is ours, because the token goes there.
		if _, err := fmt.Sscan(run[1], &request.Run); err != nil || request.Run <= 0 {
			return request, false, errors.New("the payload names no workflow run")
		}
	case event == "check_run" && p.CheckRun != nil && (p.Action == "rerequested" || (p.Action == "requested_action" && p.RequestedAction != nil && p.RequestedAction.Identifier == "rerun")):
		parts := strings.SplitN(p.CheckRun.ExternalID, ":", 3)
		if len(parts) != 3 || parts[0] != "penstock" {
			return request, false, nil
		}
		request.Environment, request.Commit, request.External = parts[1], p.CheckRun.HeadSHA, p.CheckRun.ExternalID
	default:
		return request, false, nil
	}
	switch {
	case !strings.EqualFold(request.Repository, s.options.Repository):
		return request, false, errNotServed
	case !commitName.MatchString(request.Commit):
		return request, false, errors.New("the payload names no commit")
	case request.Environment == "" || len(request.Environment) > 255:
		return request, false, errors.New("the payload names no environment")
	case !branchName.MatchString(request.DefaultBranch):
		return request, false, errors.New("the payload names no default branch")
	case request.Installation <= 0:
		return request, false, errors.New("the payload names no installation of the app")
	}
	return request, true, nil
}
