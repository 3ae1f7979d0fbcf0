package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"
)

const (
	// callTime bounds one delivery, which may be a few calls.
	callTime = 15 * time.Second
	// firstPause and longestPause bound the waits between attempts, which double.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// blindPause is obeyed after a secondary limit that does not say how long: GitHub asks for at least a minute.
	blindPause = time.Minute
)

// parcel is the newest state of one thing on GitHub that is to be shown.
type parcel struct {
	key  string // what it replaces
	kind string // in words for people: "commit statuses"
	// send may be called again after it failed; attempt counts from 1, so that it can first look what an attempt whose
	// answer was lost has done.
	send func(ctx context.Context, attempt int) error
	// pause is the least time between two states of this thing.
	pause time.Duration

	attempt int
	after   time.Time
	failure error
}

// outbox sends parcels one after the other from a goroutine of its own, each newest state once. It obeys GitHub's limits for
// all of them at once, and gives up what cannot succeed.
type outbox struct {
	now func() time.Time

	mu      sync.Mutex
	queue   []*parcel
	sent    map[string]time.Time // by key: when it was last sent
	denied  map[string]error     // kinds that are given up
	until   time.Time            // nothing is sent before this
	limit   string               // why
	refused error                // nothing is sent any more
	closing bool
	wake    chan struct{}
	stop    context.CancelFunc
	done    chan struct{}
}

func newOutbox() *outbox {
	ctx, stop := context.WithCancel(context.Background())
	o := &outbox{
		now: time.Now, sent: map[string]time.Time{}, denied: map[string]error{}, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
	}
	go o.work(ctx)
	return o
}

// put queues a state in the place of an older one of the same thing.
func (o *outbox) put(p *parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return
	}
	if at := slices.IndexFunc(o.queue, func(queued *parcel) bool { return queued.key == p.key }); at >= 0 {
		p.attempt, p.after, p.failure = o.queue[at].attempt, o.queue[at].after, o.queue[at].failure
		o.queue[at] = p
	} else {
		if last, was := o.sent[p.key]; was {
			p.after = last.Add(p.pause)
		}
		o.queue = append(o.queue, p)
	}
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// work sends until the box is closed and empty, or is stopped.
func (o *outbox) work(ctx context.Context) {
	defer close(o.done)
	for {
		p, wait, more := o.next()
		switch {
		case !more:
			return
		case p != nil:
			o.deliver(ctx, p)
		default:
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-o.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// next takes out the first parcel whose time has come; else it says how long to wait, or that there is nothing more to do.
func (o *outbox) next() (p *parcel, wait time.Duration, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, func(p *parcel) bool { return o.refused != nil || o.denied[p.kind] != nil })
	if len(o.queue) == 0 {
		return nil, time.Hour, !o.closing
	}
	now, soonest := o.now(), -1
	for i, p := range o.queue {
		due := p.after
		if o.closing && p.failure == nil {
			due = time.Time{} // the pause between states is for states that are to come
		}
		if due.Before(o.until) {
			due = o.until
		}
		if !due.After(now) {
			o.queue = slices.Delete(o.queue, i, i+1)
			return p, 0, true
		}
		if left := due.Sub(now); soonest < 0 || left < wait {
			soonest, wait = i, left
		}
	}
	return nil, wait, true
}

func (o *outbox) deliver(ctx context.Context, p *parcel) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	p.attempt++
	err := p.send(ctx, p.attempt)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.sent[p.key] = o.now()
		return
	}
	p.failure = err
	now := o.now()
	switch fault, wait := diagnose(err, now); fault {
	case refusedToken:
		o.refused = err
		return
	case notAllowed:
		o.denied[p.kind] = err
		return
	case limited:
		o.until, o.limit = now.Add(wait), err.Error()
		p.after = o.until
	case passing:
		p.after = now.Add(min(firstPause<<min(p.attempt-1, 10), longestPause))
	}
	if newer := slices.ContainsFunc(o.queue, func(queued *parcel) bool { return queued.key == p.key }); newer {
		for _, queued := range o.queue {
			if queued.key == p.key {
				queued.attempt, queued.after, queued.failure = p.attempt, p.after, err
			}
		}
		return
	}
	o.queue = append(o.queue, p)
}

// close sends what is left. It returns when everything is sent or given up, when patience has passed, or at once when GitHub
// asked for a longer wait than that. What was not sent is told in words, one sentence for each reason.
func (o *outbox) close(ctx context.Context, patience time.Duration) []string {
	o.mu.Lock()
	o.closing = true
	o.signal()
	o.mu.Unlock()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := o.now().Add(patience)
wait:
	for {
		select {
		case <-o.done:
			break wait
		case <-end.C:
			break wait
		case <-ctx.Done():
			break wait
		case <-tick.C:
			o.mu.Lock()
			hopeless := o.until.After(deadline)
			o.mu.Unlock()
			if hopeless {
				break wait
			}
		}
	}
	o.stop()
	<-o.done // a call that is under way ends with its context
	return o.unsent()
}

func (o *outbox) unsent() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var told []string
	if o.refused != nil {
		return []string{"GitHub does not accept the token (" + brief(o.refused) + "): nothing more could be reported. Give the step a valid one in GITHUB_TOKEN"}
	}
	kinds := make([]string, 0, len(o.denied))
	for kind := range o.denied {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		told = append(told, kind+": "+brief(o.denied[kind]))
	}
	left := map[string][]string{}
	for _, p := range o.queue {
		why := "the end came first"
		if p.failure != nil {
			why = brief(p.failure)
		}
		if o.until.After(o.now()) {
			why = fmt.Sprintf("GitHub limits this token until %s", o.until.UTC().Format("15:04:05 MST"))
		}
		if !slices.Contains(left[why], p.kind) {
			left[why] = append(left[why], p.kind)
		}
	}
	reasons := make([]string, 0, len(left))
	for why := range left {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		told = append(told, strings.Join(left[why], ", ")+": not sent, "+why)
	}
	return told
}

// fault is what an error of GitHub's means for what is sent next.
type fault int

const (
	passing      fault = iota // try again
	limited                   // wait, all of us
	notAllowed                // this kind of thing never
	refusedToken              // nothing ever
)

// diagnose tells what an error means, and for a limit how long it lasts.
func diagnose(err error, now time.Time) (fault, time.Duration) {
	var (
		primary   *github.RateLimitError
		secondary *github.AbuseRateLimitError
		answer    *github.ErrorResponse
		locked    *github.TwoFactorAuthError
		permanent *impossible
	)
	switch {
	case errors.As(err, &permanent):
		return notAllowed, 0
	case errors.As(err, &primary):
		return limited, max(primary.Rate.Reset.Sub(now), 0) + time.Second
	case errors.As(err, &secondary):
		if secondary.RetryAfter == nil {
			return limited, blindPause
		}
		return limited, *secondary.RetryAfter
	case errors.As(err, &locked):
		return refusedToken, 0
	case !errors.As(err, &answer) || answer.Response == nil:
		return passing, 0 // the network
	}
	status := answer.Response.StatusCode
	if status == http.StatusTooManyRequests || status == http.StatusForbidden || status == http.StatusServiceUnavailable {
		if seconds, err := strconv.Atoi(answer.Response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return limited, time.Duration(seconds) * time.Second
		}
		if strings.Contains(strings.ToLower(answer.Message), "rate limit") || status == http.StatusTooManyRequests {
			if reset, err := strconv.ParseInt(answer.Response.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil && answer.Response.Header.Get("X-RateLimit-Remaining") == "0" {
				return limited, max(time.Unix(reset, 0).Sub(now), 0) + time.Second
			}
			return limited, blindPause
		}
	}
	switch {
	case status == http.StatusUnauthorized:
		return refusedToken, 0
	case status == http.StatusConflict, status == http.StatusRequestTimeout, status >= 500:
		return passing, 0
	default:
		return notAllowed, 0
	}
}

// impossible is something that another attempt cannot change.
type impossible struct{ text string }

func (e *impossible) Error() string { return e.text }

// brief says an error of GitHub's without its address, on one line. Whatever it says, no token is in it: go-github writes
// none, and GitHub echoes none.
func brief(err error) string {
	var (
		answer    *github.ErrorResponse
		primary   *github.RateLimitError
		secondary *github.AbuseRateLimitError
		network   *url.Error // whose text would name the whole address
	)
	switch {
	case errors.As(err, &primary), errors.As(err, &secondary):
		return "GitHub limits this token"
	case errors.As(err, &answer) && answer.Response != nil:
		text := fmt.Sprintf("GitHub answered %d", answer.Response.StatusCode)
		if answer.Message != "" {
			text += " " + answer.Message
		}
		for _, detail := range answer.Errors {
			if detail.Message != "" {
				text += " (" + detail.Message + ")"
			}
		}
		return oneLine(text)
	case errors.Is(err, context.Canceled):
		return "the end came first"
	case errors.Is(err, context.DeadlineExceeded):
		return "GitHub did not answer in time"
	case errors.As(err, &network):
		return oneLine("GitHub cannot be reached: " + network.Err.Error())
	default:
		return oneLine(err.Error())
	}
}
