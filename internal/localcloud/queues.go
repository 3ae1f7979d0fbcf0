package localcloud

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) queueRoutes() []route {
	const all, one = "/accounts/{account}/queues", "/accounts/{account}/queues/{queue}"
	return []route{
		{"GET " + all, c.listQueues},
		{"POST " + all, c.addQueue},
		{"GET " + one, c.getQueue},
		{"PUT " + one, c.changeQueue},
		{"PATCH " + one, c.changeQueue},
		{"DELETE " + one, c.deleteQueue},
		{"GET " + one + "/metrics", c.getBacklog},
		{"POST " + one + "/purge", c.purgeQueue},
		{"GET " + one + "/purge", c.getPurge},
		{"GET " + one + "/consumers", c.listConsumers},
		{"POST " + one + "/consumers", c.addConsumer},
		{"GET " + one + "/consumers/{consumer}", c.getConsumer},
		{"PUT " + one + "/consumers/{consumer}", c.changeConsumer},
		{"DELETE " + one + "/consumers/{consumer}", c.deleteConsumer},
	}
}

// needQueue answers store.ErrNotFound when there is no queue of the name that bindings use.
func (c *Cloud) needQueue(ctx context.Context, name string) error {
	queues, err := c.store.Queues(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(queues, func(queue store.Queue) bool { return queue.Name == name }) {
		return store.ErrNotFound
	}
	return nil
}

func (c *Cloud) queue(r *http.Request) (store.Queue, error) {
	queue, err := c.store.Queue(r.Context(), r.PathValue("queue"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Queue{}, refuse(http.StatusNotFound, codeQueueNotFound, "Queue %s does not exist.", r.PathValue("queue"))
	}
	return queue, err
}

// queueDefaults are the settings of a new queue, in seconds.
// Source: https://developers.cloudflare.com/queues/platform/limits/ (retention 4 days).
func queueDefaults() map[string]any {
	return map[string]any{"delivery_delay": 0, "message_retention_period": 345600, "delivery_paused": false}
}

func (c *Cloud) describeQueue(ctx context.Context, queue store.Queue) (map[string]any, error) {
	settings := queueDefaults()
	for name, value := range queue.Settings {
		settings[name] = value
	}
	consumers, err := c.store.Consumers(ctx, queue.ID)
	if err != nil {
		return nil, err
	}
	described := []map[string]any{}
	for _, consumer := range consumers {
		described = append(described, describeConsumer(queue, consumer))
	}
	producers, err := c.producers(ctx, queue.Name)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"queue_id": queue.ID, "queue_name": queue.Name, "created_on": queue.CreatedAt, "modified_on": queue.ModifiedAt,
		"settings": settings, "consumers": described, "consumers_total_count": len(described),
		"producers": producers, "producers_total_count": len(producers),
	}, nil
}

// producers lists the scripts whose newest version is bound to a queue.
func (c *Cloud) producers(ctx context.Context, queue string) ([]map[string]any, error) {
	scripts, err := c.store.Scripts(ctx)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, script := range scripts {
		version, err := c.newest(ctx, script.Name)
		if err != nil {
			return nil, err
		}
		if version != nil && slices.ContainsFunc(version.Bindings, func(b store.Binding) bool { return b.String("queue_name") == queue }) {
			out = append(out, map[string]any{"type": "worker", "script": script.Name, "service": script.Name, "environment": "production"})
		}
	}
	return out, nil
}

func describeConsumer(queue store.Queue, consumer store.Consumer) map[string]any {
	settings := map[string]any{"batch_size": 10, "max_retries": 3, "max_wait_time_ms": 5000}
	for name, value := range consumer.Settings {
		settings[name] = value
	}
	out := map[string]any{
		"consumer_id": consumer.ID, "queue_id": queue.ID, "queue_name": queue.Name, "created_on": consumer.CreatedAt,
		"type": consumer.Type, "settings": settings, "dead_letter_queue": consumer.DeadLetterQueue,
	}
	if consumer.Script != "" {
		// Three spellings: cloudflare-go reads script_name, wrangler script, older answers service.
		out["script_name"], out["script"], out["service"], out["environment"] = consumer.Script, consumer.Script, consumer.Script, "production"
	}
	return out
}

func (c *Cloud) listQueues(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queues, err := c.store.Queues(r.Context())
	if err != nil {
		return nil, err
	}
	out, names := []map[string]any{}, r.URL.Query()["name"]
	for _, queue := range queues {
		if len(names) > 0 && !slices.Contains(names, queue.Name) {
			continue
		}
		described, err := c.describeQueue(r.Context(), queue)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	return paged(r, out, 100)
}

type queueRequest struct {
	Name     string         `json:"queue_name"`
	Settings map[string]any `json:"settings"`
}

func (c *Cloud) addQueue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[queueRequest](r)
	if err != nil {
		return nil, err
	}
	if !bucketName(request.Name) { // the same rule
		return nil, refuse(http.StatusBadRequest, codeBadQueue, "queue name %q is not valid: 3 to 63 lower-case letters, digits and -", request.Name)
	}
	queue := store.Queue{ID: store.NewID(), Name: request.Name, CreatedAt: now(), ModifiedAt: now(), Settings: request.Settings}
	err = c.store.AddQueue(r.Context(), queue)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse(http.StatusConflict, codeQueueExists, "Queue name '%s' is already taken. Please use a different name and try again.", request.Name)
	}
	if err != nil {
		return nil, err
	}
	described, err := c.describeQueue(r.Context(), queue)
	return ok(described), err
}

func (c *Cloud) getQueue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	described, err := c.describeQueue(r.Context(), queue)
	return ok(described), err
}

func (c *Cloud) changeQueue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[queueRequest](r)
	if err != nil {
		return nil, err
	}
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	if request.Name != "" {
		queue.Name = request.Name
	}
	if r.Method == http.MethodPut || queue.Settings == nil {
		queue.Settings = map[string]any{}
	}
	for name, value := range request.Settings {
		queue.Settings[name] = value
	}
	queue.ModifiedAt = now()
	if err := c.store.SetQueue(r.Context(), queue); err != nil {
		return nil, err
	}
	if err := c.consumersChanged(r.Context(), queue.ID); err != nil {
		return nil, err
	}
	described, err := c.describeQueue(r.Context(), queue)
	return ok(described), err
}

// consumersChanged lets the Workers that consume a queue, and those named, see the settings as they are now.
func (c *Cloud) consumersChanged(ctx context.Context, queue string, also ...string) error {
	consumers, err := c.store.Consumers(ctx, queue)
	if err != nil {
		return err
	}
	scripts := also
	for _, consumer := range consumers {
		if consumer.Script != "" && !slices.Contains(scripts, consumer.Script) {
			scripts = append(scripts, consumer.Script)
		}
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	for _, script := range scripts {
		if err := ignoreNotFound(c.reapply(context.WithoutCancel(ctx), script)); err != nil {
			return startRefusal(err)
		}
	}
	return nil
}

func (c *Cloud) deleteQueue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	consumers, err := c.store.Consumers(r.Context(), queue.ID)
	if err != nil {
		return nil, err
	}
	if err := c.store.DeleteQueue(r.Context(), queue.ID); err != nil {
		return nil, err
	}
	var scripts []string
	for _, consumer := range consumers {
		scripts = append(scripts, consumer.Script)
	}
	return ok(nil), c.consumersChanged(r.Context(), queue.ID, scripts...)
}

func (c *Cloud) getBacklog(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	backlog, err := c.store.QueueBacklog(r.Context(), queue.Name)
	oldest := int64(0)
	if !backlog.Oldest.IsZero() {
		oldest = backlog.Oldest.UnixMilli()
	}
	return ok(map[string]any{"backlog_count": backlog.Count, "backlog_bytes": backlog.Bytes, "oldest_message_timestamp_ms": oldest}), err
}

func (c *Cloud) purgeQueue(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	if err := c.store.Purge(r.Context(), queue.ID); err != nil {
		return nil, err
	}
	described, err := c.describeQueue(r.Context(), queue)
	return ok(described), err
}

func (c *Cloud) getPurge(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	_, err := c.queue(r)
	return ok(map[string]any{"completed": "true", "started_at": now()}), err // a purge is over when it answers
}

func (c *Cloud) listConsumers(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	consumers, err := c.store.Consumers(r.Context(), queue.ID)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, consumer := range consumers {
		out = append(out, describeConsumer(queue, consumer))
	}
	return ok(out), nil
}

type consumerRequest struct {
	Type            string         `json:"type"`
	Script          string         `json:"script_name"`
	DeadLetterQueue string         `json:"dead_letter_queue"`
	Settings        map[string]any `json:"settings"`
}

// check refuses a consumer that could not work.
func (c *Cloud) checkConsumer(ctx context.Context, request consumerRequest) error {
	bad := func(message string, args ...any) error {
		return refuse(http.StatusBadRequest, codeBadQueue, message, args...)
	}
	if request.Type != "worker" && request.Type != "http_pull" {
		return bad("consumer type must be worker or http_pull, not %q", request.Type)
	}
	if request.Type == "worker" {
		if _, err := c.store.Script(ctx, request.Script); err != nil {
			return errors.Join(ignoreNotFound(err), bad("worker %q does not exist", request.Script))
		}
	}
	if request.DeadLetterQueue != "" {
		if err := c.needQueue(ctx, request.DeadLetterQueue); err != nil {
			return errors.Join(ignoreNotFound(err), bad("dead letter queue %q does not exist", request.DeadLetterQueue))
		}
	}
	return nil
}

// addConsumer connects a Worker to a queue, which can have one.
// Source: https://developers.cloudflare.com/queues/configuration/configure-queues/
func (c *Cloud) addConsumer(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[consumerRequest](r)
	if err != nil {
		return nil, err
	}
	if err := c.checkConsumer(r.Context(), request); err != nil {
		return nil, err
	}
	existing, err := c.store.Consumers(r.Context(), queue.ID)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(existing, func(one store.Consumer) bool { return one.Type == request.Type }) {
		return nil, refuse(http.StatusConflict, codeConsumerExists, "Queue '%s' already has a consumer of type %s.", queue.Name, request.Type)
	}
	return c.putConsumer(r, queue, store.Consumer{ID: store.NewID(), QueueID: queue.ID, CreatedAt: now()}, request)
}

func (c *Cloud) putConsumer(r *http.Request, queue store.Queue, consumer store.Consumer, request consumerRequest) (*answer, error) {
	before := consumer.Script
	consumer.Type, consumer.Script = request.Type, request.Script
	consumer.DeadLetterQueue, consumer.Settings = request.DeadLetterQueue, request.Settings
	if err := c.store.PutConsumer(r.Context(), consumer); err != nil {
		return nil, err
	}
	if err := c.consumersChanged(r.Context(), queue.ID, strings.Fields(before)...); err != nil {
		return nil, err
	}
	return ok(describeConsumer(queue, consumer)), nil
}

func (c *Cloud) consumer(r *http.Request) (store.Queue, store.Consumer, error) {
	queue, err := c.queue(r)
	if err != nil {
		return store.Queue{}, store.Consumer{}, err
	}
	consumers, err := c.store.Consumers(r.Context(), queue.ID)
	if err != nil {
		return store.Queue{}, store.Consumer{}, err
	}
	at := slices.IndexFunc(consumers, func(consumer store.Consumer) bool { return consumer.ID == r.PathValue("consumer") })
	if at < 0 {
		return store.Queue{}, store.Consumer{}, refuse(http.StatusNotFound, codeConsumerNotFound, "Consumer %s does not exist.", r.PathValue("consumer"))
	}
	return queue, consumers[at], nil
}

func (c *Cloud) getConsumer(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, consumer, err := c.consumer(r)
	if err != nil {
		return nil, err
	}
	return ok(describeConsumer(queue, consumer)), nil
}

func (c *Cloud) changeConsumer(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, consumer, err := c.consumer(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[consumerRequest](r)
	if err != nil {
		return nil, err
	}
	if request.Script == "" {
		request.Script = consumer.Script
	}
	if err := c.checkConsumer(r.Context(), request); err != nil {
		return nil, err
	}
	return c.putConsumer(r, queue, consumer, request)
}

func (c *Cloud) deleteConsumer(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	queue, consumer, err := c.consumer(r)
	if err != nil {
		return nil, err
	}
	if err := c.store.DeleteConsumer(r.Context(), queue.ID, consumer.ID); err != nil {
		return nil, err
	}
	return ok(nil), c.consumersChanged(r.Context(), queue.ID, consumer.Script)
}
