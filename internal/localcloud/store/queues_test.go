package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func receive(t *testing.T, s *store.Store, limit int, lease time.Duration) map[string]int {
	t.Helper()
	attempts := map[string]int{}
	for _, message := range must[[]runtime.QueueMessage](t)(s.QueueReceive(t.Context(), "jobs", limit, lease)) {
		attempts[message.ID] = message.Attempts
	}
	return attempts
}

func TestQueueLeasesAcknowledgesAndRetries(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	do(t, s.AddQueue(t.Context(), store.Queue{ID: "q", Name: "jobs"}))
	do(t, s.QueueSend(t.Context(), "jobs", runtime.QueueMessage{ID: "1", Body: []byte("a")}, runtime.QueueMessage{ID: "2", Body: []byte("b")},
		runtime.QueueMessage{ID: "later", VisibleAt: time.Now().Add(time.Hour)}))
	want := func(name string, want, got map[string]int) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	want("first delivery", map[string]int{"1": 1, "2": 1}, receive(t, s, 10, 40*time.Millisecond))
	want("while leased", map[string]int{}, receive(t, s, 10, time.Minute))
	do(t, s.QueueAck(t.Context(), "jobs", "1", "unknown"))
	time.Sleep(50 * time.Millisecond)
	want("after the lease", map[string]int{"2": 2}, receive(t, s, 10, time.Minute))
	do(t, s.QueueRetry(t.Context(), "jobs", 0, "2"))
	do(t, s.Close())

	s = open(t, dir)
	want("after a retry and a restart", map[string]int{"2": 3}, receive(t, s, 10, time.Minute))
	if backlog := must[runtime.QueueBacklog](t)(s.QueueBacklog(t.Context(), "jobs")).Count; backlog != 2 {
		t.Errorf("backlog is %d", backlog)
	}
	metrics := must[runtime.QueueBacklog](t)(s.QueueBacklog(t.Context(), "jobs"))
	if metrics.Count != 2 || metrics.Bytes != 1 {
		t.Errorf("metrics are %+v, want one message of one byte and an empty one", metrics)
	}
	if _, err := s.QueueBacklog(t.Context(), "absent"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("metrics of an absent queue: %v", err)
	}
	if err := s.QueueSend(t.Context(), "absent", runtime.QueueMessage{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("sending to an absent queue: %v", err)
	}
}

func TestPausedQueueHasNoConsumer(t *testing.T) {
	s := open(t, t.TempDir())
	queue := store.Queue{ID: "q", Name: "jobs"}
	do(t, s.AddQueue(t.Context(), queue))
	do(t, s.PutConsumer(t.Context(), store.Consumer{ID: "c", QueueID: "q", Type: "worker", Script: "a", DeadLetterQueue: "dead",
		Settings: map[string]any{"batch_size": 5.0, "max_wait_time_ms": 100.0}}))
	want := []runtime.QueueConsumer{{QueueName: "jobs", BatchSize: 5, MaxRetries: 3, MaxWait: 100 * time.Millisecond, DeadLetterQueue: "dead"}}
	if diff := cmp.Diff(want, must[[]runtime.QueueConsumer](t)(s.QueueConsumers(t.Context(), "a"))); diff != "" {
		t.Error(diff)
	}
	queue.Settings = map[string]any{"delivery_paused": true}
	do(t, s.SetQueue(t.Context(), queue))
	if got := must[[]runtime.QueueConsumer](t)(s.QueueConsumers(t.Context(), "a")); len(got) != 0 {
		t.Errorf("a paused queue is consumed: %v", got)
	}
}
