package dagger

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger/engineconn"
)

// logStream reads the session's log stream: OpenTelemetry log records as JSON in server-sent events, in which each record
// names the span whose program said it. Which span is which stage's is known by the stage's mark, the first line on its
// output. The stream is for people who watch; nothing depends on it.
type logStream struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu        sync.Mutex
	followers map[string]*follower // of marks that nobody said yet
	all       map[*follower]bool
	broken    bool
	spans     map[string]*spanLog
}

// spanLog is what a span's program said before it was known whose it is.
type spanLog struct {
	follower *follower
	foreign  bool // said something else first
	early    [2][]byte
}

// maxEarly bounds what is kept of a span that has not said its mark, in bytes for each output.
const maxEarly = 64 << 10

// followLogs begins to read. Where there is no such stream it ends at once, and lines come with the results.
func followLogs(conn engineconn.EngineConn) *logStream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &logStream{cancel: cancel, done: make(chan struct{}), followers: map[string]*follower{}, all: map[*follower]bool{}, spans: map[string]*spanLog{}}
	go func() {
		defer close(s.done)
		s.read(ctx, conn)
	}()
	return s
}

func (s *logStream) close() {
	s.cancel()
	select {
	case <-s.done:
	case <-time.After(outputWait): // a connection that does not heed its request's end has no say in the run's
	}
}

func (s *logStream) read(ctx context.Context, conn engineconn.EngineConn) {
	defer s.breakOff()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+conn.Host()+"/v1/logs", nil)
	if err != nil {
		return
	}
	answer, err := conn.Do(request)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return
	}
	lines := bufio.NewReader(answer.Body)
	for {
		line, err := lines.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:"); ok {
			s.take(strings.TrimPrefix(data, " "))
		}
		if err != nil {
			return
		}
	}
}

// logRecords is the part of an OTLP export request that matters here.
type logRecords struct {
	ResourceLogs []struct {
		ScopeLogs []struct {
			LogRecords []struct {
				SpanID string `json:"spanId"`
				Body   struct {
					Text string `json:"stringValue"`
				} `json:"body"`
				Attributes []struct {
					Key   string `json:"key"`
					Value struct {
						Int  json.Number `json:"intValue"`
						Bool bool        `json:"boolValue"`
					} `json:"value"`
				} `json:"attributes"`
			} `json:"logRecords"`
		} `json:"scopeLogs"`
	} `json:"resourceLogs"`
}

func (s *logStream) take(data string) {
	var records logRecords
	if json.Unmarshal([]byte(data), &records) != nil {
		return // another kind of event
	}
	for _, resource := range records.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, record := range scope.LogRecords {
				stream, ended, value := -1, false, false
				for _, attribute := range record.Attributes {
					switch attribute.Key {
					case "stdio.stream":
						if n, err := attribute.Value.Int.Int64(); err == nil && (n == 1 || n == 2) {
							stream = int(n) - 1
						}
					case "stdio.eof":
						ended = attribute.Value.Bool
					case "dagger.io/logs.verbose":
						value = attribute.Value.Bool // what a query answered, an output that was asked for among it
					}
				}
				if stream >= 0 && !value && record.SpanID != "" {
					s.hear(record.SpanID, stream, []byte(record.Body.Text), ended)
				}
			}
		}
	}
}

// hear takes a piece of one span's output.
func (s *logStream) hear(span string, stream int, text []byte, ended bool) {
	s.mu.Lock()
	heard := s.spans[span]
	if heard == nil {
		heard = &spanLog{}
		s.spans[span] = heard
	}
	if heard.follower == nil && !heard.foreign {
		heard.early[stream] = append(heard.early[stream], text...)
		text = nil
		if line, rest, whole := strings.Cut(string(heard.early[0]), "\n"); whole {
			heard.follower = s.followers[line]
			delete(s.followers, line) // nobody else says it
			heard.foreign = heard.follower == nil
			if heard.follower != nil {
				heard.follower.hear(0, []byte(rest), false)
				heard.follower.hear(1, heard.early[1], false)
			}
		}
		if heard.follower != nil || heard.foreign || len(heard.early[stream]) > maxEarly {
			heard.early = [2][]byte{}
			heard.foreign = heard.follower == nil
		}
	}
	follower := heard.follower
	s.mu.Unlock()
	if follower != nil {
		follower.hear(stream, text, ended)
	}
}

// follow has the output that begins with the mark written to the streams as it comes.
func (s *logStream) follow(mark string, streams [2]io.WriteCloser) *follower {
	f := &follower{streams: streams, over: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		f.end() // nothing will come
		return f
	}
	s.followers[mark], s.all[f] = f, true
	return f
}

// forget ends what follow began.
func (s *logStream) forget(mark string, f *follower) {
	s.mu.Lock()
	delete(s.followers, mark)
	delete(s.all, f)
	s.mu.Unlock()
	f.stop()
}

// breakOff tells all who follow that nothing more comes.
func (s *logStream) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.all {
		f.end()
	}
	s.all, s.broken = nil, true
}

// follower is one stage's output on its way to people.
type follower struct {
	mu      sync.Mutex
	streams [2]io.WriteCloser
	heard   [2]int // bytes
	eof     [2]bool
	stopped bool
	over    chan struct{}
	ending  sync.Once
}

func (f *follower) end() { f.ending.Do(func() { close(f.over) }) }

func (f *follower) hear(stream int, text []byte, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	f.heard[stream] += len(text)
	_, _ = f.streams[stream].Write(text) // to lines, which never fail
	f.eof[stream] = f.eof[stream] || ended
	if f.eof[0] && f.eof[1] {
		f.end()
	}
}

// ended waits until both outputs have come to their ends, and reports whether they have.
func (f *follower) ended(ctx context.Context, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-f.over:
	case <-timer.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.eof[0] && f.eof[1] {
		return true
	}
	f.stopped = true // what comes now comes too late: it would be told twice
	return false
}

// rest tells what the stream has not told of the outputs as the engine has them.
func (f *follower) rest(out, errs string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out = withoutMark(out)
	for stream, all := range [2]string{out, errs} {
		if told := f.heard[stream]; told < len(all) {
			_, _ = f.streams[stream].Write([]byte(all[told:]))
		}
	}
}

// stop ends the last lines. Nothing is told afterwards.
func (f *follower) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, stream := range f.streams {
		_ = stream.Close() // as with Write
	}
}
