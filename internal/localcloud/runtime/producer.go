package runtime

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Limits of developers.cloudflare.com/queues/platform/limits.
const (
	queueMessageLimit = 128_000 // bytes
	queueBatchLimit   = 256_000
	queueBatchCount   = 100
	queueDelayLimit   = 12 * time.Hour
)

// serveQueue speaks the protocol of workerd's src/workerd/api/queue.c++: one message per request, or a batch.
func (d *dataPlane) serveQueue(w http.ResponseWriter, r *http.Request, queue string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 2*queueBatchLimit)) // base64 and JSON around the messages
	if err != nil {
		http.Error(w, "message was cut off", http.StatusBadRequest)
		return
	}
	var messages []QueueMessage
	now := time.Now()
	switch r.URL.Path {
	case "/message":
		messages, err = oneMessage(r.Header, body, now)
	case "/batch":
		messages, err = messageBatch(r.Header, body, now)
	case "/metrics":
		if metrics, ok := d.queueMetrics(w, r, queue); ok {
			writeJSON(w, metrics)
		}
		return
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err := d.runtime.store.QueueSend(r.Context(), queue, messages...); err != nil {
		d.fail(w, "queue send", err)
		return
	}
	d.runtime.queues.notify(queue)
	if metrics, ok := d.queueMetrics(w, r, queue); ok {
		writeJSON(w, map[string]any{"metadata": map[string]any{"metrics": metrics}})
	}
}

// queueMetrics is the answer that workerd's WorkerQueue::Metrics decodes: a time in milliseconds, 0 when there is none.
// When the store does not answer, the failure is written and ok is false.
func (d *dataPlane) queueMetrics(w http.ResponseWriter, r *http.Request, queue string) (metrics map[string]int64, ok bool) {
	backlog, err := d.runtime.store.QueueBacklog(r.Context(), queue)
	if err != nil {
		d.fail(w, "queue metrics", err)
		return nil, false
	}
	metrics = map[string]int64{"backlogCount": backlog.Count, "backlogBytes": backlog.Bytes, "oldestMessageTimestamp": 0}
	if !backlog.Oldest.IsZero() {
		metrics["oldestMessageTimestamp"] = backlog.Oldest.UnixMilli()
	}
	return metrics, true
}

func oneMessage(header http.Header, body []byte, now time.Time) ([]QueueMessage, error) {
	delay, err := queueDelay(header.Get("X-Msg-Delay-Secs"))
	if err != nil {
		return nil, err
	}
	m, err := newMessage(header.Get("X-Msg-Fmt"), body, now, delay)
	return []QueueMessage{m}, err
}

func messageBatch(header http.Header, body []byte, now time.Time) ([]QueueMessage, error) {
	common, err := queueDelay(header.Get("X-Msg-Delay-Secs"))
	if err != nil {
		return nil, err
	}
	var batch struct {
		Messages []struct {
			Body        string `json:"body"`
			ContentType string `json:"contentType"`
			DelaySecs   *int   `json:"delaySecs"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, fmt.Errorf("decode the batch: %w", err)
	}
	if n := len(batch.Messages); n > queueBatchCount {
		return nil, fmt.Errorf("batch message count of %d exceeds limit of %d", n, queueBatchCount)
	}
	var messages []QueueMessage
	total := 0
	for _, m := range batch.Messages {
		body, err := base64.StdEncoding.DecodeString(m.Body)
		if err != nil {
			return nil, fmt.Errorf("decode a message: %w", err)
		}
		delay := common
		if m.DelaySecs != nil {
			if delay, err = queueDelay(strconv.Itoa(*m.DelaySecs)); err != nil {
				return nil, err
			}
		}
		message, err := newMessage(m.ContentType, body, now, delay)
		if err != nil {
			return nil, err
		}
		if total += len(body); total > queueBatchLimit {
			return nil, fmt.Errorf("batch exceeds the limit of %d bytes", queueBatchLimit)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func newMessage(contentType string, body []byte, now time.Time, delay time.Duration) (QueueMessage, error) {
	if len(body) > queueMessageLimit {
		return QueueMessage{}, fmt.Errorf("message length of %d bytes exceeds limit of %d", len(body), queueMessageLimit)
	}
	if contentType == "" {
		contentType = "v8" // workerd omits the format of its oldest one
	}
	return QueueMessage{
		ID: newMessageID(), ContentType: contentType, Body: body, Timestamp: now, VisibleAt: now.Add(delay),
	}, nil
}

func queueDelay(seconds string) (time.Duration, error) {
	if seconds == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(seconds)
	if delay := time.Duration(n) * time.Second; err == nil && n >= 0 && delay <= queueDelayLimit {
		return delay, nil
	}
	return 0, fmt.Errorf("delay of %s seconds is not within 0 and %d", seconds, queueDelayLimit/time.Second)
}

// newMessageID has the form of Cloudflare's: 32 hex digits.
func newMessageID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }
