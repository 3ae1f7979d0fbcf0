package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// queuePoll is how often a queue is looked at for messages that arrived by another way than a binding of this Runtime.
	queuePoll = 250 * time.Millisecond
	// queueHandlerLimit bounds one queue() call. Cloudflare allows 15 minutes; here a lease must outlive the call, and a
	// message whose process was killed must not be invisible for that long.
	queueHandlerLimit = time.Minute
	queueStoreLimit   = 10 * time.Second
)

// consume delivers a queue's messages to the script in batches until ctx ends. A batch under way is finished first.
func consume(ctx context.Context, s *script, c QueueConsumer) {
	c = withQueueDefaults(c)
	for ctx.Err() == nil {
		batch, err := collect(ctx, s.runtime, c)
		if err != nil {
			s.runtime.log.Warn("queue cannot be read", "queue", c.QueueName, "error", err)
		}
		if len(batch) > 0 {
			// A batch that was received is settled, even when the deployment ends meanwhile.
			if err := deliver(context.WithoutCancel(ctx), s, c, batch); err != nil {
				s.runtime.log.Warn("queue batch could not be settled; its messages come again", "queue", c.QueueName, "error", err)
			}
			continue
		}
		s.runtime.queues.wait(ctx, c.QueueName, queuePoll)
	}
}

// withQueueDefaults fills in what wrangler leaves out: Cloudflare's documented defaults.
func withQueueDefaults(c QueueConsumer) QueueConsumer {
	if c.BatchSize <= 0 {
		c.BatchSize = 10
	}
	if c.MaxWait < 0 {
		c.MaxWait = 5 * time.Second
	}
	if c.MaxRetries < 0 {
		c.MaxRetries = 3
	}
	return c
}

// collect receives one batch: it is complete when it is full or when its first message has waited for MaxWait. What has
// been received is returned whatever the error.
func collect(ctx context.Context, r *Runtime, c QueueConsumer) ([]QueueMessage, error) {
	lease := c.MaxWait + queueHandlerLimit + 2*queueStoreLimit
	var batch []QueueMessage
	var deadline time.Time
	for {
		more, err := r.store.QueueReceive(ctx, c.QueueName, c.BatchSize-len(batch), lease)
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			return batch, err
		}
		if len(batch) == 0 {
			deadline = time.Now().Add(c.MaxWait)
		}
		batch = append(batch, more...)
		left := time.Until(deadline)
		if len(batch) == 0 || len(batch) >= c.BatchSize || left <= 0 || ctx.Err() != nil {
			return batch, nil
		}
		r.queues.wait(ctx, c.QueueName, min(left, queuePoll))
	}
}

// queueOutcome is what queue() did with a batch, as workerd reports it.
type queueOutcome struct {
	Outcome    string `json:"outcome"`
	RetryBatch struct {
		Retry        bool `json:"retry"`
		DelaySeconds int  `json:"delaySeconds"`
	} `json:"retryBatch"`
	ExplicitAcks  []string `json:"explicitAcks"`
	RetryMessages []struct {
		MsgID        string `json:"msgId"`
		DelaySeconds *int   `json:"delaySeconds"`
	} `json:"retryMessages"`
}

func (o *queueOutcome) outcome() string { return o.Outcome }

// deliver calls queue() and settles each message. A call that fails or cannot be made retries all that it did not
// acknowledge one by one.
func deliver(ctx context.Context, s *script, c QueueConsumer, batch []QueueMessage) error {
	messages := make([]delivery, len(batch))
	for i, m := range batch {
		messages[i] = deliveryOf(m)
	}
	callCtx, cancel := context.WithTimeout(ctx, queueHandlerLimit)
	defer cancel()
	var outcome queueOutcome
	err := s.dispatch(callCtx, "/queue", map[string]any{"queue": c.QueueName, "messages": messages}, &outcome)
	if err != nil {
		s.runtime.log.Warn("queue batch was not delivered", "queue", c.QueueName, "error", err)
		outcome = queueOutcome{Outcome: "undelivered"}
	}
	settleCtx, cancelSettle := context.WithTimeout(ctx, queueStoreLimit)
	defer cancelSettle()
	return settle(settleCtx, s.runtime, c, batch, outcome)
}

func settle(ctx context.Context, r *Runtime, c QueueConsumer, batch []QueueMessage, o queueOutcome) error {
	var acked []string
	retries := map[time.Duration][]string{}
	for _, m := range batch {
		delay, retry := o.retry(m.ID)
		switch {
		case !retry:
			acked = append(acked, m.ID)
		case max(m.Attempts, 1) <= c.MaxRetries:
			retries[delay] = append(retries[delay], m.ID)
		case c.DeadLetterQueue != "":
			dead := m
			dead.ID, dead.Attempts, dead.VisibleAt = newMessageID(), 0, time.Now()
			if err := r.store.QueueSend(ctx, c.DeadLetterQueue, dead); err != nil {
				return fmt.Errorf("move message %s to %s: %w", m.ID, c.DeadLetterQueue, err)
			}
			r.queues.notify(c.DeadLetterQueue)
			acked = append(acked, m.ID)
		default:
			r.log.Warn("message dropped after its last retry; set a dead letter queue to keep such messages",
				"queue", c.QueueName, "message", m.ID, "attempts", m.Attempts)
			acked = append(acked, m.ID)
		}
	}
	if len(acked) > 0 {
		if err := r.store.QueueAck(ctx, c.QueueName, acked...); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	for delay, ids := range retries {
		if err := r.store.QueueRetry(ctx, c.QueueName, delay, ids...); err != nil {
			return fmt.Errorf("retry: %w", err)
		}
	}
	return nil
}

// retry tells whether a message is to be delivered again, and after how long. An acknowledgement of its own stands even
// when the handler failed later; otherwise a retry wins, of the message or of the batch.
func (o queueOutcome) retry(id string) (time.Duration, bool) {
	if slices.Contains(o.ExplicitAcks, id) {
		return 0, false
	}
	for _, r := range o.RetryMessages {
		if r.MsgID == id {
			seconds := o.RetryBatch.DelaySeconds
			if r.DelaySeconds != nil {
				seconds = *r.DelaySeconds
			}
			return time.Duration(seconds) * time.Second, true
		}
	}
	if o.RetryBatch.Retry || o.Outcome != "ok" {
		return time.Duration(o.RetryBatch.DelaySeconds) * time.Second, true
	}
	return 0, false
}
