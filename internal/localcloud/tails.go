package localcloud

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) tailRoutes() []route {
	const tails = "/accounts/{account}/workers/scripts/{script}/tails"
	return []route{
		{"POST " + tails, c.addTail},
		{"DELETE " + tails + "/{tail}", c.deleteTail},
	}
}

const (
	// tailPath is where tails are listened to. The path holds the tail's ID, which nobody can guess: those who listen bear no
	// token.
	tailPath     = "/tail/"
	tailProtocol = "trace-v1"
	tailLife     = 6 * time.Hour
	tailGrace    = 10 * time.Second // after the listener has gone
	// tailsMost is how many sessions one Worker can have, Cloudflare's limit.
	// Source: https://developers.cloudflare.com/workers/observability/logs/real-time-logs/#limits
	tailsMost = 10
	// tailBacklog is how many items wait for a slow listener before some are dropped.
	tailBacklog = 1000
)

// tail is one session that listens to a Worker.
type tail struct {
	id, script string
	filters    []tailFilter
	expires    time.Time // guarded by tails.mutex
	items      chan []byte

	mutex     sync.Mutex // guards the rest
	listening bool
	dropped   int
}

// tails are all sessions. Their methods are safe for concurrent use.
type tails struct {
	mutex sync.Mutex
	all   map[string]*tail
}

// of lists a Worker's sessions, without those that have run out.
func (t *tails) of(script string) []*tail {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var out []*tail
	for id, one := range t.all {
		if time.Now().After(one.expires) {
			delete(t.all, id)
		} else if one.script == script {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b *tail) int { return strings.Compare(a.id, b.id) })
	return out
}

// endSoon lets a session whose listener has gone run out: wrangler does not always end its own.
func (t *tails) endSoon(one *tail) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	one.expires = time.Now().Add(tailGrace)
}

func (t *tails) get(id string) *tail {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if one := t.all[id]; one != nil && time.Now().Before(one.expires) {
		return one
	}
	return nil
}

// tailFilter is one condition of a session; an item must fit all of them. Members that are absent are no condition.
type tailFilter struct {
	SamplingRate float64  `json:"sampling_rate"`
	Outcome      []string `json:"outcome"`
	Method       []string `json:"method"`
	Header       *struct {
		Key   string `json:"key"`
		Query string `json:"query"`
	} `json:"header"`
	ClientIP      []string `json:"client_ip"`
	Query         *string  `json:"query"`
	ScriptVersion string   `json:"scriptVersion"`
}

// traceItem is what filters look at.
type traceItem struct {
	Outcome string `json:"outcome"`
	Event   struct {
		Request *struct {
			Method  string            `json:"method"`
			Headers map[string]string `json:"headers"`
		} `json:"request"`
	} `json:"event"`
	Logs []struct {
		Message json.RawMessage `json:"message"`
	} `json:"logs"`
	Exceptions []struct {
		Message string `json:"message"`
	} `json:"exceptions"`
}

func (f tailFilter) fits(item traceItem, version string) bool {
	request := item.Event.Request
	switch {
	case f.SamplingRate > 0 && rand.Float64() >= f.SamplingRate,
		len(f.Outcome) > 0 && !slices.Contains(f.Outcome, item.Outcome),
		len(f.Method) > 0 && (request == nil || !slices.ContainsFunc(f.Method, func(method string) bool { return strings.EqualFold(method, request.Method) })),
		f.ScriptVersion != "" && f.ScriptVersion != version:
		return false
	}
	if f.Header != nil {
		if request == nil {
			return false
		}
		value, there := request.Headers[strings.ToLower(f.Header.Key)]
		if !there || !strings.Contains(value, f.Header.Query) {
			return false
		}
	}
	if len(f.ClientIP) > 0 {
		// Whoever listens is on this machine, as every client is: "self" is everybody.
		if request == nil || !slices.Contains(f.ClientIP, "self") && !slices.Contains(f.ClientIP, request.Headers["cf-connecting-ip"]) {
			return false
		}
	}
	if f.Query != nil {
		said := func(text string) bool { return strings.Contains(text, *f.Query) }
		for _, log := range item.Logs {
			if said(string(log.Message)) {
				return true
			}
		}
		for _, exception := range item.Exceptions {
			if said(exception.Message) {
				return true
			}
		}
		return false
	}
	return true
}

func (c *Cloud) describeTail(one *tail) map[string]any {
	return map[string]any{
		"id": one.id, "url": "ws" + strings.TrimPrefix(strings.TrimSuffix(c.apiURL, apiPrefix), "http") + tailPath + one.id, "expires_at": one.expires,
	}
}

func (c *Cloud) addTail(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Filters []tailFilter `json:"filters"`
	}](r)
	if err != nil {
		return nil, err
	}
	if len(c.tails.of(script.Name)) >= tailsMost {
		return nil, refuse(http.StatusBadRequest, codeTooManyTails, "Worker %s has %d tails already; delete one", script.Name, tailsMost)
	}
	one := &tail{
		id: store.NewID(), script: script.Name, filters: request.Filters, expires: now().Add(tailLife), items: make(chan []byte, tailBacklog),
	}
	c.tails.mutex.Lock()
	c.tails.all[one.id] = one
	c.tails.mutex.Unlock()
	return ok(c.describeTail(one)), nil
}

func (c *Cloud) deleteTail(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	one := c.tails.get(r.PathValue("tail"))
	if one == nil || one.script != script.Name {
		return nil, refuse(http.StatusNotFound, codeTailNotFound, "tail %s does not exist", r.PathValue("tail"))
	}
	c.tails.mutex.Lock()
	delete(c.tails.all, one.id)
	c.tails.mutex.Unlock()
	return ok(nil), nil
}

// Trace passes what workerd tells on to the sessions that want it.
func (o observer) Trace(script, version string, item json.RawMessage) {
	sessions := o.cloud.tails.of(script)
	if len(sessions) == 0 {
		return
	}
	seen, whole := traceItem{}, map[string]any{}
	if json.Unmarshal(item, &seen) != nil || json.Unmarshal(item, &whole) != nil {
		o.cloud.log.Debug("a trace item of an unknown form", "script", script)
		return
	}
	whole["scriptName"], whole["scriptVersion"] = script, map[string]any{"id": version}
	text, err := json.Marshal(whole)
	if err != nil {
		return
	}
	for _, session := range sessions {
		if !slices.ContainsFunc(session.filters, func(filter tailFilter) bool { return !filter.fits(seen, version) }) {
			session.offer(text)
		}
	}
}

// offer hands an item to whoever listens, if anybody does; one that is too slow loses it, and is told so.
func (t *tail) offer(text []byte) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if !t.listening {
		return
	}
	select {
	case t.items <- text:
	default:
		t.dropped++
	}
}

func (t *tail) listen(listening bool) (was bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	was, t.listening = t.listening, listening
	return was
}

func (t *tail) takeDropped() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	dropped := t.dropped
	t.dropped = 0
	return dropped
}

// serveTail sends a session's items by WebSocket until the listener goes, the session ends, or the Cloud stops.
func (c *Cloud) serveTail(w http.ResponseWriter, r *http.Request) {
	one := c.tails.get(strings.TrimPrefix(r.URL.Path, tailPath))
	if one == nil {
		writeEnvelope(w, http.StatusNotFound, envelope{Errors: []notice{{codeTailNotFound, "this tail does not exist"}}, Messages: []notice{}})
		return
	}
	if !strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), tailProtocol) {
		writeEnvelope(w, http.StatusBadRequest, envelope{Errors: []notice{{codeBadQuery, "the WebSocket protocol must be " + tailProtocol}}, Messages: []notice{}})
		return
	}
	if one.listen(true) {
		writeEnvelope(w, http.StatusConflict, envelope{Errors: []notice{{codeBadQuery, "somebody listens to this tail already"}}, Messages: []notice{}})
		return
	}
	defer func() {
		one.listen(false)
		c.tails.endSoon(one)
	}()
	conn, buffered, _, err := ws.HTTPUpgrader{Protocol: func(name string) bool { return name == tailProtocol }}.Upgrade(r, w)
	if err != nil {
		return // it has answered
	}
	socket := &tailSocket{conn: conn}
	defer conn.Close()
	ctx, cancel := context.WithCancel(c.stopping)
	defer cancel()
	go func() {
		defer cancel()
		socket.heed(buffered)
	}()
	expired := time.NewTimer(tailLife)
	defer expired.Stop()
	for {
		select {
		case text := <-one.items:
			if one.takeDropped() > 0 && socket.send(ws.OpText, overload) != nil {
				return
			}
			if socket.send(ws.OpText, text) != nil {
				return
			}
		case <-expired.C:
			_ = socket.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "the tail has expired")) // the listener may have gone
			return
		case <-ctx.Done():
			_ = socket.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusGoingAway, "")) // likewise
			return
		}
	}
}

// overload tells a listener that it missed something, in the form that wrangler prints.
var overload = []byte(`{"type":"overload","message":"Tail is currently in sampling mode due to the high volume of messages."}`)

// tailSocket is the connection to one listener.
type tailSocket struct {
	conn    net.Conn
	writing sync.Mutex
}

func (s *tailSocket) send(kind ws.OpCode, body []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	return ws.WriteFrame(s.conn, ws.NewFrame(kind, true, body))
}

// heed answers pings until the listener goes. What a listener says besides (debug or not) changes nothing. Frames need not
// be masked, as the protocol wants: wrangler's are not.
func (s *tailSocket) heed(from io.Reader) {
	for {
		header, err := ws.ReadHeader(from)
		if err != nil || header.Length > 1<<16 {
			return
		}
		body := make([]byte, header.Length)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		if header.Masked {
			ws.Cipher(body, header.Mask, 0)
		}
		switch header.OpCode {
		case ws.OpClose:
			return
		case ws.OpPing:
			if s.send(ws.OpPong, body) != nil {
				return
			}
		default: // nothing else is asked of us
		}
	}
}
