package api

import (
	"context"
	"encoding/json"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/queues"
)

// Queue is a queue.
type Queue struct {
	ID   string `json:"queue_id"`
	Name string `json:"queue_name"`
}

// Consumer is what receives from a queue.
type Consumer struct {
	ID              string           `json:"consumer_id,omitempty"`
	Type            string           `json:"type"` // worker, http_pull
	Script          string           `json:"script_name,omitempty"`
	DeadLetterQueue string           `json:"dead_letter_queue,omitempty"`
	Settings        ConsumerSettings `json:"settings"`
}

// ConsumerSettings are a consumer's; nil is Cloudflare's default.
type ConsumerSettings struct {
	BatchSize           *float64 `json:"batch_size,omitempty"`
	MaxConcurrency      *float64 `json:"max_concurrency,omitempty"`
	MaxRetries          *float64 `json:"max_retries,omitempty"`
	MaxWaitMS           *float64 `json:"max_wait_time_ms,omitempty"`
	RetryDelay          *float64 `json:"retry_delay,omitempty"` // seconds
	VisibilityTimeoutMS *float64 `json:"visibility_timeout_ms,omitempty"`
}

// UnmarshalJSON accepts both spellings of the Worker's name: the API answers with one or the other.
func (c *Consumer) UnmarshalJSON(data []byte) error {
	type plain Consumer
	var got struct {
		plain
		Service string `json:"service"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		return err
	}
	*c = Consumer(got.plain)
	if c.Script == "" {
		c.Script = got.Service
	}
	return nil
}

// Queues lists the account's queues.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	return everyPage(perPage, func(page []option.RequestOption, into *answer[[]Queue]) error {
		params := queues.QueueListParams{}
		params.AccountID.Value = c.account
		_, err := queues.NewQueueService(c.base...).List(ctx, params, c.reading(into, page...)...)
		return err
	})
}

// CreateQueue makes an empty one.
func (c *Client) CreateQueue(ctx context.Context, name string) (Queue, error) {
	var got answer[Queue]
	params := queues.QueueNewParams{}
	params.AccountID.Value = c.account
	body := struct {
		Name string `json:"queue_name"`
	}{name}
	_, err := queues.NewQueueService(c.base...).New(ctx, params, c.changing(&got, jsonBody(body))...)
	return got.Result, err
}

// Consumers lists a queue's consumers.
func (c *Client) Consumers(ctx context.Context, queue string) ([]Consumer, error) {
	var got answer[[]Consumer]
	params := queues.ConsumerListParams{}
	params.AccountID.Value = c.account
	_, err := queues.NewConsumerService(c.base...).List(ctx, queue, params, c.reading(&got)...)
	return got.Result, err
}

// CreateConsumer makes a consumer of a queue.
func (c *Client) CreateConsumer(ctx context.Context, queue string, consumer Consumer) error {
	var got answer[json.RawMessage]
	params := queues.ConsumerNewParams{}
	params.AccountID.Value = c.account
	_, err := queues.NewConsumerService(c.base...).New(ctx, queue, params, c.changing(&got, jsonBody(consumer))...)
	return err
}

// UpdateConsumer replaces the settings of the consumer whose ID is set.
func (c *Client) UpdateConsumer(ctx context.Context, queue string, consumer Consumer) error {
	id := consumer.ID
	consumer.ID = ""
	var got answer[json.RawMessage]
	params := queues.ConsumerUpdateParams{}
	params.AccountID.Value = c.account
	_, err := queues.NewConsumerService(c.base...).Update(ctx, queue, id, params, c.changing(&got, jsonBody(consumer))...)
	return err
}
