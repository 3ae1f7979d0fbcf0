package runtime

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"
)

// eventSource is what calls a script besides HTTP.
type eventSource struct {
	consumers []QueueConsumer
	schedules []*schedule
}

func eventsOf(s Script) (eventSource, error) {
	e := eventSource{consumers: s.QueueConsumers}
	for _, text := range s.Crons {
		parsed, err := parseSchedule(text)
		if err != nil {
			return eventSource{}, fmt.Errorf("deploy script %s: %w", s.Name, err)
		}
		e.schedules = append(e.schedules, parsed)
	}
	return e, nil
}

// subscribe makes events the script's only ones. Deliveries of the earlier ones get until ctx ends to finish; later they
// end by themselves, without taking new messages. The caller holds applying.
func (s *script) subscribe(ctx context.Context, events eventSource) {
	if reflect.DeepEqual(s.events, events) {
		return
	}
	if s.stopEvents != nil {
		s.stopEvents(ctx)
		s.stopEvents = nil
	}
	s.events = events
	if len(events.consumers) == 0 && len(events.schedules) == 0 {
		return
	}
	life, cancel := context.WithCancel(s.runtime.life)
	var running sync.WaitGroup
	background := func(run func()) {
		running.Add(1)
		s.runtime.background.Go(func() {
			defer running.Done()
			run()
		})
	}
	for _, c := range events.consumers {
		background(func() { consume(life, s, c) })
	}
	background(func() { runSchedules(life, s, events.schedules) })
	s.stopEvents = func(ctx context.Context) {
		cancel()
		done := make(chan struct{})
		go func() {
			running.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// dispatch sends one event to a version chosen as for a request without headers.
func (s *script) dispatch(ctx context.Context, path string, event map[string]any, answer interface{ outcome() string }) error {
	stay, err := s.enter(ctx, false)
	if err != nil {
		return err
	}
	defer stay.leave()
	version, began := chooseVersion(s.name, stay.shares, http.Header{}), time.Now()
	event["version"] = version
	err = stay.worker.call(ctx, path, event, answer)
	invocation := Invocation{Script: s.name, Version: version, At: began, Duration: time.Since(began), Outcome: answer.outcome()}
	if err != nil {
		invocation.Outcome = OutcomeBroken
	}
	s.runtime.observer.Invocation(invocation)
	return err
}

// scheduledOutcome is what scheduled() did, as workerd reports it.
type scheduledOutcome struct {
	Outcome string `json:"outcome"`
}

func (o *scheduledOutcome) outcome() string { return o.Outcome }

// scheduledLimit bounds one scheduled() call: Cloudflare's limit of wall time.
const scheduledLimit = 15 * time.Minute

// runSchedules fires at every full minute that a schedule matches, until ctx ends. Minutes that passed while nothing ran
// are not made up for, as on Cloudflare.
func runSchedules(ctx context.Context, s *script, schedules []*schedule) {
	if len(schedules) == 0 {
		return
	}
	for {
		next := time.Now().Truncate(time.Minute).Add(time.Minute)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		for _, c := range schedules {
			if c.matches(next) {
				s.runtime.background.Go(func() { s.fire(s.runtime.life, c.text, next) })
			}
		}
	}
}

// fire calls scheduled() once; its failure is the app's and goes to the log.
func (s *script) fire(ctx context.Context, cron string, at time.Time) {
	if err := s.trigger(ctx, cron, at); err != nil {
		s.runtime.log.Warn("cron trigger failed", "script", s.name, "cron", cron, "error", err)
	}
}

func (s *script) trigger(ctx context.Context, cron string, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, scheduledLimit)
	defer cancel()
	var answer scheduledOutcome
	if err := s.dispatch(ctx, "/scheduled", map[string]any{"cron": cron, "time": at.UnixMilli()}, &answer); err != nil {
		return fmt.Errorf("call scheduled() of %s: %w", s.name, err)
	}
	if answer.Outcome != "ok" {
		return fmt.Errorf("scheduled() of %s ended with outcome %q; see the worker's log", s.name, answer.Outcome)
	}
	return nil
}

// delivery is a queue message as the entry worker wants it.
type delivery struct {
	ID          string `json:"id"`
	Time        int64  `json:"time"` // Unix milliseconds
	ContentType string `json:"contentType"`
	Body        string `json:"body"` // base64
	Attempts    int    `json:"attempts"`
}

func deliveryOf(m QueueMessage) delivery {
	return delivery{
		ID: m.ID, Time: m.Timestamp.UnixMilli(), ContentType: m.ContentType,
		Body: base64.StdEncoding.EncodeToString(m.Body), Attempts: max(m.Attempts, 1),
	}
}
