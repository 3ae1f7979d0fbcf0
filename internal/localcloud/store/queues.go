package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// Queue is a queue with its settings as the client sent them (delivery_delay, message_retention_period, delivery_paused).
type Queue struct {
	ID         string
	Name       string
	CreatedAt  time.Time
	ModifiedAt time.Time
	Settings   map[string]any
}

// Consumer is a Worker that receives a queue's messages.
type Consumer struct {
	ID              string         `json:"-"`
	QueueID         string         `json:"-"`
	CreatedAt       time.Time      `json:"-"`
	Type            string         `json:"type"` // worker or http_pull
	Script          string         `json:"script"`
	DeadLetterQueue string         `json:"dead_letter_queue"`
	Settings        map[string]any `json:"settings"` // batch_size, max_retries, max_wait_time_ms, …
}

func scanQueue(row interface{ Scan(...any) error }) (Queue, error) {
	queue := Queue{}
	var created, modified int64
	var settings string
	if err := row.Scan(&queue.ID, &queue.Name, &created, &modified, &settings); err != nil {
		return Queue{}, notFound(err)
	}
	queue.CreatedAt, queue.ModifiedAt = fromMicros(created), fromMicros(modified)
	err := json.Unmarshal([]byte(settings), &queue.Settings)
	return queue, err
}

const queueColumns = "id, name, created, modified, settings"

// Queues lists all, by name.
func (s *Store) Queues(ctx context.Context) ([]Queue, error) {
	return rows(ctx, s.read, scanQueue, "SELECT "+queueColumns+" FROM queues ORDER BY name")
}

// Queue finds one by its ID.
func (s *Store) Queue(ctx context.Context, id string) (Queue, error) {
	return scanQueue(s.read.QueryRowContext(ctx, "SELECT "+queueColumns+" FROM queues WHERE id = ?", id))
}

// AddQueue creates one; ErrExists when the name is taken.
func (s *Store) AddQueue(ctx context.Context, queue Queue) error {
	settings, err := json.Marshal(orEmpty(queue.Settings))
	if err != nil {
		return err
	}
	return s.insert(ctx, "INSERT INTO queues ("+queueColumns+") VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		queue.ID, queue.Name, toMicros(queue.CreatedAt), toMicros(queue.ModifiedAt), string(settings))
}

// SetQueue replaces a queue's name and settings.
func (s *Store) SetQueue(ctx context.Context, queue Queue) error {
	settings, err := json.Marshal(orEmpty(queue.Settings))
	if err != nil {
		return err
	}
	return s.remove(ctx, "UPDATE queues SET name = ?, modified = ?, settings = ? WHERE id = ?",
		queue.Name, toMicros(queue.ModifiedAt), string(settings), queue.ID)
}

// DeleteQueue removes one with its messages and consumers.
func (s *Store) DeleteQueue(ctx context.Context, id string) error {
	return s.remove(ctx, "DELETE FROM queues WHERE id = ?", id)
}

func scanConsumer(row interface{ Scan(...any) error }) (Consumer, error) {
	consumer := Consumer{}
	var created int64
	var body string
	if err := row.Scan(&consumer.ID, &consumer.QueueID, &created, &body); err != nil {
		return Consumer{}, notFound(err)
	}
	consumer.CreatedAt = fromMicros(created)
	err := json.Unmarshal([]byte(body), &consumer)
	return consumer, err
}

// Consumers lists those of one queue, or of all when queue is empty.
func (s *Store) Consumers(ctx context.Context, queue string) ([]Consumer, error) {
	return rows(ctx, s.read, scanConsumer,
		"SELECT id, queue, created, body FROM consumers WHERE ?1 = '' OR queue = ?1 ORDER BY created, id", queue)
}

// PutConsumer creates or replaces one.
func (s *Store) PutConsumer(ctx context.Context, consumer Consumer) error {
	body, err := json.Marshal(consumer)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO consumers (id, queue, created, body) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET body = excluded.body`, consumer.ID, consumer.QueueID, toMicros(consumer.CreatedAt), string(body))
		return err
	})
}

// DeleteConsumer removes one of a queue.
func (s *Store) DeleteConsumer(ctx context.Context, queue, id string) error {
	return s.remove(ctx, "DELETE FROM consumers WHERE queue = ? AND id = ?", queue, id)
}

// QueueConsumers lists what a script consumes, in the shape that the runtime wants. A paused queue is left out.
func (s *Store) QueueConsumers(ctx context.Context, script string) ([]runtime.QueueConsumer, error) {
	consumers, err := s.Consumers(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []runtime.QueueConsumer
	for _, consumer := range consumers {
		if consumer.Script != script || consumer.Type != "worker" {
			continue
		}
		queue, err := s.Queue(ctx, consumer.QueueID)
		if err != nil {
			return nil, err
		}
		if paused, _ := queue.Settings["delivery_paused"].(bool); paused {
			continue
		}
		// Defaults of Cloudflare's consumer configuration: 10 messages, 5 s, 3 retries.
		out = append(out, runtime.QueueConsumer{
			QueueName: queue.Name, DeadLetterQueue: consumer.DeadLetterQueue,
			BatchSize:  int(number(consumer.Settings["batch_size"], 10)),
			MaxRetries: int(number(consumer.Settings["max_retries"], 3)),
			MaxWait:    time.Duration(number(consumer.Settings["max_wait_time_ms"], 5000)) * time.Millisecond,
		})
	}
	return out, nil
}

func number(value any, otherwise float64) float64 {
	if n, ok := value.(float64); ok {
		return n
	}
	return otherwise
}

// QueueSend implements runtime.Store. A message without ID, Timestamp or VisibleAt gets them here.
func (s *Store) QueueSend(ctx context.Context, queue string, messages ...runtime.QueueMessage) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		id, err := queueID(ctx, tx, queue)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, message := range messages {
			if message.ID == "" {
				message.ID = NewID()
			}
			if message.Timestamp.IsZero() {
				message.Timestamp = now
			}
			if message.VisibleAt.IsZero() {
				message.VisibleAt = now
			}
			if message.Body == nil {
				message.Body = []byte{}
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO messages (id, queue, content_type, body, sent, visible, attempts)
				VALUES (?, ?, ?, ?, ?, ?, ?)`, message.ID, id, message.ContentType, message.Body,
				toMicros(message.Timestamp), toMicros(message.VisibleAt), message.Attempts); err != nil {
				return err
			}
		}
		return nil
	})
}

func queueID(ctx context.Context, tx *sql.Tx, name string) (id string, err error) {
	if err := tx.QueryRowContext(ctx, "SELECT id FROM queues WHERE name = ?", name).Scan(&id); err != nil {
		return "", fmt.Errorf("queue %s: %w", name, notFound(err))
	}
	return id, nil
}

// QueueReceive implements runtime.Store. Attempts counts this delivery too, so it is 1 the first time.
func (s *Store) QueueReceive(ctx context.Context, queue string, limit int, lease time.Duration) ([]runtime.QueueMessage, error) {
	var messages []runtime.QueueMessage
	err := s.update(ctx, func(tx *sql.Tx) error {
		id, err := queueID(ctx, tx, queue)
		if err != nil {
			return err
		}
		now := time.Now()
		messages, err = rows(ctx, tx, scanMessage, `SELECT id, content_type, body, sent, visible, attempts + 1 FROM messages
			WHERE queue = ? AND visible <= ? ORDER BY sequence LIMIT ?`, id, toMicros(now), limit)
		if err != nil {
			return err
		}
		for i := range messages {
			messages[i].VisibleAt = now.Add(lease).UTC()
			if _, err := tx.ExecContext(ctx, "UPDATE messages SET visible = ?, attempts = ? WHERE id = ?",
				toMicros(messages[i].VisibleAt), messages[i].Attempts, messages[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	return messages, err
}

func scanMessage(row interface{ Scan(...any) error }) (runtime.QueueMessage, error) {
	message := runtime.QueueMessage{}
	var sent, visible int64
	err := row.Scan(&message.ID, &message.ContentType, &message.Body, &sent, &visible, &message.Attempts)
	message.Timestamp, message.VisibleAt = fromMicros(sent), fromMicros(visible)
	return message, err
}

// QueueAck implements runtime.Store. Unknown messages are no error: they were acknowledged before.
func (s *Store) QueueAck(ctx context.Context, queue string, ids ...string) error {
	return s.onMessages(ctx, queue, "DELETE FROM messages WHERE queue = ? AND id IN ", ids)
}

// QueueRetry implements runtime.Store.
func (s *Store) QueueRetry(ctx context.Context, queue string, after time.Duration, ids ...string) error {
	visible := toMicros(time.Now().Add(after))
	return s.onMessages(ctx, queue, fmt.Sprintf("UPDATE messages SET visible = %d WHERE queue = ? AND id IN ", visible), ids)
}

func (s *Store) onMessages(ctx context.Context, queue, statement string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		id, err := queueID(ctx, tx, queue)
		if err != nil {
			return err
		}
		args := []any{id}
		for _, one := range ids {
			args = append(args, one)
		}
		_, err = tx.ExecContext(ctx, statement+"(?"+strings.Repeat(", ?", len(ids)-1)+")", args...)
		return err
	})
}

// QueueBacklog implements runtime.Store.
func (s *Store) QueueBacklog(ctx context.Context, queue string) (runtime.QueueBacklog, error) {
	var backlog runtime.QueueBacklog
	var oldest int64
	err := s.read.QueryRowContext(ctx, `SELECT count(m.id), coalesce(sum(length(m.body)), 0), coalesce(min(m.sent), 0)
		FROM queues q LEFT JOIN messages m ON m.queue = q.id WHERE q.name = ? GROUP BY q.id`, queue).Scan(&backlog.Count, &backlog.Bytes, &oldest)
	if oldest != 0 {
		backlog.Oldest = fromMicros(oldest)
	}
	return backlog, notFound(err)
}

// Purge deletes all messages of a queue.
func (s *Store) Purge(ctx context.Context, queueID string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM messages WHERE queue = ?", queueID)
		return err
	})
}
