package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/penstock-ci/penstock/gates"
)

const (
	// answerTime bounds one question: the guide's health check gives each dependency five seconds.
	answerTime = 10 * time.Second
	// maxBody is how much of an answer is read; a health page has a few hundred bytes.
	maxBody = 1 << 20
	// longestWait is how long one asks again for when the version says "later" (429).
	longestWait = 20 * time.Second
)

// answer is what the version said.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration // from sending the question until all of the answer was read
}

// ok reports whether the version answered as one that serves.
func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// newClient makes the client of one evaluation. It keeps its connection, so that only the first question pays for it, goes
// through no proxy, and follows no redirect: where that leads is another page than the one that was asked for.
func newClient() (client *http.Client, closeIdle func()) {
	transport := &http.Transport{Proxy: nil, DisableCompression: true, MaxIdleConnsPerHost: 1}
	return &http.Client{
		Transport: transport, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, transport.CloseIdleConnections
}

// ask puts one question. An error means that there was no answer.
func ask(ctx context.Context, client *http.Client, url string) (answer, error) {
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	question.Header.Set("Accept", "application/json, */*;q=0.1")
	question.Header.Set("Cache-Control", "no-cache")
	question.Header.Set("User-Agent", "penstock-gates-health")
	began := time.Now()
	response, err := client.Do(question)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return answer{}, err
	}
	return answer{status: response.StatusCode, header: response.Header, body: body, took: time.Since(began)}, nil
}

// patiently asks, and asks once more when the version says "later" and how much later that is.
func patiently(ctx context.Context, client *http.Client, url string) (answer, error) {
	said, err := ask(ctx, client, url)
	if err != nil || said.status != http.StatusTooManyRequests {
		return said, err
	}
	seconds, err := strconv.Atoi(said.header.Get("Retry-After"))
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait < 0 || wait > longestWait {
		return said, nil
	}
	select {
	case <-time.After(wait):
		return ask(ctx, client, url)
	case <-ctx.Done():
		return said, ctx.Err()
	}
}

// noAnswer is the verdict when a question got none: nothing is known, which is no "no".
func noAnswer(path string, err error) *gates.Verdict {
	why := err.Error()
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "the connection was refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		why = fmt.Sprintf("it took longer than %s", answerTime)
	}
	return gates.CouldNotAsk("see whether the environment's address is up, and what the Worker's log says; then run it again", "GET %s got no answer: %s", path, why)
}

// tooMany is the verdict when the version turned the gate away.
func tooMany(path string) *gates.Verdict {
	return gates.CouldNotAsk("let the app's rate limit leave this path out, or run it again later", "GET %s was turned away by a rate limit (429)", path)
}
