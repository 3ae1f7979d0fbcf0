package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// TailFilter chooses what a tail shows; its zero value shows everything.
type TailFilter struct {
	Version  string   // id of the version that answered
	Outcomes []string // ok, exception, exceededCpu, canceled, …
	Methods  []string
	Search   string // text in a log line
	// Statuses are HTTP statuses of the answer, as "500" or a whole class, "5xx"; they are chosen here, not by Cloudflare.
	Statuses []string
	Sampling float64 // share of the requests, above 0 to 1; 0 is all
}

// TailEvent is one invocation of the Worker.
type TailEvent struct {
	Time       time.Time       `json:"time"`
	Version    string          `json:"version,omitempty"`
	Outcome    string          `json:"outcome"`
	What       string          `json:"what"` // GET https://…, cron 0 3 * * *, queue jobs
	Status     int             `json:"status,omitempty"`
	Logs       []TailLine      `json:"logs,omitempty"`
	Exceptions []string        `json:"exceptions,omitempty"`
	Raw        json.RawMessage `json:"raw"` // as Cloudflare sent it
}

// TailLine is one line that the Worker logged.
type TailLine struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// tailProtocol is what Cloudflare calls the form of the messages.
const tailProtocol = "trace-v1"

// maxTailMessage bounds one message: Cloudflare truncates logs at 256 KB an invocation.
const maxTailMessage = 4 << 20

// Tail tells of invocations as they happen, until ctx ends, which is no error. Cloudflare ends a tail by itself after some
// hours; that is [promotion.ErrUnreachable].
func (t *Target) Tail(ctx context.Context, filter TailFilter, tell func(TailEvent)) error {
	err := t.listen(ctx, filter, tell)
	if ctx.Err() != nil {
		return nil // whoever listened has gone
	}
	return err
}

// listen listens until something ends it.
func (t *Target) listen(ctx context.Context, filter TailFilter, tell func(TailEvent)) error {
	session, err := t.api.CreateTail(ctx, t.Worker.Name, filter.cloudflare())
	if errors.Is(err, api.ErrNotFound) {
		return t.noWorker()
	}
	if err != nil {
		return fmt.Errorf("tail Worker %s: %w", t.Worker.Name, err)
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		// It ends by itself when nobody listens, so that this may fail.
		_ = t.api.DeleteTail(clean, t.Worker.Name, session.ID)
	}()
	socket, response, err := websocket.Dial(ctx, session.URL, &websocket.DialOptions{Subprotocols: []string{tailProtocol}})
	if response != nil && response.Body != nil {
		defer response.Body.Close()
	}
	if err != nil {
		var failed *url.Error // whose text has the address, and who knows that may listen
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("%w: listen to Worker %s: %w", promotion.ErrUnreachable, t.Worker.Name, err)
	}
	defer socket.CloseNow() //nolint:errcheck // there is nothing more to say
	socket.SetReadLimit(maxTailMessage)
	if err := socket.Write(ctx, websocket.MessageText, []byte(`{"debug":false}`)); err != nil {
		return fmt.Errorf("%w: listen to Worker %s: %w", promotion.ErrUnreachable, t.Worker.Name, err)
	}
	for {
		_, message, err := socket.Read(ctx)
		if err != nil {
			return fmt.Errorf("%w: the tail of Worker %s ended: %w", promotion.ErrUnreachable, t.Worker.Name, err)
		}
		event, err := readTail(message)
		if err != nil {
			t.note("a message of the tail could not be read: %v", err)
			continue
		}
		if filter.takes(event.Status) {
			tell(event)
		}
	}
}

// cloudflare is the filter in Cloudflare's words.
func (f TailFilter) cloudflare() []api.TailFilter {
	filters := []api.TailFilter{}
	if f.Sampling > 0 && f.Sampling < 1 {
		filters = append(filters, api.TailFilter{"sampling_rate": f.Sampling})
	}
	if len(f.Outcomes) > 0 {
		filters = append(filters, api.TailFilter{"outcome": f.Outcomes})
	}
	if len(f.Methods) > 0 {
		filters = append(filters, api.TailFilter{"method": f.Methods})
	}
	if f.Search != "" {
		filters = append(filters, api.TailFilter{"query": f.Search})
	}
	if f.Version != "" {
		filters = append(filters, api.TailFilter{"scriptVersion": f.Version})
	}
	return filters
}

func (f TailFilter) takes(status int) bool {
	if len(f.Statuses) == 0 {
		return true
	}
	text := fmt.Sprint(status)
	return slices.ContainsFunc(f.Statuses, func(wanted string) bool {
		return wanted == text || (len(text) == 3 && strings.EqualFold(wanted, text[:1]+"xx"))
	})
}

// CheckStatuses refuses what is no HTTP status.
func (f TailFilter) CheckStatuses() error {
	for _, status := range f.Statuses {
		if len(status) != 3 || status[0] < '1' || status[0] > '5' || (!strings.EqualFold(status[1:], "xx") && strings.Trim(status[1:], "0123456789") != "") {
			return fmt.Errorf("%q is neither an HTTP status nor a class of them, such as 5xx", status)
		}
	}
	return nil
}

func readTail(message []byte) (TailEvent, error) {
	var got struct {
		Outcome string `json:"outcome"`
		Version struct {
			ID string `json:"id"`
		} `json:"scriptVersion"`
		Timestamp  int64  `json:"eventTimestamp"` // milliseconds
		Entrypoint string `json:"entrypoint"`     // the class that was invoked; "" is the default export
		Logs       []struct {
			Message json.RawMessage `json:"message"`
			Level   string          `json:"level"`
		} `json:"logs"`
		Exceptions []struct {
			Name    string `json:"name"`
			Message string `json:"message"`
		} `json:"exceptions"`
		Event struct {
			Cron    string `json:"cron"`
			Method  string `json:"rpcMethod"`
			Queue   string `json:"queue"`
			Request *struct {
				URL    string `json:"url"`
				Method string `json:"method"`
			} `json:"request"`
			Response *struct {
				Status int `json:"status"`
			} `json:"response"`
		} `json:"event"`
	}
	if err := json.Unmarshal(message, &got); err != nil {
		return TailEvent{}, err
	}
	if got.Outcome == "" && got.Timestamp == 0 {
		return TailEvent{}, errors.New("it tells of no invocation")
	}
	event := TailEvent{Time: time.UnixMilli(got.Timestamp).UTC(), Version: got.Version.ID, Outcome: got.Outcome, What: "an invocation", Raw: message}
	switch {
	case got.Event.Request != nil:
		event.What = got.Event.Request.Method + " " + got.Event.Request.URL
	case got.Event.Cron != "":
		event.What = "cron " + got.Event.Cron
	case got.Event.Queue != "":
		event.What = "queue " + got.Event.Queue
	case got.Event.Method != "":
		event.What = "call " + strings.TrimPrefix(got.Entrypoint+"."+got.Event.Method, ".")
	}
	if got.Event.Response != nil {
		event.Status = got.Event.Response.Status
	}
	for _, line := range got.Logs {
		event.Logs = append(event.Logs, TailLine{line.Level, logText(line.Message)})
	}
	for _, exception := range got.Exceptions {
		event.Exceptions = append(event.Exceptions, strings.TrimPrefix(exception.Name+": "+exception.Message, ": "))
	}
	return event, nil
}

// logText joins what was given to console.log, texts as they are.
func logText(message json.RawMessage) string {
	var parts []json.RawMessage
	if json.Unmarshal(message, &parts) != nil {
		parts = []json.RawMessage{message}
	}
	said := make([]string, 0, len(parts))
	for _, part := range parts {
		var text string
		if json.Unmarshal(part, &text) != nil {
			text = string(part)
		}
		said = append(said, text)
	}
	return strings.Join(said, " ")
}
